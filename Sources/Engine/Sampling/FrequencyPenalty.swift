/// Lowers a token's logit by the penalty for each time it occurred in the history window
/// (OpenAI API reference, `frequency_penalty`).
package struct FrequencyPenalty: SamplingFilter {
    package var penalty: Float

    package init(_ penalty: Float) { self.penalty = penalty }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        for (id, count) in history.counts { candidates.update(id) { $0 - Float(count) * penalty } }
    }
}
