import InferKit
import Synchronization
import Testing

private let greedy = GenerationOptions(sampling: .greedy)

private func options(_ change: (inout GenerationOptions) -> Void) -> GenerationOptions {
    var options = greedy
    change(&options)
    return options
}

@Suite(.timeLimit(.minutes(10))) struct GenerationTests {
    @Test func eventsComeInOrder() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("hi"))
        var events: [GenerationEvent] = []
        for try await event in model.generate(tokens: [1], options: greedy) { events.append(event) }
        #expect(events.count == 6)
        guard events.count == 6, case .finished(let reason, let usage) = events[5] else { return }
        #expect(
            Array(events[..<5]) == [
                .prefill(processed: 1, total: 1), .token(104), .text("h"), .token(105), .text("i"),
            ])
        #expect(reason == .endOfText)
        #expect(usage.promptTokens == 1)
        #expect(usage.cachedPromptTokens == 0)
        #expect(usage.generatedTokens == 2)
        #expect(usage.timeToFirstToken >= usage.promptDuration)
        #expect(usage.tokensPerSecond > 0)
    }

    @Test func charactersAreNeverSplit() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("né日🦊!"))
        let result = try await collect(model.generate(tokens: [1], options: greedy))
        #expect(result.texts == ["n", "é", "日", "🦊", "!"])
    }

    @Test func anUnfinishedCharacterIsNotLost() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("x🦊"))
        let result = try await collect(
            model.generate(tokens: [1], options: options { $0.maximumResponseTokens = 3 }))
        #expect(result.texts == ["x", "\u{FFFD}"])
        #expect(result.reason == .maximumTokens)
    }

    @Test func stopSequencesAcrossTokensNeverShow() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("one END. two"))
        for stops in [["END"], ["zzz", " END. t"], ["D", "END"], ["E"]] {
            let result = try await collect(
                model.generate(tokens: [1], options: options { $0.stopSequences = stops }))
            guard case .stopSequence(let found) = result.reason else {
                Issue.record("\(stops): \(String(describing: result.reason))")
                continue
            }
            #expect(stops.contains(found))
            let text = result.texts.joined()
            #expect("one END. two".hasPrefix(text + found))
        }
    }

    @Test func heldTextAppearsWhenTheModelEnds() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("one EN"))
        let result = try await collect(model.generate(tokens: [1], options: options { $0.stopSequences = ["END"] }))
        #expect(result.texts.joined() == "one EN")
        #expect(result.reason == .endOfText)
    }

    @Test(arguments: [(0, "", 0), (3, "abc", 2), (6, "abcdef", 5)])
    func theTokenLimitHolds(limit: Int, text: String, decodes: Int) async throws {
        let script = ScriptedModel("abcdefgh")
        let model = GGUFLanguageModel(backend: script)
        let result = try await collect(
            model.generate(tokens: [1], options: options { $0.maximumResponseTokens = limit }))
        #expect(result.texts.joined() == text)
        #expect(result.reason == .maximumTokens)
        #expect(result.usage?.generatedTokens == limit)
        // Nothing is computed that nobody asked for.
        #expect(script.log.withLock { $0.decoded.count } == decodes)
    }

    @Test func theEndCanBeIgnored() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("a"))
        let result = try await collect(
            model.generate(
                tokens: [1],
                options: options {
                    $0.ignoresEndOfGeneration = true
                    $0.maximumResponseTokens = 4
                }))
        #expect(result.tokens == [97, ScriptedModel.end, ScriptedModel.end, ScriptedModel.end])
        #expect(result.texts.joined() == "a")
    }

    @Test func aFullContextEndsTheAnswerAndKeepsIt() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("abcdefgh", contextLength: 4))
        let result = try await collect(model.generate(tokens: [1], options: greedy))
        // Three tokens fit behind the prompt; a fourth comes from the last logits.
        #expect(result.texts.joined() == "abcd")
        #expect(result.reason == .contextFull)
    }

    @Test(arguments: [[], [-1], [260], Array(repeating: 1, count: 10)] as [[Int32]])
    func badPromptsAreRefused(tokens: [Int32]) async throws {
        let script = ScriptedModel("a", contextLength: 10)
        let model = GGUFLanguageModel(backend: script)
        await #expect(throws: LanguageModelSession.GenerationError.self) {
            for try await _ in model.generate(tokens: tokens, options: greedy) {}
        }
        #expect(script.log.withLock { $0.synced.isEmpty })
    }

    @Test func logitsThatAreNotNumbersAreAnError() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel(next: { tokens in tokens.count < 3 ? 97 : nil }))
        var text = ""
        do {
            for try await event in model.generate(tokens: [1], options: greedy) {
                if case .text(let delta) = event { text += delta }
            }
            Issue.record("no error")
        } catch LanguageModelSession.GenerationError.decodingFailure {
            #expect(text == "aa")
        }
    }

    @Test func theSeedDecides() async throws {
        func text(seed: UInt64?) async throws -> String {
            var options = GenerationOptions(maximumResponseTokens: 40)
            options.seed = seed
            let model = GGUFLanguageModel(backend: ScriptedModel(isFlat: true, next: { _ in 97 }))
            return try await collect(model.generate(tokens: [1], options: options)).texts.joined()
        }
        #expect(try await text(seed: 1) == text(seed: 1))
        #expect(try await text(seed: 1) != text(seed: 2))
        #expect(try await text(seed: nil) != text(seed: nil))
    }

    @Test func samplingModesReplaceTheTruncation() async throws {
        func tokens(_ mode: GenerationOptions.SamplingMode) async throws -> Set<Int32> {
            let model = GGUFLanguageModel(backend: ScriptedModel(isFlat: true, next: { _ in 97 }))
            let options = GenerationOptions(sampling: mode, maximumResponseTokens: 300)
            return Set(try await collect(model.generate(tokens: [1], options: options)).tokens)
        }
        #expect(try await tokens(.greedy) == [0x20])
        #expect(try await tokens(.random(top: 2, seed: 3)) == [0x20, 0x21])
        // 95 equally likely tokens: a tenth of the probability is ten of them.
        #expect(try await tokens(.random(probabilityThreshold: 0.1, seed: 3)) == Set(0x20..<0x2A))
    }

    @Test func valuesOutOfRangeAreRefused() async throws {
        let bad: [(inout GenerationOptions) -> Void] = [
            { $0.temperature = .nan }, { $0.samplers.topP = 2 }, { $0.maximumResponseTokens = -1 },
            { $0.samplers.logitBias = [1: .nan] },
        ]
        for change in bad {
            var options = GenerationOptions()
            change(&options)
            #expect(throws: LanguageModelSession.GenerationError.self) { try options.validate() }
        }
    }

    /// The consumer's loop is over: the producer decodes at most the token it is at.
    @Test func aConsumerThatLeavesStopsTheWork() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel(contextLength: .max, next: { _ in 97 }))
        let flag = StopFlag()
        var seen = 0
        for try await event in model.generate(tokens: [1], options: greedy, until: flag) {
            if case .token = event { seen += 1 }
            if seen == 5 { break }
        }
        while !flag.isSet { await Task.yield() }
        #expect(seen == 5)
    }

    @Test func computingHappensOnTheModelsThread() async throws {
        let script = ScriptedModel("abc")
        _ = try await collect(GGUFLanguageModel(backend: script).generate(tokens: [1], options: greedy))
        #expect(script.log.withLock { $0.threads } == ["inference"])
    }

    /// An answer without end does not keep another one of the same model from coming to its own.
    @Test func sequencesOfOneModelTakeTurns() async throws {
        let script = ScriptedModel(
            contextLength: .max,
            next: { tokens in tokens[0] == 1 ? 97 : tokens.count < 50 ? 98 : ScriptedModel.end })
        let model = GGUFLanguageModel(backend: script)
        let flag = StopFlag()
        let endless = model.generate(
            tokens: [1], options: options { $0.maximumResponseTokens = .max }, until: flag)
        var iterator = endless.makeAsyncIterator()
        _ = try await iterator.next()
        let result = try await collect(model.generate(tokens: [2], options: greedy))
        #expect(result.tokens.count == 49)
        flag.set()
        var last: GenerationEvent?
        while let event = try await iterator.next() { last = event }
        guard case .finished(let reason, _) = last else {
            Issue.record("no end: \(String(describing: last))")
            return
        }
        #expect(reason == .cancelled)
    }
}
