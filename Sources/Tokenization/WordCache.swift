/// The ids of words met before. Of fixed size: a new word takes the place of an older one with the same hash.
struct WordCache: Sendable {
    /// Longer words, and words of more ids, are not kept.
    static let longestWord = 24
    static let mostIDs = 8
    private static let slotCount = 1 << 14

    /// 24 bytes of the word and eight ids: one cache line with the two lengths.
    private struct Slot: Sendable {
        var word: (UInt64, UInt64, UInt64) = (0, 0, 0)
        var ids: (Int32, Int32, Int32, Int32, Int32, Int32, Int32, Int32) = (0, 0, 0, 0, 0, 0, 0, 0)
        var wordLength: UInt8 = 0
        var idCount: UInt8 = 0
    }

    private var slots: [Slot] = []
    private let seed = ByteHash.seed

    /// Where to look for a word, and its bytes.
    struct Key {
        fileprivate var word: (UInt64, UInt64, UInt64)
        fileprivate var slot: Int
        fileprivate var length: UInt8
    }

    /// Nil for words that are never kept.
    @inline(__always)
    func key(_ word: UnsafeRawBufferPointer) -> Key? {
        guard word.count > 0, word.count <= Self.longestWord else { return nil }
        var bytes: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &bytes) { $0.copyMemory(from: word) }
        let hash = ByteHash.mix(ByteHash.mix(bytes.0 ^ seed) ^ ByteHash.mix(bytes.1) ^ bytes.2 &+ UInt64(word.count))
        return Key(
            word: bytes, slot: Int(truncatingIfNeeded: hash >> 32) & (Self.slotCount - 1), length: UInt8(word.count))
    }

    /// Appends the ids of a word that is there.
    @inline(__always)
    func append(_ key: Key, to ids: inout [Int32]) -> Bool {
        guard !slots.isEmpty else { return false }
        guard slots[key.slot].wordLength == key.length, slots[key.slot].word == key.word else { return false }
        let count = Int(slots[key.slot].idCount)
        let found = slots[key.slot].ids
        ids.append(found.0)
        guard count > 1 else { return true }
        withUnsafeBytes(of: found) { ids.append(contentsOf: $0.bindMemory(to: Int32.self)[1..<count]) }
        return true
    }

    mutating func insert(_ key: Key, _ ids: ArraySlice<Int32>) {
        guard !ids.isEmpty, ids.count <= Self.mostIDs else { return }
        if slots.isEmpty { slots = [Slot](repeating: Slot(), count: Self.slotCount) }
        var slot = Slot()
        slot.word = key.word
        slot.wordLength = key.length
        slot.idCount = UInt8(ids.count)
        withUnsafeMutableBytes(of: &slot.ids) { target in
            ids.withUnsafeBytes { target.copyMemory(from: $0) }
        }
        slots[key.slot] = slot
    }
}
