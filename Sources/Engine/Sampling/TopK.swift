/// Keeps the `k` most likely tokens (Fan et al., "Hierarchical Neural Story Generation", 2018).
package struct TopK: SamplingFilter {
    package var k: Int

    package init(_ k: Int) { self.k = k }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        guard k > 0, k < candidates.count else { return }
        candidates.sortPrefix(k)
        candidates.keepFirst(k)
    }
}
