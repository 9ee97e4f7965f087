/// "Don't repeat yourself": lowers the logits of tokens that would continue a sequence that already occurred.
///
/// When the last n tokens occurred before, n ≥ ``allowedLength``, the token that followed them there loses
/// multiplier · base^(n − allowedLength). A breaker token ends a sequence and is never penalised, so that
/// structure such as line breaks and speaker names stays free. Described by its author p-e-w in pull request 5677
/// of oobabooga's text-generation-webui, 2024.
package struct DRYPenalty: SamplingFilter {
    package var multiplier: Float
    package var base: Float
    package var allowedLength: Int
    /// How many of the last tokens are searched; negative: all.
    package var window: Int
    package var breakers: Set<Int32>

    /// `matches[i]`: how many tokens, read backwards, agree between the end of the text and i tokens before it.
    private var matches: [Int] = []
    /// The longest sequence that each token would continue.
    private var longest: [Int32: Int] = [:]

    package init(
        multiplier: Float, base: Float = 1.75, allowedLength: Int = 2, window: Int = -1, breakers: Set<Int32> = []
    ) {
        self.multiplier = multiplier
        self.base = base
        self.allowedLength = Swift.max(allowedLength, 1)
        self.window = window
        self.breakers = breakers
    }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        let tokens = history.tokens
        let size = window < 0 ? tokens.count : Swift.min(window, tokens.count)
        guard size > allowedLength else { return }
        // How far a repeated sequence can reach back before it meets a breaker.
        var limit = 0
        while limit < size, !breakers.contains(tokens[tokens.count - 1 - limit]) { limit += 1 }
        guard limit >= allowedLength else { return }

        findMatches(tokens, size)
        longest.removeAll(keepingCapacity: true)
        for i in 1..<size {
            let length = Swift.min(matches[i], limit)
            let next = tokens[tokens.count - i]
            guard length >= allowedLength, !breakers.contains(next) else { continue }
            longest[next] = Swift.max(longest[next] ?? 0, length)
        }
        let growth = SamplingMath.log(Double(base))
        for (id, length) in longest {
            let penalty = Double(multiplier) * SamplingMath.exp(Double(length - allowedLength) * growth)
            candidates.update(id) { Float(Double($0) - Swift.min(penalty, 1e30)) }
        }
    }

    /// The Z function of the last `size` tokens read backwards (Gusfield, "Algorithms on Strings, Trees, and
    /// Sequences", 1997, section 1.4): linear time even for a text that repeats one token.
    private mutating func findMatches(_ tokens: [Int32], _ size: Int) {
        if matches.count < size { matches += Array(repeating: 0, count: Swift.max(size, 256) * 2 - matches.count) }
        let last = tokens.count - 1
        var left = 0
        var right = 0
        for i in 1..<size {
            var length = i < right ? Swift.min(right - i, matches[i - left]) : 0
            while i + length < size, tokens[last - length] == tokens[last - i - length] { length += 1 }
            matches[i] = length
            if i + length > right {
                left = i
                right = i + length
            }
        }
    }
}
