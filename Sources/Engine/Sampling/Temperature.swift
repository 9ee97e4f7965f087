/// Divides all logits: above 1 the text gets more varied, below 1 more certain. Zero and less mean greedy, which
/// is the business of ``Sampler``.
package struct Temperature: SamplingFilter {
    package var temperature: Float

    package init(_ temperature: Float) { self.temperature = temperature }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        candidates.updateAll { $0 / temperature }
    }
}
