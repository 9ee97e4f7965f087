import Engine
import Foundation
import TestSupport
import Testing

@testable import InferKit

/// A model of this repository or a random one, as a scheduler wants it.
struct ServedModel: Sendable, CustomTestStringConvertible {
    var name: String
    /// nil: the model of this repository.
    var toy: ToyFile?
    /// A file of the reference data.
    var file: String?

    var testDescription: String { name }

    static let all: [ServedModel] = [
        ServedModel(name: "shipped"),
        ServedModel(name: "toy hybrid", toy: ToyModel.qwen35moe),
        ServedModel(name: "toy llama", toy: ToyModel.llama),
    ]

    /// Kinds of caches that no model of this repository has: latents, with an indexer, compressed; windows; a mixture
    /// of all with recurrent states.
    static let others: [ServedModel] = SharedData.goldenNames.filter {
        [
            "deepseek2-v2lite", "deepseek2-v3", "deepseek32", "deepseek4", "gpt-oss", "gemma4", "kimi-linear",
            "lfm2moe",
            "nemotron_h", "granitehybrid",
        ].contains($0)
    }.compactMap { name in
        guard let goldens = SharedData.goldens else { return nil }
        let file = SharedData.ggufFiles(in: goldens.appending(path: name)).first { $0.path.hasSuffix("f32.gguf") }
        return file.map { ServedModel(name: name, file: $0.path) }
    }

    func load(contextLength: Int = 512) throws -> GGUFLanguageModel {
        let folder = try TemporaryDirectory()
        let path = try file ?? toy?.write(to: folder) ?? RepositoryFiles.model
        let trained = try GGUFLanguageModel(path: path).information.trainedContextLength
        return try GGUFLanguageModel(
            path: path,
            configuration: .init(threads: 2, contextLength: min(contextLength, trained), batchSize: 64))
    }
}

/// All of a job's events.
struct ServedAnswer: Equatable {
    var tokens: [Int32] = []
    var text = ""
    var scores: [TokenScore] = []
    var promptScores: [TokenScore] = []
    var cached = 0
    var result: ServingResult?

    static func == (a: ServedAnswer, b: ServedAnswer) -> Bool {
        a.tokens == b.tokens && a.text == b.text && a.scores == b.scores && a.promptScores == b.promptScores
            && a.result?.reason == b.result?.reason
    }

    init(_ events: AsyncStream<ServingEvent>) async {
        for await event in events {
            switch event {
            case .started(let cached): self.cached = cached
            case .promptScores(let scores): promptScores += scores
            case .score(let score): scores.append(score)
            case .answer(.token(let token)): tokens.append(token)
            case .answer(.text(let text)): self.text += text
            case .answer, .openCall: break
            case .finished(let result): self.result = result
            }
        }
    }
}

@Suite struct SchedulerTests {
    /// Jobs of all sorts: prompts of different lengths, greedy and drawn, long and short answers, scores.
    private static func jobs(_ model: GGUFLanguageModel, count: Int) -> [ServingJob] {
        let vocabulary = Int32(model.information.vocabularySize)
        let length = model.information.contextLength
        return (0..<count).map { index in
            var random = SeededRandom(seed: UInt64(index / 2 + 1))
            let prompt = [1, 7, 40, 150, 23, 90, 11, 64][index % 8]
            let tokens = (0..<min(prompt, length / 2)).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
            var job = ServingJob(tokens: tokens)
            job.options = Self.options([30, 12, 40, 5, 33, 20, 1, 25][index % 8], index.isMultiple(of: 3) ? 0 : 1.2)
            job.options.seed = UInt64(index)
            job.scoreAlternatives = index.isMultiple(of: 2) ? 3 : nil
            return job
        }
    }

    private static func options(_ limit: Int?, _ temperature: Double = 0) -> GenerationOptions {
        var options = GenerationOptions(temperature: temperature, maximumResponseTokens: limit)
        options.ignoresEndOfGeneration = true
        return options
    }

    /// What the model gives without any scheduler.
    private static func plainTokens(_ job: ServingJob, _ model: GGUFLanguageModel) async throws -> [Int32] {
        try await collect(model.generate(tokens: job.tokens, options: job.options)).tokens
    }

