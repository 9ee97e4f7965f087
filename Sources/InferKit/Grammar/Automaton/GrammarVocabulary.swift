package import Tokenization

/// The tokens of a vocabulary as byte strings, arranged for finding all that fit at once. Made once for a tokenizer.
///
/// Most tokens are *plain*: a few whole characters that may stand in a JSON string as they are. Where a grammar takes
/// any of them, all plain tokens up to a length are allowed by one union of bit sets; only the others need a walk.
package final class GrammarVocabulary: Sendable {
    /// Plain tokens have at most so many characters.
    static let longestPlain = 32
    private static let longestToken = 512

    let size: Int
    let endOfGeneration: [Int32]
    let plain: TokenTrie
    let other: TokenTrie
    /// Plain tokens with at most as many characters as the index.
    let plainUpTo: [TokenMask]
    /// Tokens that stand for themselves, which are written as markers, by their text.
    let markers: [String: Int32]

    private let markerStarts: Set<UInt8>
    private let storage: [UInt8]
    private let offsets: [UInt32]

    package init(_ tokenizer: Tokenizer) {
        let size = tokenizer.vocabularySize
        let ends = tokenizer.endOfGeneration
        var storage: [UInt8] = []
        var offsets: [UInt32] = [0]
        offsets.reserveCapacity(size + 1)
        var markers: [String: Int32] = [:]
        for id in 0..<Int32(size) {
            if !ends.contains(id) {
                if Self.isMarker(id, tokenizer) {
                    let text = tokenizer.text(of: id)
                    if !text.isEmpty, text.utf8.count < Self.longestToken, markers[text] == nil {
                        markers[text] = id
                        storage += MarkerSpelling.bytes(text.utf8)
                    }
                } else {
                    let bytes = tokenizer.bytes(of: id, renderSpecial: false)
                    // Byte-level vocabularies have tokens for bytes that UTF-8 never has: two of them enclose markers.
                    let imitatesMarker = bytes.contains { $0 == MarkerSpelling.open || $0 == MarkerSpelling.close }
                    if bytes.count <= Self.longestToken, !imitatesMarker { storage += bytes }
                }
            }
            offsets.append(UInt32(truncatingIfNeeded: storage.count))
        }
        self.size = size
        self.markers = markers
        markerStarts = Set(markers.keys.compactMap(\.utf8.first))
        endOfGeneration = ends.filter { 0..<Int32(size) ~= $0 }.sorted()
        self.storage = storage
        self.offsets = offsets

        func slice(_ id: Int32) -> Range<Int> { Int(offsets[Int(id)])..<Int(offsets[Int(id) + 1]) }
        var plainIDs: [Int32] = []
        var otherIDs: [Int32] = []
        var upTo = [TokenMask](repeating: TokenMask(count: size), count: Self.longestPlain + 1)
        for id in 0..<Int32(size) where !slice(id).isEmpty {
            if let characters = Self.plainLength(storage[slice(id)]) {
                plainIDs.append(id)
                upTo[characters].insert(id)
            } else {
                otherIDs.append(id)
            }
        }
        for length in 1...Self.longestPlain { upTo[length].formUnion(upTo[length - 1]) }
        plainUpTo = upTo
        storage.withUnsafeBytes { storage in
            // The first eight bytes decide nearly all comparisons.
            func sorted(_ ids: [Int32]) -> [Int32] {
                ids.map { id -> (key: UInt64, id: Int32) in
                    let bytes = storage[slice(id)].prefix(8)
                    let key = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } << UInt64(8 * (8 - bytes.count))
                    return (key, id)
                }
                .sorted { a, b in
                    if a.key != b.key { return a.key < b.key }
                    let left = storage[slice(a.id)]
                    let right = storage[slice(b.id)]
                    return left.lexicographicallyPrecedes(right) || left.elementsEqual(right) && a.id < b.id
                }
                .map(\.id)
            }
            plainIDs = sorted(plainIDs)
            otherIDs = sorted(otherIDs)
        }
        plain = TokenTrie(plainIDs) { storage[slice($0)] }
        other = TokenTrie(otherIDs) { storage[slice($0)] }
    }

    /// The longest marker that a text begins with.
    func longestMarker(startingIn text: ArraySlice<UInt8>) -> String? {
        guard let first = text.first, markerStarts.contains(first) else { return nil }
        return markers.keys.filter { text.starts(with: $0.utf8) }.max { $0.utf8.count < $1.utf8.count }
    }

    func isEndOfGeneration(_ token: Int32) -> Bool { endOfGeneration.contains(token) }

    /// The bytes of a token in the alphabet of grammars; empty for one that never fits.
    func bytes(of id: Int32) -> ArraySlice<UInt8> {
        guard id >= 0, Int(id) < size else { return [] }
        return storage[Int(offsets[Int(id)])..<Int(offsets[Int(id) + 1])]
    }

    /// Control tokens, and user-defined ones that look like a mark: `<think>` in a string is not what it says.
    private static func isMarker(_ id: Int32, _ tokenizer: Tokenizer) -> Bool {
        switch tokenizer.type(of: id) {
        case .control, .unknown, .unused, nil: return true
        case .userDefined:
            let text = tokenizer.text(of: id).utf8
            guard let first = text.first, let last = text.last, text.count > 2 else { return false }
            return first == UInt8(ascii: "<") && last == UInt8(ascii: ">")
                || first == UInt8(ascii: "[") && last == UInt8(ascii: "]")
        case .normal, .byte, .undefined: return false
        }
    }

    /// The number of characters if all are whole and none is `"`, `\` or a control character; nil otherwise.
    private static func plainLength(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count <= 4 * longestPlain else { return nil }
        var isPlain = true
        var count = 0
        var decoder = UTF8()
        var rest = bytes.makeIterator()
        loop: while true {
            switch decoder.decode(&rest) {
            case .scalarValue(let scalar):
                count += 1
                if scalar.value < 0x20 || scalar == "\"" || scalar == "\\" || scalar.value == 0x7F { isPlain = false }
            case .emptyInput: break loop
            case .error: return nil
            }
        }
        return isPlain && count <= longestPlain ? count : nil
    }
}
