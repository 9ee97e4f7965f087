import GGUF

/// Tokens by id with their types, as a file lists them.
struct TokenTable {
    /// The numbers of `tokenizer.ggml.token_type`.
    enum Kind: Int32 { case normal = 1, unknown, control, userDefined, unused, byte }

    private(set) var texts: [String?] = []
    private(set) var kinds: [Kind] = []
    private(set) var scores: [Float] = []
    private var ids: [[UInt8]: Int] = [:]
    private let path: String

    /// More than any vocabulary has; ids are hostile until checked.
    private static let largest = 1 << 22

    init(path: String) { self.path = path }

    /// - Throws: `ConvertError.tokenizer` for an id out of range, or one that two tokens have.
    mutating func add(_ text: String, id: Int, _ kind: Kind = .normal, score: Float = 0) throws(ConvertError) {
        guard 0..<Self.largest ~= id else {
            throw .tokenizer(
                path: path, field: "the id of \"\(text.printable(limit: 50))\"", found: "\(id)",
                expected: "0 to \(Self.largest - 1)")
        }
        while texts.count <= id {
            texts.append(nil)
            kinds.append(.unused)
            scores.append(0)
        }
        guard texts[id] == nil else {
            throw .tokenizer(
                path: path, field: "the id \(id)",
                found: "that of \"\(texts[id]?.printable(limit: 50) ?? "")\" and of \"\(text.printable(limit: 50))\"",
                expected: "one token")
        }
        set(id, text, kind, score)
    }

    /// Tokens that are found as a whole; they may be in the vocabulary already.
    mutating func addSpecial(_ text: String, id: Int, isControl: Bool) throws(ConvertError) {
        let kind: Kind = isControl ? .control : .userDefined
        guard id < texts.count, id >= 0, let old = texts[id] else { return try add(text, id: id, kind) }
        if kinds[id] == .unknown, isControl { return }
        if kinds[id] == .byte { return }
        ids[Array(old.utf8)] = nil
        set(id, text, kind, scores[id])
    }

    private mutating func set(_ id: Int, _ text: String, _ kind: Kind, _ score: Float) {
        texts[id] = text
        kinds[id] = kind
        scores[id] = score
        // By bytes: texts that Unicode deems equal are different tokens.
        ids[Array(text.utf8)] = id
    }

    mutating func setKind(_ id: Int, _ kind: Kind) { kinds[id] = kind }

    func id(of text: String) -> Int? { ids[Array(text.utf8)] }

    /// The keys of the tokens, filled up to the rows of the embedding table.
    /// - Throws: `ConvertError.tokenizer` for more tokens than rows.
    func metadata(rows: Int, withScores: Bool) throws(ConvertError) -> [(String, GGUFValue)] {
        guard texts.count <= rows else {
            throw .tokenizer(
                path: path, field: "the number of tokens", found: "\(texts.count)",
                expected: "at most the \(rows) rows of the embedding table")
        }
        let padding = rows - texts.count
        let names = (texts + [String?](repeating: nil, count: padding)).enumerated().map { $1 ?? "[PAD\($0)]" }
        let types = kinds.map(\.rawValue) + [Int32](repeating: Kind.unused.rawValue, count: padding)
        var keys: [(String, GGUFValue)] = [
            ("tokenizer.ggml.tokens", .array(GGUFArray(names))),
            ("tokenizer.ggml.token_type", .array(GGUFArray(types))),
        ]
        if withScores {
            keys.append(
                ("tokenizer.ggml.scores", .array(GGUFArray(scores + [Float](repeating: -10000, count: padding)))))
        }
        return keys
    }
}
