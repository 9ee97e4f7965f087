import Engine
import Foundation
import Testing

private func draws(_ parameters: SamplingParameters, logits: [Float], count: Int) -> [Int32?] {
    var sampler = Sampler(parameters, vocabularySize: logits.count)
    return (0..<count).map { _ in
        let id = logits.withUnsafeBufferPointer { sampler.sample($0) }
        if let id { sampler.accept(id) }
        return id
    }
}

/// Parameters with every filter off, so that a test turns on what it means.
private func plain(_ change: (inout SamplingParameters) -> Void = { _ in }) -> SamplingParameters {
    var parameters = SamplingParameters()
    parameters.temperature = 1
    parameters.topK = 0
    parameters.topP = 1
    parameters.minP = 0
    parameters.seed = 7
    change(&parameters)
    return parameters
}

private func logits(_ probabilities: [Float]) -> [Float] { probabilities.map { Float(log(Double($0))) } }

@Suite struct SamplingTests {
    @Test func drawsFollowTheDistribution() {
        let probabilities: [Float] = [0.1, 0.6, 0.05, 0.25]
        let count = 40_000
        let drawn = draws(plain(), logits: logits(probabilities), count: count)
        var chiSquare = 0.0
        for (id, probability) in probabilities.enumerated() {
            let seen = Double(drawn.count { $0 == Int32(id) })
            let expected = Double(count) * Double(probability)
            chiSquare += (seen - expected) * (seen - expected) / expected
        }
        // 99.9 % quantile for three degrees of freedom; the seed is fixed.
        #expect(chiSquare < 16.27)
    }

    @Test func theDrawIsTheInverseOfTheCumulatedDistribution() {
        var random = RandomSource(seed: 7)
        let expected: [Int32?] = (0..<200).map { _ in
            let u = random.nextUnit()
            return u < 0.5 ? 0 : u < 0.75 ? 1 : 2
        }
        #expect(draws(plain(), logits: logits([0.5, 0.25, 0.25]), count: 200) == expected)
    }

    @Test func theSeedDecides() {
        let flat = [Float](repeating: 0, count: 100)
        let seven = draws(plain(), logits: flat, count: 50)
        #expect(seven == draws(plain(), logits: flat, count: 50))
        #expect(seven != draws(plain { $0.seed = 8 }, logits: flat, count: 50))
    }

    @Test(arguments: [0, -1] as [Float])
    func zeroTemperatureIsGreedy(temperature: Float) {
        let parameters = plain { $0.temperature = temperature }
        #expect(draws(parameters, logits: [1, 5, .nan, 5, -.infinity], count: 3) == [1, 1, 1])
    }

    @Test func penaltiesReachAGreedyChoice() {
        let parameters = plain {
            $0.temperature = 0
            $0.presencePenalty = 1.5
        }
        #expect(draws(parameters, logits: [3, 2, 0], count: 4) == [0, 1, 0, 0])
    }

    @Test func biasComesFirst() {
        let parameters = plain {
            $0.topK = 1
            $0.logitBias = [2: 10, 0: -.infinity]
        }
        #expect(draws(parameters, logits: [3, 2, 0], count: 2) == [2, 2])
    }

    /// Top-k before the penalty leaves only the repeated token.
    @Test func theOrderCanBeSet() {
        let before = plain {
            $0.topK = 1
            $0.presencePenalty = 5
        }
        #expect(draws(before, logits: [3, 2, 0], count: 3) == [0, 1, 2])
        var after = before
        after.order = [.topK, .penalties]
        #expect(draws(after, logits: [3, 2, 0], count: 3) == [0, 0, 0])
        var without = before
        without.order = [.topK]
        #expect(draws(without, logits: [3, 2, 0], count: 3) == [0, 0, 0])
    }

    @Test(
        arguments: [
            [], [.nan], [-.infinity, -.infinity, .nan],
        ] as [[Float]])
    func nothingToChooseFrom(logits: [Float]) {
        #expect(draws(plain(), logits: logits, count: 1) == [nil])
        #expect(draws(SamplingParameters(), logits: logits, count: 1) == [nil])
        #expect(draws(plain { $0.temperature = 0 }, logits: logits, count: 1) == [nil])
        #expect(draws(plain { $0.usesMirostat = true }, logits: logits, count: 1) == [nil])
    }

    @Test func whatCannotBeChosenIsNeverDrawn() {
        let drawn = draws(plain { $0.temperature = 100 }, logits: [-.infinity, 0, .nan, 1, -.infinity], count: 500)
        #expect(Set(drawn) == [1, 3])
    }

    @Test func infiniteLogitsWin() {
        #expect(draws(plain(), logits: [5, .infinity, 3], count: 3) == [1, 1, 1])
    }

