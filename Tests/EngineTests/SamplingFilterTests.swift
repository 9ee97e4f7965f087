import Engine
import Foundation
import Testing

/// Applies `filter` to the distribution with the given probabilities.
private func apply(
    _ filter: some SamplingFilter, probabilities: [Float], history: [Int32] = [], window: Int = -1, seed: UInt64 = 1
) -> [Candidate] {
    apply(filter, logits: probabilities.map { Float(log(Double($0))) }, history: history, window: window, seed: seed)
}

private func apply(
    _ filter: some SamplingFilter, logits: [Float], history tokens: [Int32] = [], window: Int = -1, seed: UInt64 = 1
) -> [Candidate] {
    var filter = filter
    var candidates = Candidates(vocabularySize: logits.count)
    logits.withUnsafeBufferPointer { candidates.load($0) }
    var history = TokenHistory(window: window)
    for token in tokens { history.append(token) }
    var random = RandomSource(seed: seed)
    filter.apply(to: &candidates, history: history, random: &random)
    return (0..<candidates.count).map { candidates[$0] }
}

@Suite struct SamplingFilterTests {
    @Test(arguments: [
        (1, [2]), (2, [2, 0]), (3, [2, 0, 3]), (4, [0, 1, 2, 3]), (0, [0, 1, 2, 3]), (9, [0, 1, 2, 3]),
    ])
    func topKKeepsTheBest(k: Int, expected: [Int32]) {
        #expect(apply(TopK(k), logits: [3, -1, 5, 2]).map(\.id) == expected)
    }

    // Cumulated: 0.5, 0.75, 0.9, 1.
    @Test(
        arguments: [
            (0, [1]), (0.3, [1]), (0.6, [1, 3]), (0.8, [1, 3, 0]), (0.95, [1, 3, 0, 2]),
        ] as [(Float, [Int32])])
    func topPKeepsTheNucleus(p: Float, expected: [Int32]) {
        #expect(apply(TopP(p), probabilities: [0.15, 0.5, 0.1, 0.25]).map(\.id) == expected)
    }

    @Test func topPSortsFurtherWhenTheNucleusIsLarge() {
        let kept = apply(TopP(0.5), probabilities: Array(repeating: 0.001, count: 1000))
        #expect((500...501).contains(kept.count))
        #expect(kept.map(\.id) == Array(0..<Int32(kept.count)))
    }

    // The most likely has 0.5: thresholds 0.05, 0.12, 0.2, 0.5.
    @Test(
        arguments: [
            (0.1, [0, 1, 2, 3]), (0.24, [0, 1, 3]), (0.4, [1, 3]), (1, [1]),
        ] as [(Float, [Int32])])
    func minPComparesWithTheMostLikely(p: Float, expected: [Int32]) {
        #expect(apply(MinP(p), probabilities: [0.15, 0.5, 0.1, 0.25]).map(\.id) == expected)
    }

    // Entropy 1.75 bits; information 1, 2, 3, 3 bits: distances 0.75, 0.25, 1.25, 1.25.
    @Test(
        arguments: [
            (0.2, [1]), (0.7, [1, 0]), (0.8, [1, 0, 2]), (0.9, [1, 0, 2, 3]),
        ] as [(Float, [Int32])])
    func typicalPOrdersByDistanceFromTheEntropy(p: Float, expected: [Int32]) {
        #expect(apply(TypicalP(p), probabilities: [0.5, 0.25, 0.125, 0.125]).map(\.id) == expected)
    }

    @Test func xtcLeavesTheLeastLikelyOfTheTopChoices() {
        let probabilities: [Float] = [0.3, 0.4, 0.1, 0.2]
        #expect(apply(XTC(probability: 1, threshold: 0.15), probabilities: probabilities).map(\.id).sorted() == [2, 3])
        #expect(apply(XTC(probability: 1, threshold: 0.35), probabilities: probabilities).count == 4)
        #expect(apply(XTC(probability: 1, threshold: 0.6), probabilities: probabilities).count == 4)
        #expect(apply(XTC(probability: 0, threshold: 0.15), probabilities: probabilities).count == 4)
    }

    @Test func xtcActsAsOftenAsItsProbability() {
        let acted = (0..<2000).count { seed in
            apply(XTC(probability: 0.25, threshold: 0.15), probabilities: [0.6, 0.4], seed: UInt64(seed)).count == 1
        }
        #expect((420...580).contains(acted))
    }

    @Test func repetitionPenaltyDividesPositiveAndMultipliesNegative() {
        let kept = apply(RepetitionPenalty(2), logits: [4, -3, 1, 0], history: [0, 1, 0])
        #expect(kept.map(\.logit) == [2, -6, 1, 0])
    }

