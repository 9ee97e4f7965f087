/// Keeps the tokens whose information content is nearest to the expected one, until they reach the probability
/// `p` (Meister et al., "Locally Typical Sampling", 2022).
package struct TypicalP: SamplingFilter {
    package var p: Float

    package init(_ p: Float) { self.p = p }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        guard p < 1, candidates.softmax() else { return }
        var entropy = 0.0
        for i in 0..<candidates.count {
            let probability = Double(candidates[i].probability)
            if probability > 0 { entropy -= probability * SamplingMath.log(probability) }
        }
        candidates.rankAll { candidate in
            candidate.probability > 0
                ? Float((-SamplingMath.log(Double(candidate.probability)) - entropy).magnitude) : .infinity
        }
        candidates.sortByRank()
        var sum = 0.0
        for i in 0..<candidates.count {
            sum += Double(candidates[i].probability)
            if sum >= Double(p) {
                candidates.keepFirst(i + 1)
                return
            }
        }
    }
}
