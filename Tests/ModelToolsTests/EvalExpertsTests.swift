import Engine
import Foundation
import TestSupport
import Testing

@testable import ModelTools

@Suite struct EvalExpertsTests {
    private func statistics(_ experts: Int, _ picks: [[Int32]]) -> ExpertStatistics {
        var statistics = ExpertStatistics(experts: experts)
        for token in picks { statistics.add(token) }
        return statistics
    }

    private static let sequence: [[Int32]] = [[0, 1], [1, 2], [0, 1], [3, 1]]

    @Test func loads() {
        let found = statistics(4, Self.sequence)
        #expect(found.tokens == 4)
        #expect(found.picks == 8)
        #expect(found.loads == [2, 4, 1, 1])
        #expect(found.shares == [0.5, 1, 0.25, 0.25])
        // Picks in shares of 1/4, 1/2, 1/8, 1/8.
        #expect(abs(found.entropy - 1.75) < 1e-12)
        #expect(abs(statistics(8, (0..<8).map { [$0] }).entropy - 3) < 1e-12)
        #expect(statistics(8, [[5], [5]]).entropy == 0)
    }

    @Test func repeats() {
        let found = statistics(4, Self.sequence)
        // One apart: 1; 1; 1. Two apart: 0 and 1; 1. Three apart: 1.
        #expect(found.repeats(after: 1) == 3.0 / 6)
        #expect(found.repeats(after: 2) == 3.0 / 4)
        #expect(found.repeats(after: 3) == 1.0 / 2)
        #expect(found.repeats(after: 4) == nil)
        #expect(found.repeats(after: 0) == nil)
        // Σ shares² over two picks per token.
        #expect(abs(found.repeatsByChance - (0.25 + 1 + 0.0625 + 0.0625) / 2) < 1e-12)
    }

    @Test func repeatsAcrossALongSequence() {
        // An expert of its own every 16 tokens.
        let found = statistics(16, (0..<100).map { [Int32($0 % 16)] })
        for distance in 1..<16 { #expect(found.repeats(after: distance) == 0) }
        #expect(found.repeats(after: 16) == 1)
    }

    @Test func sequencesAreApart() {
        var found = statistics(4, [[0], [1]])
        found.startSequence()
        found.add([1])
        #expect(found.repeats(after: 1) == 0)
        #expect(found.repeats(after: 2) == nil)
        // The cache still has it.
        #expect(found.hitRate(cache: 1) == 1.0 / 3)
    }

    @Test func pairs() {
        let found = statistics(4, Self.sequence).pairs(most: 9)
        #expect(found.map { [$0.first, $0.second, $0.tokens] } == [[0, 1, 2], [1, 2, 1], [1, 3, 1]])
        // 4 pairs in shares of 8, 2, 2, 4, 4 and 1 out of 21.
        for pair in found { #expect(abs(pair.lift - 1.3125) < 1e-12) }
        #expect(statistics(4, [[0, 1], [2, 3]]).pairs(most: 1).first?.lift == 3)
        #expect(statistics(4, Self.sequence).pairs(most: 0).isEmpty)
    }

    /// Against a cache that is kept as one is.
    @Test(arguments: [1, 2, 3])
    func hitRates(topK: Int) {
        var random = SeededRandom(seed: 7)
        let experts = 9
        let picks: [[Int32]] = random.floats(300 * topK, scale: 1).chunks(of: topK).map { values in
            var token: [Int32] = []
            for value in values {
                var pick = Int32((value + 1) * (value + 1) * 2.2)
                while token.contains(pick) { pick = (pick + 1) % Int32(experts) }
                token.append(pick)
            }
            return token
        }
        let found = statistics(experts, picks)
        for size in 0...experts {
            var cache: [Int32] = []
            var hits = 0
            for pick in picks.joined() {
                if cache.contains(pick) { hits += 1 }
                cache.removeAll { $0 == pick }
                cache.append(pick)
                if cache.count > size { cache.removeFirst() }
            }
            #expect(found.hitRate(cache: size) == Double(hits) / Double(300 * topK), "\(size)")
        }
    }

    @Test func nothingAtAll() {
        let found = ExpertStatistics(experts: 4)
        #expect(found.entropy == 0 && found.hitRate(cache: 4) == 0 && found.repeatsByChance == 0)
        #expect(found.pairs(most: 3).isEmpty && found.shares == [0, 0, 0, 0])
    }

    /// Every layer sees every token of the text once, whatever the batch.
    @Test func aModelIsWatched() throws {
        var found: [[[Int]]] = []
        for batchSize in [3, 64] {
            let observer = ExpertObserver()
            var options = EngineOptions(threads: 2, batchSize: batchSize)
            options.observer = observer
            let model = try Model.load(try ToyModel.qwen35moe.file(), options: options)
            let text = try ScoredText(
                tokens: (0..<50).map { Int32($0 * 5) }, length: 20, stride: 20, lead: nil, capacity: 20)
            try observer.run(text, model) { _, _ in true }
            let statistics = observer.statistics
            #expect(statistics.map { $0.layer } == [0, 1])
            for (_, layer) in statistics {
                #expect(layer.experts == 4)
                #expect(layer.tokens == 50)
                #expect(layer.picks == 100)
                #expect(layer.hitRate(cache: 4) >= 0.96)
            }
            found.append(statistics.map { $0.statistics.loads })
            #expect(throws: EvaluationError.cancelled) { try observer.run(text, model) { done, _ in done < 20 } }
        }
        #expect(found[0] == found[1])
    }
}

extension [Float] {
    fileprivate func chunks(of size: Int) -> [[Float]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}
