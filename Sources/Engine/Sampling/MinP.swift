/// Keeps the tokens that are at least `p` times as likely as the most likely one (Nguyen et al., "Turning Up the
/// Heat: Min-p Sampling for Creative and Coherent LLM Outputs", 2024).
package struct MinP: SamplingFilter {
    package var p: Float

    package init(_ p: Float) { self.p = p }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        let largest = candidates.largestLogit
        guard p > 0, largest > -.infinity else { return }
        let threshold = Double(largest) + SamplingMath.log(Double(Swift.min(p, 1)))
        candidates.keep { Double($0.logit) >= threshold }
    }
}
