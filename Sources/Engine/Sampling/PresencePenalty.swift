/// Lowers the logit of each token that occurred in the history window by the penalty, however often it occurred
/// (OpenAI API reference, `presence_penalty`).
package struct PresencePenalty: SamplingFilter {
    package var penalty: Float

    package init(_ penalty: Float) { self.penalty = penalty }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        for id in history.counts.keys { candidates.update(id) { $0 - penalty } }
    }
}
