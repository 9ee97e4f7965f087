/// Turns text between special tokens into ids; one type for each kind of vocabulary.
protocol FragmentEncoder: Sendable {
    /// - Parameters:
    ///   - text: Valid UTF-8.
    ///   - afterSpecial: Whether a special token, or nothing, comes before.
    func encode(
        _ text: UnsafeRawBufferPointer, afterSpecial: Bool, _ scratch: inout EncodeScratch, into ids: inout [Int32])
}

/// Buffers that are used again from call to call, and the words met so far.
struct EncodeScratch: Sendable {
    var scalars: [UInt32] = []
    var wordEnds: [Int] = []
    var bytes: [UInt8] = []
    var merger = SymbolMerger()
    var cache = WordCache()

    /// Gives back what an unusually long text needed.
    mutating func trim() {
        guard scalars.capacity > 1 << 16 || bytes.capacity > 1 << 16 || merger.symbols.capacity > 1 << 16 else {
            return
        }
        let cache = cache
        self = EncodeScratch()
        self.cache = cache
    }
}

/// U+2581, which stands for a space in SentencePiece vocabularies.
enum SpaceMark {
    static let utf8: [UInt8] = [0xe2, 0x96, 0x81]

    /// The text with every space replaced.
    static func appendEscaped(_ text: UnsafeRawBufferPointer, to result: inout [UInt8]) {
        for byte in text {
            if byte == 0x20 { result.append(contentsOf: utf8) } else { result.append(byte) }
        }
    }

    /// The bytes with every mark replaced by a space.
    static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            if text[index] == utf8[0], text.endIndex - index >= 3, text[index + 1] == utf8[1],
                text[index + 2] == utf8[2]
            {
                result.append(0x20)
                index += 3
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }

    @inline(__always)
    static func isMark(_ text: UnsafeRawBufferPointer, at index: Int) -> Bool {
        index >= 0 && index + 3 <= text.count && text[index] == 0xe2 && text[index + 1] == 0x96
            && text[index + 2] == 0x81
    }

    /// Where the word that starts at `start` ends: before a mark that follows something else.
    @inline(__always)
    static func wordEnd(_ text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while isMark(text, at: index) { index += 3 }
        while index < text.count, !isMark(text, at: index) { index += 1 }
        return index
    }

    /// Whether no token reaches over the end of a word, so that words can be encoded one by one.
    static func separatesWords(in vocabulary: Vocabulary) -> Bool {
        (0..<vocabulary.count).allSatisfy { id in
            guard vocabulary.types[id].isMergeable else { return true }
            return vocabulary.withBytes(of: id) { $0.isEmpty || wordEnd($0, from: 0) == $0.count }
        }
    }
}

extension TokenType {
    /// Whether plain text can become the token. Control, unknown and byte tokens come about in other ways only.
    var isMergeable: Bool {
        switch self {
        case .normal, .userDefined, .unused, .undefined: true
        case .unknown, .control, .byte: false
        }
    }
}

/// The tokens of single bytes, for what no other token covers.
struct ByteTokens: Sendable {
    /// -1 where there is none.
    private let ids: [Int32]
    private let unknown: Int32?
    let isEmpty: Bool

    /// - Parameter text: How the token of a byte is written.
    init(_ vocabulary: Vocabulary, unknown: Int32?, text: (UInt8) -> [UInt8]) {
        ids = (0...255).map { vocabulary.id(of: text(UInt8($0))) ?? -1 }
        isEmpty = ids.allSatisfy { $0 < 0 }
        self.unknown = unknown
    }

    static func hexadecimal(_ byte: UInt8) -> [UInt8] {
        Array("<0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))>".utf8)
    }

    @inline(__always)
    subscript(byte: UInt8) -> Int32 { ids[Int(byte)] }

    /// Appends ids for a character without a token: those of its bytes, or the unknown token, or nothing.
    func append(_ character: UnsafeRawBufferPointer, to result: inout [Int32]) {
        if isEmpty {
            if let unknown { result.append(unknown) }
            return
        }
        for byte in character {
            if ids[Int(byte)] >= 0 {
                result.append(ids[Int(byte)])
            } else if let unknown {
                result.append(unknown)
            }
        }
    }
}
