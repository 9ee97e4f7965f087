/// "Exclude top choices": with some probability removes all tokens at or above a threshold but the least likely
/// of them, so that a text leaves its beaten track without ever taking an implausible token.
///
/// Described by its author p-e-w in pull request 6335 of oobabooga's text-generation-webui, 2024.
package struct XTC: SamplingFilter {
    /// How often the filter acts.
    package var probability: Float
    package var threshold: Float

    package init(probability: Float, threshold: Float = 0.1) {
        self.probability = probability
        self.threshold = threshold
    }

    package mutating func apply(
        to candidates: inout Candidates, history: TokenHistory, random: inout RandomSource
    ) {
        // Above one half no two tokens can reach the threshold.
        guard probability > 0, threshold <= 0.5, candidates.count > 1 else { return }
        guard random.nextUnit() < Double(probability), candidates.softmax() else { return }
        var above = 0
        for i in 0..<candidates.count where candidates[i].probability >= Swift.max(threshold, .leastNonzeroMagnitude) {
            above += 1
        }
        guard above > 1 else { return }
        candidates.sortPrefix(above)
        candidates.dropFirst(above - 1)
    }
}
