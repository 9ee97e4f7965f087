/// Byte strings with a number each, to be found as prefixes of a text.
struct ByteTrie: Sendable {
    /// Longer strings are not kept, so that a search at one position takes bounded time. No vocabulary in use has
    /// tokens anywhere near as long.
    static let longestString = 512

    /// Open addressing: key = node << 8 | byte, plus one (0 is free); value = the node it leads to.
    private var keys: [UInt64]
    private var targets: [UInt32]
    private var used = 0
    /// Number of the string that ends at a node, -1 for none. Node 0 is the root.
    private(set) var values: [Int32] = [-1]
    /// Whether a string starts with the byte.
    private var isStart = [Bool](repeating: false, count: 256)

    init() {
        keys = [UInt64](repeating: 0, count: 16)
        targets = [UInt32](repeating: 0, count: 16)
    }

    var isEmpty: Bool { values.count == 1 }

    /// A string that is there already keeps its number.
    mutating func insert(_ string: some Collection<UInt8>, value: Int32) {
        guard !string.isEmpty, string.count <= Self.longestString, values.count < 1 << 30 else { return }
        var node: UInt32 = 0
        for byte in string { node = child(node, byte) ?? addChild(node, byte) }
        if values[Int(node)] < 0 { values[Int(node)] = value }
        if let first = string.first { isStart[Int(first)] = true }
    }

    @inline(__always)
    func mayStart(with byte: UInt8) -> Bool { isStart[Int(byte)] }

    @inline(__always)
    func child(_ node: UInt32, _ byte: UInt8) -> UInt32? {
        let key = (UInt64(node) << 8 | UInt64(byte)) + 1
        let mask = keys.count - 1
        var slot = Int(truncatingIfNeeded: ByteHash.mix(key)) & mask
        while keys[slot] != 0 {
            if keys[slot] == key { return targets[slot] }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// The longest string that `text` has at `start`, and its number.
    /// - Parameter limit: where the text ends for this search.
    func longestMatch(
        in text: UnsafeRawBufferPointer, at start: Int, upTo limit: Int? = nil
    ) -> (value: Int32, length: Int)? {
        guard start < text.count, mayStart(with: text[start]) else { return nil }
        let limit = limit ?? text.count
        var node: UInt32 = 0
        var best: (value: Int32, length: Int)?
        var index = start
        while index < limit, let next = child(node, text[index]) {
            node = next
            index += 1
            if values[Int(node)] >= 0 { best = (values[Int(node)], index - start) }
        }
        return best
    }

    private mutating func addChild(_ node: UInt32, _ byte: UInt8) -> UInt32 {
        if 2 * (used + 1) > keys.count { grow() }
        let target = UInt32(values.count)
        values.append(-1)
        place((UInt64(node) << 8 | UInt64(byte)) + 1, target)
        used += 1
        return target
    }

    private mutating func place(_ key: UInt64, _ target: UInt32) {
        let mask = keys.count - 1
        var slot = Int(truncatingIfNeeded: ByteHash.mix(key)) & mask
        while keys[slot] != 0 { slot = (slot + 1) & mask }
        keys[slot] = key
        targets[slot] = target
    }

    private mutating func grow() {
        let oldKeys = keys
        let oldTargets = targets
        keys = [UInt64](repeating: 0, count: 2 * oldKeys.count)
        targets = [UInt32](repeating: 0, count: 2 * oldKeys.count)
        for (key, target) in zip(oldKeys, oldTargets) where key != 0 { place(key, target) }
    }
}
