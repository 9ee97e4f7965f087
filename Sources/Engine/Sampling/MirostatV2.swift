/// Holds the surprise of the text near a target by feeding back that of each token drawn (Basu et al.,
/// "Mirostat: A Neural Text Decoding Algorithm that Directly Controls Perplexity", 2020, in the form without an
/// estimated Zipf exponent that its authors call version 2).
package struct MirostatV2: Sendable {
    /// Target surprise in bits.
    package var tau: Float
    /// How fast the limit follows.
    package var eta: Float
    /// Tokens with more surprise than this are not drawn; starts at 2·tau.
    package private(set) var limit: Float

    package init(tau: Float = 5, eta: Float = 0.1) {
        self.tau = tau
        self.eta = eta
        limit = 2 * tau
    }

    /// Draws one of the candidates, nil when none can be chosen.
    package mutating func draw(from candidates: inout Candidates, random: inout RandomSource) -> Int32? {
        guard candidates.softmax() else { return nil }
        candidates.sortPrefix(1)
        let lowest = SamplingMath.exp(-Double(limit) * SamplingMath.ln2)
        let best = candidates[0].id
        candidates.keep { Double($0.probability) >= lowest || $0.id == best }
        guard let drawn = candidates.draw(random: &random) else { return nil }
        let surprise = -SamplingMath.log(Double(drawn.probability)) / SamplingMath.ln2
        limit -= Float(Double(eta) * (surprise - Double(tau)))
        return drawn.id
    }
}
