import ArgumentParser
import Foundation
import GGUF
import Tokenization

/// `infer debug tokenize`: text to ids, for comparison with other tokenizers.
struct TokenizeDoor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Read texts as JSON lines, print token ids as JSON lines.",
        discussion: """
            Each line of standard input is an object {"text": …, "add_special": bool, "parse_special": bool}, where \
            the two flags may be left out and are then false. Each gives one line {"ids": […]}, or {"error": …} if \
            the line is none of that. A file with nothing but a vocabulary will do.
            """)

    @OptionGroup var modelPath: ModelPathOption

    @Option(
        help: ArgumentHelp(
            "Instead: encode this text file so many times, print seconds and tokens of each as a JSON line.",
            valueName: "file"),
        completion: .file())
    var bench: String?

    @Option(help: "How often, with --bench.")
    var repeats = 5

    private struct Request: Decodable {
        var text: String
        var add_special: Bool?
        var parse_special: Bool?
    }

    func run() throws {
        let start = ContinuousClock.now
        let tokenizer = try Tokenizer(GGUFFile(path: modelPath.model).metadata)
        let loading = ContinuousClock.now - start
        if let bench { return try measure(tokenizer, file: bench, loading: loading) }
        try forEachLine { Self.reply(to: $0, tokenizer) }
    }

    static func reply(to line: Data, _ tokenizer: Tokenizer) -> String {
        do {
            let request = try JSONDecoder().decode(Request.self, from: line)
            let ids = tokenizer.encode(
                request.text, addSpecial: request.add_special ?? false, parseSpecial: request.parse_special ?? false)
            return "{\"ids\": [\(ids.map { String($0) }.joined(separator: ", "))]}"
        } catch {
            return errorLine("expected {\"text\": string, \"add_special\": bool, \"parse_special\": bool}", error)
        }
    }

    private func measure(_ tokenizer: Tokenizer, file: String, loading: Duration) throws {
        let text = try TextFile.whole(try TextFile.data(of: file), from: file)
        for _ in 0..<max(repeats, 1) {
            let start = ContinuousClock.now
            let ids = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            try StandardOutput.line(
                "{\"seconds\": \(seconds), \"tokens\": \(ids.count), \"load_seconds\": \(loading / .seconds(1))}")
        }
    }
}

/// `infer debug detokenize`: the way back.
struct DetokenizeDoor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detokenize",
        abstract: "Read token ids as JSON lines, print texts as JSON lines.",
        discussion: """
            Each line of standard input is an object {"ids": […]}. Each gives one line {"text": …} with special tokens \
            written out, or {"error": …} if the line is none of that or an id is not in the vocabulary.
            """)

    @OptionGroup var modelPath: ModelPathOption

    @Flag(inversion: .prefixedNo, help: "Write control tokens out.")
    var special = true

    private struct Request: Decodable { var ids: [Int32] }
    private struct Reply: Encodable { var text: String }

    func run() throws {
        let tokenizer = try Tokenizer(GGUFFile(path: modelPath.model).metadata)
        try forEachLine { Self.reply(to: $0, tokenizer, renderSpecial: special) }
    }

    static func reply(to line: Data, _ tokenizer: Tokenizer, renderSpecial: Bool) -> String {
        do {
            let ids = try JSONDecoder().decode(Request.self, from: line).ids
            if let stranger = ids.first(where: { tokenizer.type(of: $0) == nil }) {
                return errorLine("token id \(stranger) is not in the vocabulary (\(tokenizer.vocabularySize))")
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = .withoutEscapingSlashes
            let text = tokenizer.decode(ids, renderSpecial: renderSpecial)
            return String(decoding: try encoder.encode(Reply(text: text)), as: UTF8.self)
        } catch {
            return errorLine("expected {\"ids\": array of integers}", error)
        }
    }
}

/// Prints what `reply` makes of each line of standard input, as soon as the line is there.
func forEachLine(_ reply: (Data) -> String) throws {
    var isFirst = true
    func answer(_ line: Data) throws {
        guard line.contains(where: { $0 > 0x20 }) else { return }
        try StandardOutput.line(reply(isFirst ? TextFile.withoutMark(line) : line))
        isFirst = false
    }
    var pending = Data()
    while true {
        let chunk = try StandardInput.chunk()
        guard !chunk.isEmpty else { break }
        // Only line feeds end a line: U+2028 and carriage returns may stand in a text.
        var parts = chunk.split(separator: 0x0a, omittingEmptySubsequences: false)[...]
        pending.append(parts.removeFirst())
        while let next = parts.popFirst() {
            try answer(pending)
            pending = Data(next)
        }
    }
    try answer(pending)
}

private func errorLine(_ expected: String, _ error: (any Error)? = nil) -> String {
    let text = error.map { "\(expected): \($0)" } ?? expected
    let encoded = (try? JSONEncoder().encode(["error": text])) ?? Data(#"{"error": "unknown"}"#.utf8)
    return String(decoding: encoded, as: UTF8.self)
}
