import ChatTemplates
import TestSupport
import Testing

/// Calls from the model's tokens to the API: grammar, parser and server together, with calls that are held to their
/// form and such that are not.
struct ScriptedCallTests {
    private static func template(_ marks: String) -> String {
        "{# \(marks) #}{% if tools %}{{ tools | tojson }}\n{% endif %}" + ScriptedFile.chatML
    }

    private static let coder = template("<tool_call><function=<parameter=")
    private static let text: JSONValue = ["type": "string"]

    private static func tool(_ properties: JSONValue) -> JSONValue {
        [
            "type": "function",
            "function": ["name": "w", "parameters": ["type": "object", "properties": properties]],
        ]
    }

    private struct Result: Equatable {
        var calls: [JSONValue] = []
        var content = ""
        var reason: String?
        var tokens: Int?
    }

    /// What the whole and the streamed answer say, which must be the same.
    private func ask(
        _ pieces: [ScriptedFile.Piece], _ template: String, _ tool: JSONValue, choice: String = "auto",
        isParallel: Bool = true, marks: [String] = []
    ) async throws -> Result {
        let scripted = try ScriptedService(ScriptedFile(pieces, template: template, marks: marks))
        var body = JSONObject()
        body["messages"] = [["role": "user", "content": "hi"]]
        body["tools"] = [tool]
        body["max_tokens"] = 400
        body["temperature"] = 0
        body["tool_choice"] = .string(choice)
        body["parallel_tool_calls"] = .bool(isParallel)
        let answer = try await scripted.ask("/v1/chat/completions", .object(body)).json
        let message = answer["choices"]?[0]?["message"]
        var whole = Result()
        for call in message?["tool_calls"]?.arrayValue ?? [] {
            whole.calls.append(try JSONValue(parsing: call["function"]?["arguments"]?.stringValue ?? ""))
        }
        whole.content = message?["content"]?.stringValue ?? ""
        whole.reason = answer["choices"]?[0]?["finish_reason"]?.stringValue
        whole.tokens = answer["usage"]?["completion_tokens"]?.intValue

        body["stream"] = true
        var streamed = Result(tokens: whole.tokens)
        var arguments: [String] = []
        for event in try await scripted.ask("/v1/chat/completions", .object(body)).events {
            let choice = event["choices"]?[0]
            streamed.content += choice?["delta"]?["content"]?.stringValue ?? ""
            for call in choice?["delta"]?["tool_calls"]?.arrayValue ?? [] {
                let index = call["index"]?.intValue ?? 0
                while arguments.count <= index { arguments.append("") }
                arguments[index] += call["function"]?["arguments"]?.stringValue ?? ""
            }
            if let reason = choice?["finish_reason"]?.stringValue { streamed.reason = reason }
        }
        streamed.calls = try arguments.map { try JSONValue(parsing: $0) }
        #expect(streamed == whole)
        return whole
    }

    /// Held to its form, where the mark is a token of its own, and left to the model, where it is not.
    private func askBoth(
        _ mark: String, _ pieces: [ScriptedFile.Piece], _ template: String, _ tool: JSONValue
    ) async throws -> [Result] {
        guard let first = pieces.first else { return [] }
        let joined = ScriptedFile.Piece(bytes: Array(mark.utf8) + first.bytes)
        return [
            try await ask([.init(mark)] + pieces, template, tool),
            try await ask([joined] + pieces.dropFirst(), template, tool),
            try await ask([.init(mark)] + pieces, template, tool, choice: "required"),
        ]
    }

    @Test func forgottenClosingMarks() async throws {
        let tool = Self.tool(["city": Self.text, "state": Self.text])
        let next: [ScriptedFile.Piece] = [
            "\n<function=w>", "\n<parameter=city>", "\nDallas", "\n<parameter=state>", "\nTX", "\n</parameter>",
            "\n</function>", "\n</tool_call>",
        ]
        for result in try await askBoth("<tool_call>", next, Self.coder, tool) {
            #expect(result.calls == [["city": "Dallas", "state": "TX"]] && result.reason == "tool_calls", "\(result)")
        }
        let last: [ScriptedFile.Piece] = [
            "\n<function=w>", "\n<parameter=city>", "\nl1\nl2", "\n</function>", "\n</tool_call>",
        ]
        for result in try await askBoth("<tool_call>", last, Self.coder, tool) {
            #expect(result.calls == [["city": "l1\nl2"]] && result.content == "", "\(result)")
            #expect(result.reason == "tool_calls" && result.tokens ?? 0 < 10, "\(result)")
        }
    }

    @Test func filesWithMarksAreNotShortened() async throws {
        let tool = Self.tool(["path": Self.text, "content": Self.text])
        let pieces: [ScriptedFile.Piece] = [
            "\n<invoke name=\"w\">", "\n<parameter name=\"path\">", "a.xml", "</parameter>",
            "\n<parameter name=\"content\">", "<parameter>", "\n  <hello></hello>", "\n</parameter>", "</parameter>",
            "\n</invoke>", "\n</minimax:tool_call>",
        ]
        let template = Self.template("<minimax:tool_call>")
        for result in try await askBoth("<minimax:tool_call>", pieces, template, tool) {
            let content = "<parameter>\n  <hello></hello>\n</parameter>"
            #expect(result.calls == [["path": "a.xml", "content": .string(content)]], "\(result)")
        }
    }

    @Test func valuesOfAListHaveNoQuotationMarks() async throws {
        let tool = Self.tool(["mode": ["enum": ["fast", "slow"]]])
        let pieces: [ScriptedFile.Piece] = [
            "w", "\n", "<arg_key>", "mode", "</arg_key>", "\n<arg_value>", "fast", "</arg_value>", "\n</tool_call>",
        ]
        for result in try await askBoth("<tool_call>", pieces, Self.template("<tool_call><arg_key>"), tool) {
            #expect(result.calls == [["mode": "fast"]], "\(result)")
        }
    }

    @Test func withOneCallAllowedNoneIsGeneratedBehindIt() async throws {
        let call: [ScriptedFile.Piece] = [
            "<tool_call>", "{\"name\": \"w\", ", "\"arguments\": {\"city\": \"a\"}}", "</tool_call>", "\n",
        ]
        let tool = Self.tool(["city": Self.text])
        let template = Self.template("<tool_call></tool_call>")
        let one = try await ask(call + call + call, template, tool, isParallel: false)
        #expect(one.calls == [["city": "a"]] && one.reason == "tool_calls" && one.tokens ?? 9 <= 4, "\(one)")
        #expect(try await ask(call + call, template, tool).calls.count == 2)
    }

    @Test func notationsWhoseTemplatesHoldNoMarks() async throws {
        let tool = Self.tool(["city": Self.text, "exact": ["type": "boolean"]])
        let python: [ScriptedFile.Piece] = [
            "<|tool_call_start|>", "[", "w", "(", "city=\"a\"", ", exact=True", ")]", "<|tool_call_end|>",
        ]
        let lfm = Self.template("List of tools: <|tool_list_start|>")
        let json: [ScriptedFile.Piece] = [
            "<|function_call|>", "{\"name\": \"w\", ", "\"arguments\": {\"city\": \"a\", ", "\"exact\": true}}",
        ]
        let giga = Self.template("<|function_call|>")
        for choice in ["auto", "required"] {
            for (pieces, template) in [(python, lfm), (json, giga)] {
                let result = try await ask(pieces, template, tool, choice: choice)
                #expect(result.calls == [["city": "a", "exact": true]] && result.content == "", "\(choice): \(result)")
            }
        }
    }
}
