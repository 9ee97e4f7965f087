import GGUF
import Tokenization

/// A vocabulary made in memory.
struct SmallVocabulary {
    var model: String
    var preTokenizer: String? = "gpt-2"
    var tokens: [(text: [UInt8], type: TokenType, score: Float)] = []
    var merges: [String]?
    private var keys: [(name: String, value: GGUFValue?)] = []

    init(model: String) { self.model = model }

    mutating func add(_ text: String, _ type: TokenType = .normal, score: Float = 0) {
        tokens.append((Array(text.utf8), type, score))
    }

    mutating func add(bytes: [UInt8], _ type: TokenType = .normal, score: Float = 0) {
        tokens.append((bytes, type, score))
    }

    /// Adds a key to those that follow from the fields, or replaces one; nil leaves it out.
    mutating func set(_ name: String, _ value: GGUFValue?) { keys.append((name, value)) }

    func metadata() throws -> GGUFMetadata {
        var entries: [(String, GGUFValue)] = [("tokenizer.ggml.model", .string(model))]
        if let preTokenizer { entries.append(("tokenizer.ggml.pre", .string(preTokenizer))) }
        entries.append(("tokenizer.ggml.tokens", .array(GGUFArray(stringBytes: tokens.map { $0.text }))))
        entries.append(("tokenizer.ggml.token_type", .array(GGUFArray(tokens.map { Int32($0.type.rawValue) }))))
        entries.append(("tokenizer.ggml.scores", .array(GGUFArray(tokens.map { $0.score }))))
        if let merges { entries.append(("tokenizer.ggml.merges", .array(GGUFArray(merges)))) }
        entries.removeAll { entry in keys.contains { $0.name == entry.0 } }
        for (key, value) in keys { if let value { entries.append((key, value)) } }
        return try GGUFMetadata(entries)
    }

    func tokenizer() throws -> Tokenizer { try Tokenizer(metadata()) }

    /// The stand-ins of GPT-2's alphabet, by byte.
    static let alphabet: [String] = {
        var next: UInt32 = 0x100
        return (0...255).map { (byte: UInt32) in
            if (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || byte >= 0xae {
                return String(Unicode.Scalar(UInt8(byte)))
            }
            defer { next += 1 }
            return Unicode.Scalar(next).map { String($0) } ?? ""
        }
    }()

    /// Ids 0…255 are the bytes; then the results of `merges`; then the special tokens.
    static func byteLevel(
        _ merges: [String] = [], pre: String = "gpt-2", special: [(String, TokenType)] = []
    ) -> SmallVocabulary {
        var toy = SmallVocabulary(model: "gpt2")
        toy.preTokenizer = pre
        for letter in alphabet { toy.add(letter) }
        for merge in merges { toy.add(merge.filter { $0 != " " }) }
        for (text, type) in special { toy.add(text, type) }
        toy.merges = merges
        return toy
    }

    /// Token 0 unknown, 1 BOS, 2 EOS, then 256 bytes, then the words with falling scores.
    static func sentencePiece(_ words: [String], bytes: Bool = true, model: String = "llama") -> SmallVocabulary {
        var toy = SmallVocabulary(model: model)
        toy.preTokenizer = "default"
        toy.add("<unk>", .unknown)
        toy.add("<s>", .control)
        toy.add("</s>", .control)
        if bytes {
            for byte in 0...255 {
                toy.add("<0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))>", .byte)
            }
        }
        for (index, word) in words.enumerated() { toy.add(word, score: -Float(index) - 1) }
        return toy
    }
}

extension Tokenizer {
    func encode(_ text: String) -> [Int32] { encode(text, addSpecial: false, parseSpecial: false) }
    /// The tokens' texts as stored.
    func pieces(_ text: String, parseSpecial: Bool = false) -> [String] {
        encode(text, addSpecial: false, parseSpecial: parseSpecial).map { self.text(of: $0) }
    }
}
