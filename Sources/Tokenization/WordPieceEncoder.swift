/// WordPiece (`tokenizer.ggml.model` = `bert`): cleaned words, cut from the left into the longest tokens there are
/// (BERT `tokenization.py`). Converters write U+2581 before tokens that start a word and nothing before the others.
struct WordPieceEncoder: FragmentEncoder {
    private let trie: ByteTrie
    private let unknown: Int32?
    private let lowercases: Bool
    private let stripsAccents: Bool

    /// Longer words are unknown.
    private static let longestWord = 100

    init(_ vocabulary: Vocabulary, unknown: Int32?, lowercases: Bool, stripsAccents: Bool) {
        var trie = ByteTrie()
        for id in 0..<vocabulary.count where vocabulary.types[id].isMergeable {
            trie.insert(vocabulary.bytes(of: id), value: Int32(id))
        }
        self.trie = trie
        self.unknown = unknown
        self.lowercases = lowercases
        self.stripsAccents = stripsAccents
    }

    func encode(
        _ text: UnsafeRawBufferPointer, afterSpecial: Bool, _ scratch: inout EncodeScratch, into ids: inout [Int32]
    ) {
        scratch.scalars.removeAll(keepingCapacity: true)
        _ = appendScalars(of: text, to: &scratch.scalars)
        var word: [Unicode.Scalar] = []
        for packed in scratch.scalars {
            let scalar = Normalization.scalar(packed)
            if packed & ScalarClass.space.rawValue != 0 {
                endWord(&word, &ids)
            } else if Self.isDropped(scalar) {
                continue
            } else if Self.isIdeograph(scalar) {
                endWord(&word, &ids)
                word.append(scalar)
                endWord(&word, &ids)
            } else {
                word.append(scalar)
            }
        }
        endWord(&word, &ids)
    }

    /// Normalises a word between spaces and cuts it at punctuation.
    private func endWord(_ word: inout [Unicode.Scalar], _ ids: inout [Int32]) {
        guard !word.isEmpty else { return }
        var part: [Unicode.Scalar] = []
        for scalar in normalized(word) {
            if Self.isPunctuation(scalar) {
                append(part, to: &ids)
                append([scalar], to: &ids)
                part.removeAll(keepingCapacity: true)
            } else {
                part.append(scalar)
            }
        }
        append(part, to: &ids)
        word.removeAll(keepingCapacity: true)
    }

    /// Control and format characters, private use, U+FFFD.
    private static func isDropped(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .privateUse, .surrogate: true
        default: scalar.value == 0xfffd
        }
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        let classes = ScalarClass.of(scalar.value)
        return classes.contains(.punctuation) || (scalar.isASCII && classes.contains(.symbol))
    }

    /// The blocks that BERT's `_is_chinese_char` lists; 0x2B920 is a slip that every implementation keeps.
    private static func isIdeograph(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x3400...0x4dbf, 0x4e00...0x9fff, 0xf900...0xfaff, 0x20000...0x2a6df, 0x2a700...0x2b73f,
            0x2b740...0x2b81f, 0x2b920...0x2ceaf, 0x2f800...0x2fa1f:
            true
        default: false
        }
    }

    private func normalized(_ word: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var scalars = word
        if stripsAccents, word.contains(where: { !$0.isASCII }) {
            scalars = Normalization.decomposed(word).filter { $0.properties.generalCategory != .nonspacingMark }
        }
        guard lowercases else { return scalars }
        return scalars.flatMap { scalar -> [Unicode.Scalar] in
            if scalar.isASCII {
                return [(0x41...0x5a).contains(scalar.value) ? Unicode.Scalar(scalar.value + 0x20) ?? scalar : scalar]
            }
            return Array(scalar.properties.lowercaseMapping.unicodeScalars)
        }
    }

    private func append(_ word: [Unicode.Scalar], to ids: inout [Int32]) {
        guard !word.isEmpty else { return }
        var bytes = SpaceMark.utf8
        for scalar in word { bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter) }
        let first = ids.count
        var start = 0
        // A mark within the word is text, not the beginning of another.
        if word.count <= Self.longestWord {
            bytes.withUnsafeBytes { bytes in
                while start < bytes.count, start == 0 || !SpaceMark.isMark(bytes, at: start),
                    let match = trie.longestMatch(in: bytes, at: start)
                {
                    ids.append(match.value)
                    start += match.length
                }
            }
        }
        guard start < bytes.count else { return }
        ids.removeSubrange(first...)
        if let unknown { ids.append(unknown) }
    }
}