    @Test func mirostatFollowsTheSurprise() {
        var mirostat = MirostatV2(tau: 5, eta: 0.1)
        var candidates = Candidates(vocabularySize: 2)
        var random = RandomSource(seed: 1)
        [Float](repeating: 0, count: 2).withUnsafeBufferPointer { candidates.load($0) }
        #expect(mirostat.draw(from: &candidates, random: &random) != nil)
        // One bit of surprise: 10 − 0.1·(1 − 5)
        #expect(abs(mirostat.limit - 10.4) < 1e-5)
    }

    @Test func mirostatCutsAboveItsLimit() {
        var mirostat = MirostatV2(tau: 0.4, eta: 0.1)
        var random = RandomSource(seed: 1)
        for _ in 0..<50 {
            // 0.8 bits and a little more as the limit rises: 0.5 and 0.3 are 1 and 1.7 bits.
            var fresh = mirostat
            var candidates = Candidates(vocabularySize: 3)
            logits([0.3, 0.5, 0.2]).withUnsafeBufferPointer { candidates.load($0) }
            #expect(fresh.draw(from: &candidates, random: &random) == 1)
            // The only candidate left is certain: 0.8 − 0.1·(0 − 0.4)
            #expect(abs(fresh.limit - 0.84) < 1e-5)
        }
        mirostat = MirostatV2(tau: 0.7)
        var seen = Set<Int32?>()
        for _ in 0..<200 {
            var fresh = mirostat
            var candidates = Candidates(vocabularySize: 3)
            logits([0.3, 0.5, 0.2]).withUnsafeBufferPointer { candidates.load($0) }
            seen.insert(fresh.draw(from: &candidates, random: &random))
        }
        #expect(seen == [1])
        mirostat = MirostatV2(tau: 0.9)
        seen = []
        for _ in 0..<200 {
            var fresh = mirostat
            var candidates = Candidates(vocabularySize: 3)
            logits([0.3, 0.5, 0.2]).withUnsafeBufferPointer { candidates.load($0) }
            seen.insert(fresh.draw(from: &candidates, random: &random))
        }
        // 1.8 bits admit 0.3 (1.74 bits), not 0.2 (2.3 bits).
        #expect(seen == [0, 1])
    }

    @Test(arguments: [1, 2, 5, 40, 63, 64, 200, 1000, 5000])
    func partialSelectionIsAPrefixOfTheFullSort(n: Int) {
        var random = RandomSource(seed: UInt64(n))
        // Few distinct values: many ties.
        let values = (0..<1000).map { _ in Float(random.next() % 97) }
        var candidates = Candidates(vocabularySize: values.count)
        values.withUnsafeBufferPointer { candidates.load($0) }
        candidates.sortPrefix(n / 3)
        candidates.sortPrefix(n)
        let expected = values.indices.sorted { (-values[$0], $0) < (-values[$1], $1) }.map(Int32.init)
        #expect((0..<min(n, 1000)).map { candidates[$0].id } == Array(expected.prefix(n)))
        #expect(Set((0..<candidates.count).map { candidates[$0].id }).count == 1000)
    }

    /// First outputs published with the generator's reference code for the state 1, 2, 3, 4.
    @Test func xoshiroMatchesItsReference() {
        var random = RandomSource(state: (1, 2, 3, 4))
        let expected: [UInt64] = [
            11520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360, 607_988_272_756_665_600,
            16_172_922_978_634_559_625, 8_476_171_486_693_032_832, 10_595_114_339_597_558_777,
            2_904_607_092_377_533_576,
        ]
        #expect(expected.indices.map { _ in random.next() } == expected)
    }

    /// SplitMix64 from seed 0 starts with these four words.
    @Test func theSeedIsSpreadBySplitMix() {
        var seeded = RandomSource(seed: 0)
        var expected = RandomSource(
            state: (0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F, 0xF88B_B8A8_724C_81EC))
        for _ in 0..<4 { #expect(seeded.next() == expected.next()) }
    }

    @Test func valuesOutOfRangeAreNamed() {
        let paths: [(String, WritableKeyPath<SamplingParameters, Float>)] = [
            ("temperature", \.temperature), ("top-p", \.topP), ("min-p", \.minP), ("typical-p", \.typicalP),
            ("XTC probability", \.xtcProbability), ("XTC threshold", \.xtcThreshold),
            ("repetition penalty", \.repetitionPenalty), ("frequency penalty", \.frequencyPenalty),
            ("presence penalty", \.presencePenalty), ("DRY multiplier", \.dryMultiplier), ("DRY base", \.dryBase),
            ("mirostat tau", \.mirostatTau), ("mirostat eta", \.mirostatEta),
        ]
        for (name, path) in paths {
            for value in [Float.nan, .infinity, -.infinity, 2e6] {
                var parameters = SamplingParameters()
                parameters[keyPath: path] = value
                do throws(SamplingError) {
                    try parameters.validate()
                    Issue.record("\(name) = \(value) was accepted")
                } catch {
                    #expect(error.description.hasPrefix("\(name) is "))
                }
            }
        }
        #expect(throws: Never.self) { try SamplingParameters().validate() }
    }
}
