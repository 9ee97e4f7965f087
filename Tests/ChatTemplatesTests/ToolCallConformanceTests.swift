import Testing

@testable import ChatTemplates

/// Everything parsed from pieces of bytes; also checks that the pieces are whole characters and add up.
func parse(_ pieces: [[UInt8]], _ parser: OutputParser, isTruncated: Bool) -> ParsedOutput {
    var parser = parser
    var result = ParsedOutput()
    for piece in pieces { for event in parser.feed(piece) { result.add(event) } }
    for event in parser.finish(isTruncated: isTruncated) { result.add(event) }
    return result
}

private func trimmed(_ text: String) -> String {
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(scalars)
}

private func mismatch(_ result: ParsedOutput, _ expected: JSONValue, isPartial: Bool) -> String? {
    func texts(_ key: String, _ alternatives: String) -> [String] {
        [expected[key]?.stringValue ?? ""] + (expected[alternatives]?.arrayValue ?? []).compactMap(\.stringValue)
    }
    func isOne(_ text: String, of texts: [String]) -> Bool {
        texts.contains { trimmed($0).sameCodePoints(as: trimmed(text)) }
    }
    if !isOne(result.content, of: texts("content", "content_any_of")) {
        return "content \(result.content.debugDescription)"
    }
    if !isOne(result.reasoning, of: texts("reasoning_content", "reasoning_any_of")) {
        return "reasoning \(result.reasoning.debugDescription)"
    }
    if isPartial { return nil }
    let calls = expected["tool_calls"]?.arrayValue ?? []
    guard calls.count == result.toolCalls.count else { return "\(result.toolCalls)" }
    for (call, found) in zip(calls, result.toolCalls) {
        if call["name"]?.stringValue != found.name || call["arguments"] != .object(found.arguments) {
            return "\(found)"
        }
        if let id = call["id"]?.stringValue, id != found.id { return "id \(found)" }
    }
    return nil
}

@Suite(.enabled(if: Conformance.folder != nil, "set INFER_CONFORMANCE to the folder of the shared data"))
struct ToolCallConformanceTests {
    @Test(arguments: Conformance.names("tool-calls")) func syntax(_ name: String) throws {
        let file = try Conformance.json("tool-calls/" + name)
        let template = String(
            decoding: try Conformance.bytes(try #require(file["template_file"]?.stringValue)), as: UTF8.self)
        let syntax = OutputSyntax(template: template)
        let cases = try #require(file["cases"]?.arrayValue)
        #expect(!cases.isEmpty)
        for testCase in cases {
            let name = testCase["name"]?.stringValue ?? "?"
            let parser = OutputParser(
                syntax: syntax, tools: file["tools"]?.arrayValue ?? [],
                generationPrompt: testCase["generation_prompt"]?.stringValue ?? "")
            let isPartial = testCase["partial"]?.boolValue ?? false
            let output = Array((testCase["output"]?.stringValue ?? "").utf8)
            let expected = try #require(testCase["expected"])
            let whole = parse([output], parser, isTruncated: isPartial)
            let difference = mismatch(whole, expected, isPartial: isPartial)
            #expect(difference == nil, "\(name): \(difference ?? "") instead of \(expected.text())")
            for text in expected["content_must_not_contain"]?.arrayValue?.compactMap(\.stringValue) ?? [] {
                #expect(!whole.content.containsCodePoints(text), "\(name)")
            }
            for call in expected["tool_calls_partial"]?.arrayValue ?? [] {
                let text = whole.diagnostics.compactMap(\.unfinishedCall).joined()
                #expect(text.containsCodePoints(call["arguments_so_far_contains"]?.stringValue ?? "?"), "\(name)")
            }
            // Split anywhere the result is the same to the last code point.
            var splits = [
                output.map { [$0] },
                String(decoding: output, as: UTF8.self).unicodeScalars.map { Array(String($0).utf8) },
            ]
            for chunks in testCase["chunkings"]?.objectValue?.values ?? [] {
                splits.append((chunks.arrayValue ?? []).map { Array(($0.stringValue ?? "").utf8) })
            }
            for place in 0...output.count { splits.append([Array(output[..<place]), Array(output[place...])]) }
            for pieces in splits where parse(pieces, parser, isTruncated: isPartial) != whole {
                Issue.record(
                    "\(name): \(parse(pieces, parser, isTruncated: isPartial)) from \(pieces.count) pieces, whole \(whole)"
                )
                break
            }
        }
    }
}
