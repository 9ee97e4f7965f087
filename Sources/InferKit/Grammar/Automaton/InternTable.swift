/// Gives equal lists of keys the same number. The lists themselves are kept by the caller, one after another.
struct InternTable {
    /// Open addressing: high half of the hash << 32 | number + 1; 0 is free.
    private var slots = [UInt64](repeating: 0, count: 64)
    private var used = 0
    private static let tagBits: UInt64 = 0xFFFF_FFFF_0000_0000

    /// - Parameters:
    ///   - lists: all lists so far; list `n` is `lists[starts[n]..<starts[n + 1]]`.
    ///   - starts: one more entry than there are lists.
    /// - Returns: The number of the list, which is appended if it is new.
    mutating func intern(_ list: [UInt64], into lists: inout [UInt64], _ starts: inout [Int32]) -> Int32 {
        let hash = Self.hash(list)
        let tag = hash & Self.tagBits
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if slots[slot] & Self.tagBits == tag {
                let number = Int(slots[slot] & 0xFFFF_FFFF) - 1
                if lists[Int(starts[number])..<Int(starts[number + 1])].elementsEqual(list) { return Int32(number) }
            }
            slot = (slot + 1) & mask
        }
        let number = starts.count - 1
        lists += list
        starts.append(Int32(lists.count))
        slots[slot] = tag | UInt64(number + 1)
        used += 1
        if 2 * used > slots.count { grow(lists, starts) }
        return Int32(number)
    }

    private mutating func grow(_ lists: [UInt64], _ starts: [Int32]) {
        slots = [UInt64](repeating: 0, count: 4 * slots.count)
        let mask = slots.count - 1
        for number in 1..<(starts.count - 1) {
            let hash = Self.hash(lists[Int(starts[number])..<Int(starts[number + 1])])
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = hash & Self.tagBits | UInt64(number + 1)
        }
    }

    private static func hash(_ list: some Sequence<UInt64>) -> UInt64 {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        for key in list { hash = mixed(hash ^ key) }
        return hash
    }
}

/// A set of keys that is cleared for nothing and used again.
struct KeySet {
    private var keys = [UInt64](repeating: 0, count: 64)
    /// A key counts if it was written since the last clearing.
    private var rounds = [UInt32](repeating: 0, count: 64)
    private var round: UInt32 = 1
    private var used = 0

    mutating func removeAll() {
        used = 0
        round &+= 1
        if round == 0 {
            rounds = [UInt32](repeating: 0, count: rounds.count)
            round = 1
        }
    }

    /// False: it was there.
    mutating func insert(_ key: UInt64) -> Bool {
        let mask = keys.count - 1
        var slot = Int(truncatingIfNeeded: mixed(key)) & mask
        while rounds[slot] == round {
            if keys[slot] == key { return false }
            slot = (slot + 1) & mask
        }
        keys[slot] = key
        rounds[slot] = round
        used += 1
        if 2 * used > keys.count { grow() }
        return true
    }

    private mutating func grow() {
        let present = keys.indices.filter { rounds[$0] == round }.map { keys[$0] }
        keys = [UInt64](repeating: 0, count: 4 * keys.count)
        rounds = [UInt32](repeating: 0, count: keys.count)
        used = 0
        for key in present { _ = insert(key) }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
@inline(__always)
func mixed(_ key: UInt64) -> UInt64 {
    var key = key &+ 0x9E37_79B9_7F4A_7C15
    key = (key ^ (key >> 30)) &* 0xBF58_476D_1CE4_E5B9
    key = (key ^ (key >> 27)) &* 0x94D0_49BB_1331_11EB
    return key ^ (key >> 31)
}

extension [UInt64] {
    /// In rising order, each once. Most lists here have one or two entries.
    mutating func sortAndDeduplicate() {
        guard count > 1 else { return }
        if count == 2 {
            if self[0] > self[1] { swapAt(0, 1) } else if self[0] == self[1] { removeLast() }
            return
        }
        sort()
        var kept = 1
        for place in 1..<count where self[place] != self[kept - 1] {
            self[kept] = self[place]
            kept += 1
        }
        removeLast(count - kept)
    }
}
