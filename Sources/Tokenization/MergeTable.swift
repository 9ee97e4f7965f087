import GGUF

/// The merges of a byte-pair vocabulary: which two neighbouring tokens become which, and how early.
///
/// A merge whose parts or whose result are not tokens can never apply and is left out; so is text without a space. Of
/// two merges of the same pair the first counts.
struct MergeTable: Sendable {
    private struct Entry: Sendable {
        /// left << 32 | right, plus one; 0 is free.
        var key: UInt64 = 0
        var merge = Merge.none
    }

    private let entries: [Entry]

    init(_ merges: GGUFArray, _ vocabulary: Vocabulary) {
        var entries = [Entry](repeating: Entry(), count: tableCapacity(merges.count))
        let mask = entries.count - 1
        var joined: [UInt8] = []
        for rank in 0..<merges.count {
            let text = merges.stringBytes(at: rank)
            // The left part has at least one byte, which may itself be a space.
            guard text.count >= 3, let space = text[1...].firstIndex(of: 0x20) else { continue }
            let left = UnsafeRawBufferPointer(rebasing: text[..<space])
            let right = UnsafeRawBufferPointer(rebasing: text[(space + 1)...])
            guard let leftID = vocabulary.id(of: left), let rightID = vocabulary.id(of: right) else { continue }
            joined.removeAll(keepingCapacity: true)
            joined.append(contentsOf: left)
            joined.append(contentsOf: right)
            guard let id = joined.withUnsafeBytes({ vocabulary.id(of: $0) }) else { continue }
            let key = Self.key(leftID, rightID)
            var slot = Int(truncatingIfNeeded: Self.hash(key)) & mask
            while entries[slot].key != 0, entries[slot].key != key { slot = (slot + 1) & mask }
            if entries[slot].key == 0 { entries[slot] = Entry(key: key, merge: Merge(rank: UInt32(rank), id: id)) }
        }
        self.entries = entries
    }

    @inline(__always)
    func merge(_ left: Int32, _ right: Int32) -> Merge {
        guard left >= 0, right >= 0 else { return .none }
        let key = Self.key(left, right)
        let mask = entries.count - 1
        var slot = Int(truncatingIfNeeded: Self.hash(key)) & mask
        while entries[slot].key != 0 {
            if entries[slot].key == key { return entries[slot].merge }
            slot = (slot + 1) & mask
        }
        return .none
    }

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        (UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))) + 1
    }

    @inline(__always)
    private static func hash(_ key: UInt64) -> UInt64 { ByteHash.mix(key) }
}

/// What a pair becomes, and how early: lower ranks first. `none` has the highest rank.
struct Merge: Sendable {
    var rank: UInt32
    var id: Int32

    static let none = Merge(rank: .max, id: -1)
}
