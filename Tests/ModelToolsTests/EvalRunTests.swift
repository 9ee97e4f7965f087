import Engine
import Foundation
import GGUF
import TestSupport
import Testing
import Tokenization

@testable import ModelTools

@Suite struct EvalRunTests {
    private static let words = "hello world the fox and the hen went to the old well in the wood and sat down there"

    private func scorer(_ toy: ToyFile = ToyModel.llama, capacity: Int = 24) throws -> SequenceScorer {
        try SequenceScorer(
            try Model.load(try toy.file(), options: EngineOptions(threads: 2, batchSize: 7)), capacity: capacity)
    }

    private func text(_ scorer: SequenceScorer, length: Int = 16, stride: Int = 5) throws -> ScoredText {
        try ScoredText(
            tokens: scorer.tokenizer.encode(Self.words, addSpecial: false, parseSpecial: false), length: length,
            stride: stride, lead: scorer.lead, capacity: scorer.capacity)
    }

    private func perplexity(_ toy: ToyFile, _ scorer: SequenceScorer) throws -> [Perplexity.Part] {
        let state = try RunState<Perplexity.Part>(path: nil, identity: "")
        try Perplexity(scorer, try text(scorer)).run(state) { _, _ in true }
        return state.records
    }

    /// The same toy with other weights in its output matrix.
    private static let other: ToyFile = {
        var toy = ToyModel.llama
        toy.random("output.weight", [32, 268], scale: 0.2)
        return toy
    }()

    // MARK: Perplexity

    /// Each window as a new sequence in one go, each loss by the definition.
    @Test(arguments: ["llama", "qwen35moe"], [false, true])
    func perplexityByDefinition(name: String, hasLead: Bool) throws {
        var toy = name == "llama" ? ToyModel.llama : ToyModel.qwen35moe
        toy["tokenizer.ggml.add_bos_token"] = .bool(hasLead)
        let scorer = try scorer(toy)
        let text = try text(scorer)
        #expect((text.lead != nil) == hasLead)
        let parts = try perplexity(toy, scorer)
        #expect(parts.map { $0.window } == Array(text.windows.indices))
        let generator = try scorer.model.makeGenerator(contextLength: 24)
        let offset = hasLead ? 1 : 0
        for (part, window) in zip(parts, text.windows) {
            var losses: [Double] = []
            let tokens = (text.lead.map { [$0] } ?? []) + text.tokens[window.tokens]
            try generator.evaluate(tokens) { place, logits in
                let next = window.tokens.lowerBound + place + 1 - offset
                guard window.scored.contains(next) else { return }
                let sum = logits.reduce(0.0) { $0 + exp(Double($1)) }
                losses.append(log(sum) - Double(logits[Int(text.tokens[next])]))
            }
            #expect(part.loss.count == losses.count)
            #expect(abs(part.loss.mean - losses.reduce(0, +) / Double(losses.count)) < 1e-9)
        }
    }

    @Test func perplexityOfTheShippedModel() throws {
        // Windows of `models/heldout.json`, which transformers computed; weights are multiplied with rounded
        // activations here.
        let object = try JSONSerialization.jsonObject(
            with: Data(contentsOf: RepositoryFiles.root.appending(path: "models/heldout.json")))
        let expected = try #require((object as? [String: Any])?["window_nll"] as? [Double])
        let scorer = try SequenceScorer(Model.load(path: RepositoryFiles.model), capacity: 256)
        let words = try String(
            contentsOf: RepositoryFiles.root.appending(path: "models/heldout.txt"), encoding: .utf8)
        let tokens = scorer.tokenizer.encode(words, addSpecial: false, parseSpecial: false).prefix(512)
        let text = try ScoredText(tokens: Array(tokens), length: 256, stride: 256, lead: nil, capacity: 256)
        let state = try RunState<Perplexity.Part>(path: nil, identity: "")
        try Perplexity(scorer, text).run(state) { _, _ in true }
        #expect(state.records.count == 2)
        for (part, nll) in zip(state.records, expected) {
            #expect(part.loss.count == 255)
            #expect(abs(part.loss.mean * 255 / nll - 1) < 0.01, "\(part.loss.mean * 255) \(nll)")
        }
    }

