/// One step of a ``Sampler``: changes logits or removes candidates.
///
/// A filter never removes the last candidate that can still be chosen.
package protocol SamplingFilter: Sendable {
    mutating func apply(to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource)
}