    @Test func frequencyPenaltyCountsAndPresenceDoesNot() {
        #expect(
            apply(FrequencyPenalty(0.5), logits: [1, 1, 1], history: [0, 0, 2, 0]).map(\.logit) == [-0.5, 1, 0.5])
        #expect(
            apply(PresencePenalty(0.5), logits: [1, 1, 1], history: [0, 0, 2, 0]).map(\.logit) == [0.5, 1, 0.5])
    }

    @Test(
        arguments: [
            (0, [0, 0, 0]), (1, [0, 0, -1]), (2, [0, -1, -1]), (3, [0, -2, -1]), (4, [-1, -2, -1]), (-1, [-1, -2, -1]),
        ] as [(Int, [Float])])
    func penaltiesSeeOnlyTheWindow(window: Int, expected: [Float]) {
        let kept = apply(FrequencyPenalty(1), logits: [0, 0, 0], history: [0, 1, 1, 2], window: window)
        #expect(kept.map(\.logit) == expected)
    }

    @Test func logitBiasAddsAndBans() {
        let kept = apply(LogitBias([0: 2, 2: -.infinity, 7: 1, -1: 1]), logits: [1, 1, 1])
        #expect(kept.map(\.logit) == [3, 1, -.infinity])
    }

    @Test func temperatureDivides() {
        #expect(apply(Temperature(2), logits: [4, -2, -.infinity]).map(\.logit) == [2, -1, -.infinity])
        #expect(apply(Temperature(1e-6), logits: [3e38, 0]).map(\.logit) == [.greatestFiniteMagnitude, 0])
    }

    /// After 1 2 3 4 1 2 3 the token 4 would make a repetition of three.
    @Test func dryPenalisesWhatWouldContinueARepetition() {
        let kept = apply(
            DRYPenalty(multiplier: 0.5, base: 2, allowedLength: 2), logits: [0, 0, 0, 0, 0, 0],
            history: [1, 2, 3, 4, 1, 2, 3])
        #expect(kept.map(\.logit) == [0, 0, 0, 0, -1, 0])
    }

    @Test(
        arguments: [
            (4, [], [], 0),  // three repeated tokens are allowed
            (3, [], [], -0.5),
            (2, [2], [], 0),  // the breaker leaves one repeated token
            (1, [2], [], -0.5),
            (2, [3], [], 0),  // the text ends in a breaker
            (2, [4], [], 0),  // a breaker is never penalised
        ] as [(Int, Set<Int32>, [Int32], Float)])
    func dryKeepsToItsLimits(allowed: Int, breakers: Set<Int32>, prefix: [Int32], expected: Float) {
        let kept = apply(
            DRYPenalty(multiplier: 0.5, base: 2, allowedLength: allowed, breakers: breakers),
            logits: Array(repeating: 0, count: 6), history: prefix + [1, 2, 3, 4, 1, 2, 3])
        #expect(kept[4].logit == expected)
    }

    @Test func dryTakesTheLongestMatchAndItsWindow() {
        // "2 3" was followed by 5, "1 2 3" by 4.
        let history: [Int32] = [1, 2, 3, 4, 0, 2, 3, 5, 1, 2, 3]
        let all = apply(
            DRYPenalty(multiplier: 1, base: 2, allowedLength: 2), logits: [0, 0, 0, 0, 0, 0], history: history)
        #expect(all.map(\.logit) == [0, 0, 0, 0, -2, -1])
        let near = apply(
            DRYPenalty(multiplier: 1, base: 2, allowedLength: 2, window: 7), logits: [0, 0, 0, 0, 0, 0],
            history: history)
        #expect(near.map(\.logit) == [0, 0, 0, 0, 0, -1])
    }

    @Test func dryStaysFiniteAndFastOnOneRepeatedToken() {
        let kept = apply(
            DRYPenalty(multiplier: 1), logits: [0, 0], history: Array(repeating: 1, count: 200_000))
        #expect(kept[0].logit == 0)
        #expect(kept[1].logit < -1e20 && kept[1].logit.isFinite)
    }

    @Test func filtersKeepWhatCannotBeChosenOutAndNeverFail() {
        let filters: [any SamplingFilter] = [
            LogitBias([0: 1]), RepetitionPenalty(1.1), FrequencyPenalty(1), PresencePenalty(1),
            DRYPenalty(multiplier: 1), TopK(2), TypicalP(0.5), TopP(0.5), MinP(0.5), XTC(probability: 1),
            Temperature(0.5),
        ]
        let inputs: [[Float]] = [
            [], [1], [.nan], [-.infinity, -.infinity], [.nan, 3, -.infinity], [.infinity, .infinity, 0],
            [3e38, -3e38, 3e38],
        ]
        for filter in filters {
            for logits in inputs {
                let kept = apply(filter, logits: logits, history: [0, 0, 1, 0, 0])
                #expect(kept.allSatisfy { !$0.logit.isNaN && $0.logit < .infinity })
                let possible = logits.contains { $0 > -.infinity }
                #expect(possible == kept.contains { $0.logit > -.infinity })
            }
        }
    }
}
