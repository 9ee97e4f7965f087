import ArgumentParser
import Foundation
import GGUF
import Tokenization

/// `infer tokenize`: shows the tokens of a text.
struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show how a text is cut into tokens.",
        discussion: """
            The text is the argument or, without one, standard input. A file with nothing but a vocabulary will do.

              infer tokenize -m qwen-9b.gguf "Hello, world"
              infer tokenize -m qwen-9b.gguf --count < letter.txt
            """)

    @OptionGroup var modelPath: ModelPathOption

    @Argument(help: "The text.")
    var text: String?

    @Flag(help: "Print the ids only, as a list with commas.")
    var ids = false

    @Flag(help: "Print the number of tokens only.")
    var count = false

    @Flag(help: "Print a JSON array of objects with id, piece and type.")
    var json = false

    @Flag(inversion: .prefixedNo, help: "Add the tokens that the model wants before and after a text.")
    var special = true

    @Flag(inversion: .prefixedNo, help: "Read special tokens such as <|im_start|> in the text as tokens.")
    var parseSpecial = true

    func validate() throws {
        if [ids, count, json].filter({ $0 }).count > 1 {
            throw ValidationError("--ids, --count and --json exclude each other")
        }
    }

    private struct Row: Encodable {
        var id: Int32
        var piece: String
        var type: String
    }

    func run() throws {
        let tokenizer = try Tokenizer(GGUFFile(path: modelPath.model).metadata)
        let text = try text ?? String(decoding: try StandardInput.all(), as: UTF8.self)
        let tokens = tokenizer.encode(text, addSpecial: special, parseSpecial: parseSpecial)
        if count { return try StandardOutput.line("\(tokens.count)") }
        if ids { return try StandardOutput.line(tokens.map { String($0) }.joined(separator: ",")) }
        let rows = tokens.map { id in
            let piece = tokenizer.bytes(of: id, renderSpecial: true)
            return Row(
                id: id, piece: String(decoding: piece, as: UTF8.self),
                type: tokenizer.type(of: id).map { "\($0)" } ?? "")
        }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return try StandardOutput.line(String(decoding: try encoder.encode(rows), as: UTF8.self))
        }
        for (id, row) in zip(tokens, rows) {
            let type = row.type == "normal" ? "" : "  \(row.type)"
            try StandardOutput.line(
                String(repeating: " ", count: max(0, 8 - String(id).count)) + "\(id)  \(visible(id, tokenizer))\(type)")
        }
    }

    /// The piece between quotation marks, control characters escaped; or its bytes in hexadecimal where they are not
    /// whole characters.
    private func visible(_ id: Int32, _ tokenizer: Tokenizer) -> String {
        let bytes = tokenizer.bytes(of: id, renderSpecial: true)
        if let text = String(validating: bytes, as: UTF8.self) { return text.debugDescription }
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}