    @Test(arguments: ServedModel.all + ServedModel.others)
    func sameAnswersAloneAndTogether(_ served: ServedModel) async throws {
        let model = try served.load()
        let jobs = Self.jobs(model, count: 8)
        var expected: [[Int32]] = []
        for job in jobs { expected.append(try await Self.plainTokens(job, model)) }

        var alone: [ServedAnswer] = []
        let single = try Scheduler(model)
        for job in jobs { alone.append(await ServedAnswer(try single.submit(job))) }
        single.close()
        single.waitUntilEnded()
        #expect(alone.map(\.tokens) == expected)
        #expect(alone.allSatisfy { $0.scores.isEmpty || $0.scores.count == $0.tokens.count })

        for parallel in [8, 3] {
            var limits = Scheduler.Limits()
            limits.parallel = parallel
            let scheduler = try Scheduler(model, limits: limits)
            let together = await withTaskGroup(of: (Int, ServedAnswer?).self) { group in
                for (index, job) in jobs.enumerated() {
                    group.addTask {
                        guard let events = try? scheduler.submit(job) else { return (index, nil) }
                        return (index, await ServedAnswer(events))
                    }
                }
                return await group.reduce(into: [Int: ServedAnswer]()) { $0[$1.0] = $1.1 }
            }
            for (index, answer) in alone.enumerated() {
                #expect(together[index] == answer, "job \(index) among \(parallel)")
            }
            scheduler.close()
            scheduler.waitUntilEnded()
        }
    }

    /// A conversation that grows, in memory and after a restart from disk: cached tokens, and the same bits as without.
    @Test(arguments: ServedModel.all + ServedModel.others)
    func continuedConversation(_ served: ServedModel) async throws {
        let model = try served.load()
        let engine = try #require(model.engine)
        let folder = try TemporaryDirectory()
        let vocabulary = Int32(model.information.vocabularySize)
        let length = model.information.contextLength
        let unit = min(100, length / 4)
        var random = SeededRandom(seed: 5)
        func some(_ count: Int) -> [Int32] { (0..<count).map { _ in Int32.random(in: 0..<vocabulary, using: &random) } }
        func job(_ tokens: [Int32], checkpoint: Int) -> ServingJob {
            var job = ServingJob(tokens: tokens)
            job.checkpoints = [checkpoint]
            job.options = Self.options(6)
            job.scoreAlternatives = 2
            return job
        }
        let system = some(unit)
        let first = system + some(unit / 2)
        // The answer is written differently in the next prompt, so only what is before the answer can be gone on from.
        let second = Array(first.dropLast(3)) + some(unit)
        let other = system + some(unit)
        let jobs = [
            job(first, checkpoint: first.count - 3), job(second, checkpoint: second.count - 3),
            job(other, checkpoint: system.count),
        ]
        func run(_ limits: Scheduler.Limits) async throws -> [ServedAnswer] {
            let scheduler = try Scheduler(model, limits: limits)
            var answers: [ServedAnswer] = []
            for job in jobs { answers.append(await ServedAnswer(try scheduler.submit(job))) }
            scheduler.close()
            scheduler.waitUntilEnded()
            return answers
        }
        var limits = Scheduler.Limits()
        limits.cacheBytes = 0
        let fresh = try await run(limits)
        #expect(fresh.allSatisfy { $0.cached == 0 })

        limits.cacheBytes = 64 << 20
        limits.cacheFolder = folder.url.path
        let cached = try await run(limits)
        #expect(cached == fresh)
        #expect(cached[0].cached == 0)
        #expect(cached[1].cached >= first.count - 3)
        // Only keys and values can be gone on from where nothing was remembered on purpose.
        #expect(cached[2].cached >= (engine.stateLayout.needsCheckpoints ? 0 : system.count))

        let restarted = try await run(limits)
        #expect(restarted == fresh)
        #expect(restarted[0].cached >= first.count - 3)
        #expect(restarted[1].cached >= second.count - 3)
        #expect(restarted[2].cached >= system.count)
    }

    /// Prompts that come at once share the rows of a step, so that none waits for those before it to be done.
    @Test func shortPromptsAreTakenInTogether() throws {
        let model = try ServedModel.all[0].load()
        let backend = try #require(model.backend as? EngineBackend)
        let (inbox, meter) = (JobInbox(limit: 8), ServingMeter())
        let loop = try StepLoop(
            backend, limits: Scheduler.Limits(), inbox: inbox, meter: meter, log: { _ in })
        for index in 0..<8 {
            var job = ServingJob(tokens: (0..<20).map { Int32(index * 20 + $0) })
            job.options = Self.options(1)
            try inbox.add(Ticket(job: job, deliver: { _ in }, flag: StopFlag(), submitted: .now))
        }
        inbox.close(abandons: false)
        loop.run()
        let metrics = meter.snapshot(waiting: 0)
        #expect(metrics.generatedTokens == 8)
        // 160 rows in steps of 64, and the last of each prompt by itself.
        #expect(metrics.steps <= 5)
    }

