/// Makes tokens that occurred in the history window less likely by a factor: a positive logit is divided by the
/// penalty, a negative one multiplied.
///
/// Keskar et al., "CTRL: A Conditional Transformer Language Model for Controllable Generation", 2019, section 4.1;
/// the sign rule is the one in common use since, without which a negative logit would grow.
package struct RepetitionPenalty: SamplingFilter {
    package var penalty: Float

    package init(_ penalty: Float) { self.penalty = penalty }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        for id in history.counts.keys {
            candidates.update(id) { $0 > 0 ? $0 / penalty : $0 * penalty }
        }
    }
}
