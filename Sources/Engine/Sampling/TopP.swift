/// Keeps the most likely tokens that together reach the probability `p`: nucleus sampling (Holtzman et al.,
/// "The Curious Case of Neural Text Degeneration", 2019).
package struct TopP: SamplingFilter {
    package var p: Float

    package init(_ p: Float) { self.p = p }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        guard p < 1, candidates.softmax() else { return }
        var sum = 0.0
        var sorted = 0
        for i in 0..<candidates.count {
            if i == sorted {
                // A nucleus is small as a rule: sort no more than it needs.
                sorted = Swift.max(64, sorted * 4)
                candidates.sortPrefix(sorted)
            }
            sum += Double(candidates[i].probability)
            if sum >= Double(p) {
                candidates.keepFirst(i + 1)
                return
            }
        }
    }
}