    @Test func aBrokenRunGoesOn() throws {
        let directory = try TemporaryDirectory()
        let scorer = try scorer()
        let text = try text(scorer)
        let perplexity = Perplexity(scorer, text)
        func writer(_ name: String) throws -> LogitsWriter {
            try LogitsWriter(
                path: directory.path(name), text, vocabularySize: scorer.vocabularySize,
                fingerprint: scorer.vocabularyFingerprint)
        }
        let whole = try RunState<Perplexity.Part>(path: nil, identity: "")
        try perplexity.run(whole, savingTo: try writer("whole")) { _, _ in true }
        // Up to the last window, which may be the last forward pass too.
        for stop in 0...text.scoredCount - 5 {
            let path = directory.path("state\(stop)")
            #expect(throws: EvaluationError.cancelled) {
                let state = try RunState<Perplexity.Part>(path: path, identity: "x")
                try perplexity.run(state, savingTo: try writer("broken\(stop)")) { done, _ in done < stop }
            }
            #expect(!FileManager.default.fileExists(atPath: directory.path("broken\(stop)")))
            let state = try RunState<Perplexity.Part>(path: path, identity: "x")
            let before = state.records.count
            #expect(before < text.windows.count)
            #expect(text.scoredCount(windows: before + 1) > stop || before + 1 == text.windows.count)
            try perplexity.run(state, savingTo: try writer("broken\(stop)")) { _, _ in true }
            #expect(state.records == whole.records)
            #expect(
                try Data(contentsOf: directory.url.appending(path: "broken\(stop)"))
                    == Data(contentsOf: directory.url.appending(path: "whole")))
        }
    }

    @Test func windowsThatDoNotFit() throws {
        let scorer = try scorer()
        let tokens = [Int32](repeating: 1, count: 10)
        for (length, stride) in [(25, 5), (1, 1), (8, 0), (8, 9)] {
            #expect(throws: EvaluationError.self) {
                try ScoredText(tokens: tokens, length: length, stride: stride, lead: nil, capacity: scorer.capacity)
            }
        }
        #expect(throws: EvaluationError.textTooShort(tokens: 1)) {
            try ScoredText(tokens: [1], length: 8, stride: 4, lead: nil, capacity: 24)
        }
    }

    // MARK: Divergence

    private func divergence(_ reference: Divergence.Reference, _ model: ToyFile) throws -> [Divergence.Part] {
        let scorer = try scorer(model)
        let text = try text(scorer)
        let state = try RunState<Divergence.Part>(path: nil, identity: "")
        try Divergence(scorer, against: reference, text).run(state) { _, _ in true }
        return state.records
    }

    @Test func divergenceByDefinition() throws {
        let (first, second) = (try scorer(ToyModel.llama), try scorer(Self.other))
        let text = try text(first)
        let parts = try divergence(.model(first), Self.other)
        let (a, b) = (try first.model.makeGenerator(), try second.model.makeGenerator())
        for (part, window) in zip(parts, text.windows) {
            var rows: [[[Double]]] = [[], []]
            for (index, generator) in [a, b].enumerated() {
                try generator.evaluate([Int32](text.tokens[window.tokens])) { _, logits in
                    let sum = logits.reduce(0.0) { $0 + exp(Double($1)) }
                    rows[index].append(logits.map { exp(Double($0)) / sum })
                }
            }
            var expected: [Double] = []
            var agreements: [Int] = []
            for position in window.scored {
                let (p, q) = (
                    rows[0][position - 1 - window.tokens.lowerBound], rows[1][position - 1 - window.tokens.lowerBound]
                )
                expected.append(zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) })
                agreements.append(p.firstIndex(of: p.max() ?? 0) == q.firstIndex(of: q.max() ?? 0) ? 1 : 0)
            }
            #expect(part.agreements == agreements)
            for (found, wanted) in zip(part.divergences, expected) { #expect(abs(found - wanted) < 1e-9) }
            #expect(part.divergences.count == expected.count)
        }
        let result = try #require(Divergence.result(parts))
        #expect(result.mean.value > 1e-4)
        #expect(result.median <= result.percentile90 && result.percentile999 <= result.maximum)
        #expect(result.topAgreement.value < 1)
    }

    @Test func aModelAgreesWithItself() throws {
        let result = try #require(Divergence.result(try divergence(.model(try scorer()), ToyModel.llama)))
        #expect(result.maximum < 1e-12)
        #expect(result.topAgreement.value == 1)
        #expect(result.lossDifference.value == 0)
    }

    @Test func aFileOfLogitsIsTheModel() throws {
        let directory = try TemporaryDirectory()
        let path = try logits(directory)
        #expect(LogitsFile.isLogits(path: path))
        let file = try LogitsFile(path: path)
        let stored = try divergence(.file(file), Self.other)
        let direct = try divergence(.model(try scorer()), Self.other)
        #expect(stored.map { $0.agreements } == direct.map { $0.agreements })
        for (a, b) in zip(stored, direct) {
            for (x, y) in zip(a.divergences, b.divergences) { #expect(abs(x - y) < 1e-5) }
            for (x, y) in zip(a.referenceLosses, b.referenceLosses) { #expect(abs(x - y) < 1e-3) }
            #expect(a.losses == b.losses)
        }
    }

    @Test func otherVocabularies() throws {
        var toy = ToyModel.llama
        let tokens = try #require(toy["tokenizer.ggml.tokens"]?.array?.strings())
        toy["tokenizer.ggml.tokens"] = .array(GGUFArray(tokens.dropLast() + ["<|the end|>"]))
        let other = try scorer(toy)
        let own = try scorer()
        let text = try text(own)
        #expect(throws: EvaluationError.otherVocabulary("both have 268 tokens, but not the same ones")) {
            try Divergence(own, against: .model(other), text)
        }
    }

    // MARK: Files of logits

    private func logits(_ directory: TemporaryDirectory) throws -> String {
        let scorer = try scorer()
        let text = try text(scorer)
        let path = directory.path("reference.logits")
        let writer = try LogitsWriter(
            path: path, text, vocabularySize: scorer.vocabularySize, fingerprint: scorer.vocabularyFingerprint)
        try Perplexity(scorer, text).run(try RunState(path: nil, identity: ""), savingTo: writer) { _, _ in true }
        return path
    }

    @Test func logitsKeepTheirOrder() throws {
        let directory = try TemporaryDirectory()
        let text = try ScoredText(tokens: [0, 1, 2], length: 3, stride: 3, lead: nil, capacity: 3)
        let writer = try LogitsWriter(path: directory.path("x"), text, vocabularySize: 4, fingerprint: 1)
        try writer.go(to: 0)
        // The largest by a hair, far away numbers, and all alike.
        let rows: [[Float]] = [[5, 5.000_001, -60, 4], [2, 2, 2, 2]]
        for (row, best) in zip(rows, [1, 0]) { try row.withUnsafeBufferPointer { try writer.write($0, best: best) } }
        try writer.commit()
        let file = try LogitsFile(path: directory.path("x"))
        #expect(file.text.tokens == [0, 1, 2])
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 4)
        defer { buffer.deallocate() }
        for (number, row) in rows.enumerated() {
            #expect(try file.read(row: number, into: buffer) == (number == 0 ? 1 : 0))
            for (found, wanted) in zip(buffer, row) { #expect(abs(found - (wanted - (row.max() ?? 0))) < 1.1e-3) }
        }
        #expect(buffer[3] == 0)
    }

    /// A file's weights can make logits as large as floats get.
    @Test func logitsAtTheEndsOfTheRange() throws {
        let directory = try TemporaryDirectory()
        let text = try ScoredText(tokens: [0, 1], length: 2, stride: 2, lead: nil, capacity: 2)
        let writer = try LogitsWriter(path: directory.path("x"), text, vocabularySize: 3, fingerprint: 1)
        try writer.go(to: 0)
        let largest = Float.greatestFiniteMagnitude
        try [-largest, 0, largest].withUnsafeBufferPointer { try writer.write($0, best: 2) }
        try writer.commit()
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 3)
        defer { buffer.deallocate() }
        #expect(try LogitsFile(path: directory.path("x")).read(row: 0, into: buffer) == 2)
        #expect(buffer[2] == 0 && buffer[1] < -largest / 2 && buffer[0] == -largest)
    }

    @Test func damagedFilesOfLogits() throws {
        let directory = try TemporaryDirectory()
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: try logits(directory))))
        func isRefused(_ bytes: [UInt8]) throws -> Bool {
            let path = try directory.write(bytes, to: "damaged")
            do {
                let file = try LogitsFile(path: path)
                let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: file.vocabularySize)
                defer { buffer.deallocate() }
                for row in 0..<file.text.scoredCount { _ = try file.read(row: row, into: buffer) }
                return false
            } catch is EvaluationError {
                return true
            }
        }
        #expect(try !isRefused(bytes))
        for length in Array(0..<80) + [bytes.count / 2, bytes.count - 1] {
            #expect(try isRefused(Array(bytes[..<length])), "\(length) bytes")
        }
        #expect(try isRefused(bytes + [0]))
        // Every field of the header but the fingerprint, which says nothing about the file itself.
        for (offset, width) in [(0, 8), (8, 4), (12, 4), (24, 4), (28, 4), (32, 4), (40, 8)] {
            for value in [UInt8(0), 0x7f, 0xff] {
                var changed = bytes
                for index in 0..<width { changed[offset + index] = value }
                // A longer window with the same stride is scored alike; no token at the beginning is -1.
                guard changed != bytes, !(offset == 32 && value == 0xff), !(offset == 24 && value != 0) else {
                    continue
                }
                #expect(try isRefused(changed), "offset \(offset), \(value)")
            }
        }
        // A step that is no number.
        var changed = bytes
        let tokens = Int(bytes[40])
        changed.replaceSubrange((48 + 4 * tokens)..<(52 + 4 * tokens), with: [0, 0, 0xc0, 0x7f])
        #expect(try isRefused(changed))
    }

    // MARK: State

    @Test func stateOfAnotherRun() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("state")
        try RunState<Perplexity.Part>(path: path, identity: "one").append(.init(window: 0, loss: SampleSums()))
        #expect(throws: EvaluationError.otherRun(path: path, found: "one", expected: "two")) {
            try RunState<Perplexity.Part>(path: path, identity: "two")
        }
        #expect(try RunState<Perplexity.Part>(path: path, identity: "one").records.count == 1)
    }

    @Test func aTornLineIsMadeAgain() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("state")
        do {
            let state = try RunState<Perplexity.Part>(path: path, identity: "one")
            for window in 0..<3 { try state.append(.init(window: window, loss: SampleSums())) }
        }
        let bytes = try Data(contentsOf: URL(filePath: path))
        for length in 1..<bytes.count {
            try bytes.prefix(length).write(to: URL(filePath: path))
            let lines = bytes.prefix(length).count { $0 == UInt8(ascii: "\n") }
            let state = try RunState<Perplexity.Part>(path: path, identity: "one")
            #expect(state.records.map { $0.window } == Array(0..<max(0, lines - 1)))
            try state.append(.init(window: 9, loss: SampleSums()))
        }
    }

    @Test(arguments: ["a letter\nto a friend\n", "a letter", "{}\n", "{\"evaluation\":\"one\"}\n{\"window\":\"x\"}\n"])
    func filesOfSomethingElseStayAsTheyAre(content: String) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(Array(content.utf8), to: "notes.txt")
        #expect(throws: EvaluationError.self) { try RunState<Perplexity.Part>(path: path, identity: "one") }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == content)
    }

    // MARK: Multiple choice

    @Test func likelihoodsByDefinition() throws {
        let scorer = try scorer(capacity: 64)
        let choice = MultipleChoice(scorer)
        let item = MultipleChoice.Item(line: 3, prompt: "hello ", choices: ["world", "the fox"], answer: 1)
        let state = try RunState<MultipleChoice.Part>(path: nil, identity: "")
        try choice.run([item], state) { _, _ in true }
        let generator = try scorer.model.makeGenerator()
        for (number, text) in item.choices.enumerated() {
            let tokens = scorer.tokenizer.encode("hello  " + text, addSpecial: false, parseSpecial: true)
            let first = scorer.tokenizer.encode("hello", addSpecial: false, parseSpecial: true).count
            var sum = 0.0
            try generator.evaluate(tokens) { place, logits in
                guard place + 1 >= first, place + 1 < tokens.count else { return }
                sum += Double(logits[Int(tokens[place + 1])]) - log(logits.reduce(0.0) { $0 + exp(Double($1)) })
            }
            #expect(abs(state.records[0].logLikelihoods[number] - sum) < 1e-9)
        }
        #expect(state.records[0].line == 3)
    }

    @Test(
        arguments: [
            ([-1, -2], ["a", "b"], 0, 1, 1), ([-2, -1], ["a", "b"], 0, 0, 0), ([-1, -1], ["a", "b"], 0, 1, 1),
            ([-1, -1], ["a", "b"], 1, 0, 0),
            // −3 / 6 characters against −2 / 2; the fox is one character.
            ([-3, -2], ["longer", "ab"], 0, 0, 1), ([-3, -2], ["longer", "ab"], 1, 1, 0),
            ([-1.5, -2], ["🦊", "🦊🦊"], 1, 0, 1),
        ] as [([Double], [String], Int, Int, Int)])
    func whichChoiceIsTaken(likelihoods: [Double], choices: [String], answer: Int, acc: Int, accNorm: Int) {
        let part = MultipleChoice.Part(.init(line: 1, prompt: "", choices: choices, answer: answer), likelihoods)
        #expect(part.acc == acc)
        #expect(part.accNorm == accNorm)
    }

    @Test func placesBetweenPromptAndChoice() throws {
        let choice = MultipleChoice(try scorer(capacity: 8))
        func split(_ prompt: String, _ continuation: String) throws -> [Int] {
            let (context, target) = try choice.tokens(prompt: prompt, continuation: continuation, line: 1)
            return [context.count, target.count]
        }
        // "hello" and " world" are single tokens here.
        #expect(try split("hello", " world") == [1, 1])
        #expect(try split("hello ", "world") == [1, 1])
        // Nothing before it: the token that a text begins with.
        #expect(try split("", " world") == [1, 1])
        // The last token is not run, and the beginning gives way.
        #expect(try split(String(repeating: "x", count: 40), " world") == [8, 1])
        #expect(try split("x", "abcdefg") == [1, 7])
        #expect(try split("xyz", "abcdefgh") == [1, 8])
        #expect(throws: EvaluationError.self) { try split("xyz", "abcdefghi") }
        #expect(throws: EvaluationError.self) { try split("", "") }
    }
}
