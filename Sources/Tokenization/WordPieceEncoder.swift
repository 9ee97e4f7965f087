import Foundation

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
        func endWord(_ ids: inout [Int32]) {
            if !word.isEmpty { append(normalized(word), to: &ids) }
            word.removeAll(keepingCapacity: true)
        }
        for packed in scratch.scalars {
            let classes = ScalarClass(rawValue: packed)
            let scalar = Normalization.scalar(packed)
            if !classes.isDisjoint(with: [.space]) {
                endWord(&ids)
            } else if Self.isDropped(scalar) {
                continue
            } else if Self.standsAlone(scalar, classes) {
                endWord(&ids)
                word.append(scalar)
                endWord(&ids)
            } else {
                word.append(scalar)
            }
        }
        endWord(&ids)
    }

    /// Control and format characters, private use, U+FFFD.
    private static func isDropped(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7f { return scalar.value < 0x20 }
        switch scalar.properties.generalCategory {
        case .control, .format, .privateUse, .surrogate: return true
        default: return scalar.value == 0xfffd
        }
    }

    /// Punctuation, ASCII symbols and ideographs are words of one character.
    private static func standsAlone(_ scalar: Unicode.Scalar, _ classes: ScalarClass) -> Bool {
        if !classes.isDisjoint(with: .punctuation) { return true }
        switch scalar.value {
        case 0..<0x80: return !classes.isDisjoint(with: .symbol)
        // The blocks that BERT's `_is_chinese_char` lists; 0x2B920 is a slip that every implementation keeps.
        case 0x3400...0x4dbf, 0x4e00...0x9fff, 0xf900...0xfaff, 0x20000...0x2a6df, 0x2a700...0x2b73f,
            0x2b740...0x2b81f, 0x2b920...0x2ceaf, 0x2f800...0x2fa1f:
            return true
        default: return false
        }
    }

    private func normalized(_ word: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var scalars = word
        if stripsAccents, word.contains(where: { $0.value >= 0x80 }) {
            var text = ""
            text.unicodeScalars.append(contentsOf: word)
            scalars = text.decomposedStringWithCanonicalMapping.unicodeScalars.filter {
                $0.properties.generalCategory != .nonspacingMark
            }
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
        if word.count <= Self.longestWord {
            bytes.withUnsafeBytes { bytes in
                while start < bytes.count, let match = trie.longestMatch(in: bytes, at: start) {
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
