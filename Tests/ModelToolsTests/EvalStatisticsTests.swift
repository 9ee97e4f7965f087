import Foundation
import Testing

@testable import ModelTools

@Suite struct EvalStatisticsTests {
    // MARK: Windows

    @Test(
        arguments: [
            (10, 4, 2, false, [(0..<4, 1..<4), (2..<6, 4..<6), (4..<8, 6..<8), (6..<10, 8..<10)]),
            (10, 4, 4, false, [(0..<4, 1..<4), (4..<8, 5..<8), (8..<10, 9..<10)]),
            // A single token has nothing before it.
            (9, 4, 4, false, [(0..<4, 1..<4), (4..<8, 5..<8)]),
            (7, 4, 3, true, [(0..<3, 0..<3), (3..<6, 3..<6), (6..<7, 6..<7)]),
            (5, 4, 1, true, [(0..<3, 0..<3), (1..<4, 3..<4), (2..<5, 4..<5)]),
            (3, 8, 4, false, [(0..<3, 1..<3)]),
            // A stride of the whole window, the lead included, leaves nothing out.
            (6, 4, 4, true, [(0..<3, 0..<3), (3..<6, 3..<6)]),
            (1, 4, 2, false, []),
        ] as [(Int, Int, Int, Bool, [(Range<Int>, Range<Int>)])])
    func windows(count: Int, length: Int, stride: Int, hasLead: Bool, expected: [(Range<Int>, Range<Int>)]) {
        let found = ScoringWindow.windows(count: count, length: length, stride: stride, hasLead: hasLead)
        #expect(found == expected.map { ScoringWindow(tokens: $0.0, scored: $0.1) })
    }

    @Test(arguments: [2, 3, 7, 64], [false, true])
    func everyTokenIsScoredOnce(length: Int, hasLead: Bool) {
        for count in 2...40 {
            for stride in 1..<length {
                let windows = ScoringWindow.windows(count: count, length: length, stride: stride, hasLead: hasLead)
                #expect(windows.flatMap { Array($0.scored) } == Array((hasLead ? 0 : 1)..<count))
                for window in windows.dropFirst() {
                    #expect(window.tokens.count + (hasLead ? 1 : 0) <= length)
                    #expect(window.scored.lowerBound - window.tokens.lowerBound >= length - stride - (hasLead ? 1 : 0))
                }
            }
        }
    }

    // MARK: Probabilities

    private func withLogits<T>(_ values: [Float], _ body: (UnsafeBufferPointer<Float>) -> T) -> T {
        values.withUnsafeBufferPointer(body)
    }

    @Test func lossOfAToken() {
        // Probabilities 1/8, 4/8, 3/8.
        withLogits([0, log(4), log(3)]) { logits in
            let best = LogProbability.maximum(logits)
            #expect(best?.index == 1)
            for (token, share) in [0.125, 0.5, 0.375].enumerated() {
                let loss = LogProbability.loss(logits, of: token, maximum: best?.value ?? 0)
                #expect(abs(loss + log(share)) < 1e-6)
            }
        }
        // Far from overflow, whatever the logits are.
        withLogits([3e38, -3e38]) { #expect(LogProbability.loss($0, of: 0, maximum: 3e38) == 0) }
        withLogits([1, 5, 5]) { #expect(LogProbability.maximum($0)?.index == 1) }
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func logitsThatAreNoNumbers(value: Float) {
        withLogits([1, value, 2]) { #expect(LogProbability.maximum($0) == nil) }
    }

    @Test func divergenceByHand() {
        // p = (1/2, 1/2), q = (3/4, 1/4): ½ ln(2/3) + ½ ln 2.
        let expected = 0.5 * log(2.0 / 3) + 0.5 * log(2.0)
        let found = withLogits([7, 7]) { reference in
            withLogits([log(3), 0]) { model in
                LogProbability.compare(
                    reference: reference, referenceMaximum: 7, model: model, modelMaximum: log(3), token: 1)
            }
        }
        #expect(abs(found.divergence - expected) < 1e-7)
        #expect(abs(found.referenceLoss - log(2)) < 1e-7)
        #expect(abs(found.modelLoss - log(4)) < 1e-7)
    }

    // MARK: Summaries

    @Test func meansAndTheirErrors() throws {
        // Variance of the sample 32/7; its root over the root of 8.
        let estimate = try #require(Estimate(mean: [2, 4, 4, 4, 5, 5, 7, 9]))
        #expect(abs(estimate.value - 5) < 1e-12)
        #expect(abs((estimate.standardError ?? 0) - (32.0 / 7 / 8).squareRoot()) < 1e-12)
        #expect(Estimate(mean: []) == nil)
        #expect(Estimate(mean: [3])?.standardError == nil)
    }

    @Test func partsOfASumAddUp() {
        let values = (0..<100).map { sin(Double($0)) * 1e3 + 1e6 }
        var whole = SampleSums()
        values.forEach { whole.add($0) }
        var parts = SampleSums()
        for piece in [values[..<1], values[1..<40], values[40..<40], values[40...]] {
            var part = SampleSums()
            piece.forEach { part.add($0) }
            parts.add(part)
        }
        #expect(parts.count == 100)
        #expect(abs(parts.mean - whole.mean) < 1e-6)
        #expect(abs(parts.variance / whole.variance - 1) < 1e-9)
    }

    /// As numpy.quantile has them.
    @Test func quantiles() {
        let quantiles = Quantiles([4, 1, 3, 2])
        #expect(quantiles.value(at: 0.5) == 2.5)
        #expect(quantiles.value(at: 0) == 1)
        #expect(quantiles.value(at: 1) == 4)
        #expect(abs((quantiles.value(at: 0.9) ?? 0) - 3.7) < 1e-12)
        #expect(Quantiles([]).value(at: 0.5) == nil)
    }
}