    /// A recurrent state is remembered at the boundaries of chunks too, so that a prompt that parts from another where
    /// nobody foresaw it need not be computed from its beginning.
    @Test func chunkBoundariesAreRemembered() async throws {
        let model = try ServedModel.all[0].load(contextLength: 1024)
        let vocabulary = Int32(model.information.vocabularySize)
        var random = SeededRandom(seed: 8)
        let tokens = (0..<900).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
        func answer(_ tokens: [Int32], _ scheduler: Scheduler) async throws -> ServedAnswer {
            var job = ServingJob(tokens: tokens)
            job.options = Self.options(4)
            job.scoreAlternatives = 1
            return await ServedAnswer(try scheduler.submit(job))
        }
        let other = Array(tokens[..<700]) + tokens[..<50]
        var limits = Scheduler.Limits()
        limits.cacheBytes = 0
        let fresh = try Scheduler(model, limits: limits)
        let expected = try await answer(other, fresh)
        fresh.close()
        fresh.waitUntilEnded()
        let scheduler = try Scheduler(model)
        _ = try await answer(tokens, scheduler)
        let continued = try await answer(other, scheduler)
        #expect(continued == expected && continued.cached == 512)
        scheduler.close()
        scheduler.waitUntilEnded()
    }

    /// Files that are cut, flipped, swapped, foreign: never used, never a crash, and the answer stays what it was.
    @Test(arguments: ServedModel.all)
    func hostileCacheFiles(_ served: ServedModel) async throws {
        let model = try served.load()
        let folder = try TemporaryDirectory()
        var job = ServingJob(tokens: (0..<Int32(40)).map { $0 % Int32(model.information.vocabularySize) })
        job.options = Self.options(4)
        var limits = Scheduler.Limits()
        limits.cacheFolder = folder.url.path
        limits.cacheBytes = 64 << 20
        func run() async throws -> ServedAnswer {
            let scheduler = try Scheduler(model, limits: limits)
            let answer = await ServedAnswer(try scheduler.submit(job))
            scheduler.close()
            scheduler.waitUntilEnded()
            return answer
        }
        let expected = try await run()
        let inner = folder.url.appending(path: try #require(try folder.contents().first))
        let names = try FileManager.default.contentsOfDirectory(atPath: inner.path).sorted()
        #expect(!names.isEmpty)
        let originals = try names.map { try Data(contentsOf: inner.appending(path: $0)) }
        func store(_ change: (inout Data) -> Void) throws {
            for name in try FileManager.default.contentsOfDirectory(atPath: inner.path) {
                try FileManager.default.removeItem(at: inner.appending(path: name))
            }
            for (name, original) in zip(names, originals) {
                var data = original
                change(&data)
                try data.write(to: inner.appending(path: name))
            }
        }
        func resealed(_ data: inout Data) {
            guard data.count >= 8 else { return }
            var checksum = Checksum(seed: 0)
            data.dropLast(8).withUnsafeBytes { checksum.add($0) }
            data.replaceSubrange(data.count - 8..<data.count, with: withUnsafeBytes(of: checksum.value) { Data($0) })
        }
        let damages: [(String, (inout Data) -> Void)] = [
            ("empty", { $0 = Data() }),
            ("cut in the head", { $0 = $0.prefix(40) }),
            ("cut in the body", { $0 = $0.prefix($0.count - 9) }),
            ("longer", { $0 += Data(count: 5) }),
            ("a flipped bit", { $0[$0.count - 20] ^= 1 }),
            (
                "another version",
                {
                    $0[8] ^= 2; resealed(&$0)
                }
            ),
            (
                "very many tokens",
                {
                    $0.replaceSubrange(12..<16, with: Data([255, 255, 255, 255])); resealed(&$0)
                }
            ),
            (
                "a far position",
                {
                    $0.replaceSubrange(40..<48, with: Data(repeating: 255, count: 8)); resealed(&$0)
                }
            ),
            (
                "absurd sizes",
                {
                    $0.replaceSubrange(48..<64, with: Data(repeating: 255, count: 16)); resealed(&$0)
                }
            ),
            (
                "strange tokens",
                {
                    $0.replaceSubrange(64..<68, with: Data([255, 255, 255, 127])); resealed(&$0)
                }
            ),
        ]
        for (name, change) in damages {
            try store(change)
            let answer = try await run()
            #expect(answer == expected, "\(name)")
            #expect(answer.cached == 0, "\(name)")
        }
        try store { _ in }
        #expect(try await run().cached > 0)
    }

    /// A budget that holds only part of what comes: nothing breaks, and what is used often stays.
    @Test(arguments: ServedModel.all)
    func smallBudget(_ served: ServedModel) async throws {
        let model = try served.load()
        let engine = try #require(model.engine)
        let length = min(model.information.contextLength, 256)
        let vocabulary = Int32(model.information.vocabularySize)
        var limits = Scheduler.Limits()
        limits.cacheBytes = 3 * engine.stateLayout.recurrentBytes + engine.stateLayout.bytes(capacity: length)
        let scheduler = try Scheduler(model, limits: limits)
        let common = (0..<Int32(length / 2)).map { ($0 * 5 + 1) % vocabulary }
        var hits = 0
        for round in 0..<12 {
            var random = SeededRandom(seed: UInt64(round))
            let rest = (0..<length / 4).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
            var job = ServingJob(tokens: round.isMultiple(of: 2) ? common + rest : rest)
            job.checkpoints = round.isMultiple(of: 2) ? [common.count] : []
            job.options = Self.options(2)
            let answer = await ServedAnswer(try scheduler.submit(job))
            #expect(answer.tokens.count == 2)
            if answer.cached >= common.count { hits += 1 }
            #expect(scheduler.metrics.cacheBytes <= limits.cacheBytes)
        }
        #expect(hits == 5)
        scheduler.close()
        scheduler.waitUntilEnded()
    }

    /// Also where the answer ends in the step that scored the prompt, and where the prompt is computed in one go.
    @Test(arguments: ServedModel.all, 0...2)
    func promptScoresAreThoseOfEachPosition(_ served: ServedModel, limit: Int) async throws {
        let model = try served.load()
        let tokens = model.tokenize("Once upon a time, there was a little fox", addSpecial: false)
        var job = ServingJob(tokens: tokens)
        job.promptScoreAlternatives = 2
        job.options = Self.options(limit)
        job.options.ignoresEndOfGeneration = true
        let scheduler = try Scheduler(model)
        let answer = await ServedAnswer(try scheduler.submit(job))
        try #require(answer.promptScores.map(\.token) == Array(tokens.dropFirst()))
        #expect(answer.tokens.count == limit && answer.result?.reason == .maximumTokens)

        let generator = try #require(model.engine).makeGenerator()
        try generator.evaluate(tokens) { position, logits in
            guard position + 1 < tokens.count else { return }
            let score = answer.promptScores[position]
            let sum = logits.reduce(0.0) { $0 + exp(Double($1)) }
            let expected = Double(logits[Int(score.token)]) - log(sum)
            #expect(abs(score.logProbability - expected) < 1e-9)
            #expect(score.top.count == 2 && score.top[0].logProbability >= score.top[1].logProbability)
            #expect(score.top[0].logProbability >= score.logProbability)
        }
        scheduler.close()
        scheduler.waitUntilEnded()
    }

    @Test func limitsAreKept() async throws {
        let model = try ServedModel.all[0].load(contextLength: 64)
        var limits = Scheduler.Limits()
        limits.parallel = 1
        limits.queue = 2
        let scheduler = try Scheduler(model, limits: limits)
        #expect(throws: ServingError.emptyPrompt) { try scheduler.submit(ServingJob(tokens: [])) }
        #expect(throws: ServingError.tokenOutOfRange(-1, vocabularySize: 2048)) {
            try scheduler.submit(ServingJob(tokens: [-1]))
        }
        #expect(throws: ServingError.promptTooLong(tokens: 64, contextLength: 64)) {
            try scheduler.submit(ServingJob(tokens: [Int32](repeating: 5, count: 64)))
        }
        // Until the context is full.
        var job = ServingJob(tokens: [1, 2, 3])
        job.options = Self.options(nil)
        let full = await ServedAnswer(try scheduler.submit(job))
        #expect(full.result?.reason == .contextFull && full.tokens.count == 62)
        // Past its time before it began.
        job.deadline = .now
        #expect(await ServedAnswer(try scheduler.submit(job)).result?.reason == .timedOut)
        scheduler.close()
        scheduler.waitUntilEnded()
        #expect(throws: ServingError.closed) { try scheduler.submit(ServingJob(tokens: [1])) }
    }

    /// Consumers that go away free their places; those that stay are not disturbed; an abandoned scheduler ends with
    /// what there is.
    @Test func cancelling() async throws {
        let model = try ServedModel.all[0].load(contextLength: 1024)
        var limits = Scheduler.Limits()
        limits.parallel = 2
        let scheduler = try Scheduler(model, limits: limits)
        var endless = ServingJob(tokens: [1, 2, 3])
        endless.options = Self.options(nil)
        for _ in 0..<6 {
            for await event in try scheduler.submit(endless) {
                if case .answer(.token) = event { break }
            }
        }
        let flag = StopFlag()
        let stream = try scheduler.submit(endless, until: flag)
        flag.set()
        let stopped = await ServedAnswer(stream)
        #expect(stopped.result?.reason == .cancelled)

        let last = try scheduler.submit(endless)
        var iterator = last.makeAsyncIterator()
        _ = await iterator.next()
        scheduler.abandon()
        var reason: ServingResult.Reason?
        while let event = await iterator.next() {
            if case .finished(let result) = event { reason = result.reason }
        }
        #expect(reason == .shutDown || reason == .contextFull)
        scheduler.waitUntilEnded()
    }
}
