import GGUF

/// The character replacements of a SentencePiece model (`precompiled_charsmap`, usually a form of NFKC): a trie in a
/// compact double array, followed by the replacements, each ended by a zero (SentencePiece `normalizer.cc`,
/// darts-clone `darts.h`).
struct CharacterMap: Sendable {
    /// Entries of the double array: bits 0…7 label, 8 has a value, 9 and 10…30 offset to the children. A value entry
    /// has bit 31 set and the position of its replacement below.
    private let units: [UInt32]
    private let replacements: [UInt8]

    /// The longest in use has 33 bytes. Without a limit a small file could turn small texts into huge ones.
    private static let longestReplacement = 128

    /// Nil where the file has none.
    init?(_ metadata: GGUFMetadata) throws(TokenizerError) {
        let found: GGUFArray?
        do { found = try metadata.optionalArray(Key.characterMap) } catch { throw .metadata(error) }
        guard let array = found, array.count > 0 else { return nil }
        guard array.elementType == .uint8 || array.elementType == .int8, let numbers = array.ints() else {
            throw .metadata(
                .wrongType(
                    key: Key.characterMap, found: "array of \(array.elementType)", expected: "array of uint8 or int8"))
        }
        let bytes = numbers.map { UInt8(truncatingIfNeeded: $0) }
        func unit(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
        }
        guard bytes.count >= 4 else {
            throw .characterMap(found: "\(bytes.count) bytes", expected: "at least 4")
        }
        let size = Int(unit(0))
        guard size % 4 == 0, size <= bytes.count - 4 else {
            throw .characterMap(
                found: "a table of \(size) bytes", expected: "a multiple of 4, at most \(bytes.count - 4)")
        }
        units = stride(from: 4, to: 4 + size, by: 4).map { unit($0) }
        replacements = Array(bytes[(4 + size)...])
    }

    /// Appends the text with every longest match of the map replaced.
    func append(_ text: UnsafeRawBufferPointer, to result: inout [UInt8]) {
        var index = 0
        while index < text.count {
            if let match = longestMatch(text, from: index) {
                result.append(
                    contentsOf: replacements[match.replacement...].prefix(Self.longestReplacement).prefix { $0 != 0 })
                index += match.length
            } else {
                let width = min(utf8Length(lead: text[index]), text.count - index)
                result.append(contentsOf: text[index..<(index + width)])
                index += width
            }
        }
    }

    /// A table that points outside itself matches nothing there.
    private func longestMatch(_ text: UnsafeRawBufferPointer, from start: Int) -> (replacement: Int, length: Int)? {
        guard let root = units.first else { return nil }
        var best: (replacement: Int, length: Int)?
        var node = Self.offset(root)
        var index = start
        while index < text.count, index - start < ByteTrie.longestString, text[index] != 0 {
            node ^= Int(text[index])
            guard node < units.count, units[node] & 0x8000_00ff == UInt32(text[index]) else { break }
            let unit = units[node]
            index += 1
            node ^= Self.offset(unit)
            if unit >> 8 & 1 != 0, node < units.count {
                let position = Int(units[node] & 0x7fff_ffff)
                if position < replacements.count { best = (position, index - start) }
            }
        }
        return best
    }

    private static func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 0x200) >> 6) }
}
