/// Adds a fixed amount to the logits of chosen tokens; `-inf` bans a token.
package struct LogitBias: SamplingFilter {
    package var bias: [Int32: Float]

    package init(_ bias: [Int32: Float]) { self.bias = bias }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        for (id, amount) in bias { candidates.update(id) { $0 + amount } }
    }
}
