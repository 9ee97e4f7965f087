/// The tokens that may come next, with their logits: what the filters of a ``Sampler`` narrow down.
///
/// The storage is made once for the whole vocabulary and used again for every token; nothing here allocates
/// after `init`. Ties are broken by the smaller token id, so every order is total and every result is the same
/// on every machine.
package struct Candidates: Sendable {
    /// The first ``count`` entries are the candidates, the rest is unused storage.
    private var items: [Candidate]
    package private(set) var count = 0
    /// The first so many candidates are the best ones in falling order of logit.
    private var sortedCount = 0
    /// True while candidate `i` is token `i`.
    private var isDense = false

    /// - Parameter vocabularySize: the most logits that ``load(_:)`` will be given.
    package init(vocabularySize: Int) {
        items = Array(
            repeating: Candidate(id: 0, logit: 0, probability: 0, rank: 0), count: Swift.max(vocabularySize, 0))
    }

    /// Starts anew with one candidate for each logit.
    package mutating func load(_ logits: UnsafeBufferPointer<Float>) {
        precondition(logits.count <= items.count, "more logits than the vocabulary that the sampler was made for")
        for i in 0..<logits.count {
            items[i] = Candidate(id: Int32(i), logit: sanitized(logits[i]), probability: 0, rank: 0)
        }
        count = logits.count
        sortedCount = 0
        isDense = true
    }

    package subscript(index: Int) -> Candidate { items[index] }

    /// The largest logit, `-inf` when no token can be chosen.
    package var largestLogit: Float {
        if sortedCount > 0 { return items[0].logit }
        var largest = -Float.infinity
        for i in 0..<count where items[i].logit > largest { largest = items[i].logit }
        return largest
    }

    /// Changes the logit of one token, if it is still a candidate.
    package mutating func update(_ id: Int32, _ change: (Float) -> Float) {
        if isDense {
            guard id >= 0, Int(id) < count else { return }
            items[Int(id)].logit = sanitized(change(items[Int(id)].logit))
        } else {
            for i in 0..<count where items[i].id == id {
                items[i].logit = sanitized(change(items[i].logit))
            }
        }
        sortedCount = 0
    }

    /// Changes every logit; `change` must keep their order.
    package mutating func updateAll(_ change: (Float) -> Float) {
        for i in 0..<count { items[i].logit = sanitized(change(items[i].logit)) }
    }

    /// Writes the key by which ``sortByRank()`` sorts.
    package mutating func rankAll(_ rank: (Candidate) -> Float) {
        for i in 0..<count { items[i].rank = rank(items[i]) }
    }

    /// Writes the probability of each candidate among the candidates.
    ///
    /// - Returns: false, with nothing written, when no candidate can be chosen.
    package mutating func softmax() -> Bool {
        let largest = largestLogit
        guard largest > -.infinity else { return false }
        var sum = 0.0
        for i in 0..<count {
            let weight = SamplingMath.exp(Double(items[i].logit) - Double(largest))
            items[i].probability = Float(weight)
            sum += weight
        }
        for i in 0..<count { items[i].probability = Float(Double(items[i].probability) / sum) }
        return true
    }

    /// Makes the first `n` candidates the best ones in falling order of logit, without sorting the others.
    package mutating func sortPrefix(_ n: Int) {
        let n = Swift.min(n, count)
        guard n > sortedCount else { return }
        isDense = false
        selectAndSort(from: sortedCount, to: n) { a, b in
            a.logit != b.logit ? a.logit > b.logit : a.id < b.id
        }
        sortedCount = n
    }

    /// Sorts all candidates by rising ``Candidate/rank``.
    package mutating func sortByRank() {
        isDense = false
        sortedCount = 0
        selectAndSort(from: 0, to: count) { a, b in
            a.rank != b.rank ? a.rank < b.rank : a.id < b.id
        }
    }

    /// Drops all candidates but the first `n`.
    package mutating func keepFirst(_ n: Int) {
        count = Swift.min(n, count)
        sortedCount = Swift.min(sortedCount, count)
        isDense = false
    }

    /// Drops the first `n` candidates.
    package mutating func dropFirst(_ n: Int) {
        let n = Swift.min(n, count)
        for i in n..<count { items[i - n] = items[i] }
        count -= n
        sortedCount = Swift.max(sortedCount - n, 0)
        isDense = false
    }

    /// Keeps the candidates that satisfy `condition`, in their order.
    package mutating func keep(where condition: (Candidate) -> Bool) {
        var kept = 0
        var keptSorted = 0
        for i in 0..<count where condition(items[i]) {
            items[kept] = items[i]
            kept += 1
            if i < sortedCount { keptSorted = kept }
        }
        count = kept
        sortedCount = keptSorted
        isDense = false
    }

    /// Moves what `precedes` puts first among `start..<count` to `start..<end`, in order.
    ///
    /// A heap of the wanted size whose root is the worst kept candidate: one pass over the others, then heapsort.
    /// It works in place, and its time is bounded by n·log(end − start) whatever the logits are.
    private mutating func selectAndSort(
        from start: Int, to end: Int, by precedes: (Candidate, Candidate) -> Bool
    ) {
        let size = end - start
        guard size > 0 else { return }
        items.withUnsafeMutableBufferPointer { items in
            func siftDown(_ root: Int, _ size: Int) {
                var parent = root
                while true {
                    var worst = 2 * parent + 1
                    guard worst < size else { return }
                    if worst + 1 < size, precedes(items[start + worst], items[start + worst + 1]) { worst += 1 }
                    guard precedes(items[start + parent], items[start + worst]) else { return }
                    items.swapAt(start + parent, start + worst)
                    parent = worst
                }
            }
            for root in stride(from: size / 2 - 1, through: 0, by: -1) { siftDown(root, size) }
            for i in end..<count where precedes(items[i], items[start]) {
                items.swapAt(i, start)
                siftDown(0, size)
            }
            for last in stride(from: size - 1, to: 0, by: -1) {
                items.swapAt(start, start + last)
                siftDown(0, last)
            }
        }
    }
}

/// A model or a filter may produce NaN or infinities. NaN is never chosen, and an infinite logit must not turn
/// the differences that softmax takes into NaN.
private func sanitized(_ logit: Float) -> Float {
    if logit.isNaN { return -.infinity }
    return Swift.min(logit, .greatestFiniteMagnitude)
}
