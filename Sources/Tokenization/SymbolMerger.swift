/// A stretch of a word: a token, or (id -1) bytes that are none.
struct Symbol: Sendable {
    var id: Int32
    var start: Int32
    var length: Int32
}

/// Tells what two neighbouring symbols become.
protocol MergeRules {
    func merge(_ left: Symbol, _ right: Symbol, in text: UnsafeRawBufferPointer) -> Merge
}

/// Merges neighbouring symbols, lowest rank first and the leftmost of equals, until no rule applies.
///
/// Short words are scanned; long ones use a heap, so that a megabyte without a break takes n log n and not n² steps.
struct SymbolMerger: Sendable {
    /// The word; filled by the caller, holds the result after `run`.
    var symbols: [Symbol] = []
    private var merges: [Merge] = []
    private var previous: [Int32] = []
    private var next: [Int32] = []
    /// rank << 32 | position of the left symbol.
    private var heap: [UInt64] = []
    /// Rules asked for, a measure of the work that does not depend on the machine.
    private(set) var lookups = 0

    private static let longestScan = 40

    mutating func run(_ rules: some MergeRules, in text: UnsafeRawBufferPointer) {
        guard symbols.count > 1 else { return }
        lookups += symbols.count - 1
        merges.removeAll(keepingCapacity: true)
        for index in 1..<symbols.count { merges.append(rules.merge(symbols[index - 1], symbols[index], in: text)) }
        if symbols.count <= Self.longestScan { scan(rules, text) } else { mergeWithHeap(rules, text) }
    }

    /// `merges[i]` is the merge of symbols i and i + 1.
    private mutating func scan(_ rules: some MergeRules, _ text: UnsafeRawBufferPointer) {
        while true {
            var best = 0
            var rank = UInt32.max
            for index in 0..<merges.count where merges[index].rank < rank {
                best = index
                rank = merges[index].rank
            }
            guard rank != .max else { return }
            symbols[best].id = merges[best].id
            symbols[best].length += symbols[best + 1].length
            symbols.remove(at: best + 1)
            merges.remove(at: best)
            if best > 0 { merges[best - 1] = rules.merge(symbols[best - 1], symbols[best], in: text) }
            if best < merges.count { merges[best] = rules.merge(symbols[best], symbols[best + 1], in: text) }
            lookups += 2
        }
    }

    /// Symbols form a linked list here; a merged right symbol gets length -1. An entry of the heap counts only while
    /// its rank is still that of the pair at its position.
    private mutating func mergeWithHeap(_ rules: some MergeRules, _ text: UnsafeRawBufferPointer) {
        let count = symbols.count
        merges.append(.none)
        previous = (0..<count).map { Int32($0) - 1 }
        next = (0..<count).map { Int32($0) + 1 }
        heap.removeAll(keepingCapacity: true)
        for index in 0..<count where merges[index].rank != .max {
            heap.append(UInt64(merges[index].rank) << 32 | UInt64(index))
        }
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }

        while let top = heap.first {
            removeTop()
            let left = Int(top & 0xffff_ffff)
            guard symbols[left].length >= 0, merges[left].rank == UInt32(top >> 32) else { continue }
            let right = Int(next[left])
            symbols[left].id = merges[left].id
            symbols[left].length += symbols[right].length
            symbols[right].length = -1
            merges[right] = .none
            next[left] = next[right]
            if Int(next[left]) < count { previous[Int(next[left])] = Int32(left) }
            if previous[left] >= 0 { renew(Int(previous[left]), rules, text) }
            renew(left, rules, text)
        }
        symbols.removeAll { $0.length < 0 }
    }

    private mutating func renew(_ left: Int, _ rules: some MergeRules, _ text: UnsafeRawBufferPointer) {
        let right = Int(next[left])
        lookups += 1
        merges[left] = right < symbols.count ? rules.merge(symbols[left], symbols[right], in: text) : .none
        if merges[left].rank != .max { insert(UInt64(merges[left].rank) << 32 | UInt64(left)) }
    }

    // MARK: Binary heap, smallest first

    private mutating func insert(_ key: UInt64) {
        heap.append(key)
        var index = heap.count - 1
        while index > 0, heap[(index - 1) / 2] > key {
            heap[index] = heap[(index - 1) / 2]
            index = (index - 1) / 2
        }
        heap[index] = key
    }

    private mutating func removeTop() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        heap[0] = last
        siftDown(0)
    }

    private mutating func siftDown(_ start: Int) {
        let key = heap[start]
        var index = start
        while 2 * index + 1 < heap.count {
            var child = 2 * index + 1
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < key else { break }
            heap[index] = heap[child]
            index = child
        }
        heap[index] = key
    }
}
