import ChatTemplates
import Foundation
import InferKit
import Synchronization
import Testing

private let greedy = GenerationOptions(sampling: .greedy)

@Suite(.timeLimit(.minutes(10))) struct SessionTests {
    private func session(_ script: ScriptedModel, instructions: String? = nil) -> LanguageModelSession {
        LanguageModelSession(model: GGUFLanguageModel(backend: script), instructions: instructions)
    }

    @Test func anAnswerBecomesPartOfTheTranscript() async throws {
        let session = session(ScriptedModel("four"), instructions: "Be brief.")
        let response = try await session.respond(to: "2 + 2?", options: greedy)
        #expect(response.content == "four")
        #expect(response.finishReason == .endOfText)
        #expect(response.usage.generatedTokens == 4)
        #expect(
            session.transcript.entries == [
                .instructions("Be brief."), .prompt("2 + 2?"), .response("four"),
            ])
        #expect(!session.isResponding)
    }

    @Test func theModelSeesTheWholeConversation() async throws {
        let script = ScriptedModel("yes")
        let session = session(script, instructions: "S")
        _ = try await session.respond(to: "A", options: greedy)
        _ = try await session.respond(to: "B", options: greedy)
        let expected =
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n"
            + "<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n"
        let last = script.log.withLock { $0.synced.last }
        #expect(last == script.encode(expected, addSpecial: true, parseSpecial: true))
        #expect(script.log.withLock { $0.generators } == 1)
    }

    /// The model said "a", "b"; tokenizing "ab" would give one token and lose the sequence.
    @Test func theTokensOfAnAnswerAreKept() async throws {
        let script = ScriptedModel(tokens: [97, 98])
        let session = session(script)
        _ = try await session.respond(to: "x", options: greedy)
        let first = script.log.withLock { $0.synced[0] + $0.decoded }
        let response = try await session.respond(to: "y", options: greedy)
        let second = script.log.withLock { $0.synced[1] }
        #expect(second.starts(with: first))
        #expect(first.suffix(2) == [97, 98])
        #expect(response.usage.cachedPromptTokens == first.count)
    }

    /// The last token of a limited answer was never computed, and a cut character comes back as U+FFFD.
    @Test(arguments: [1, 2, 3, 4, 5])
    func aLimitedAnswerGoesOnCorrectly(limit: Int) async throws {
        let script = ScriptedModel("a🦊b")
        let session = session(script)
        var options = greedy
        options.maximumResponseTokens = limit
        let answer = try await session.respond(to: "x", options: options).content
        _ = try await session.respond(to: "y", options: greedy)
        let prompt = script.log.withLock { $0.synced[1] }
        #expect(script.decode(prompt, renderSpecial: false).contains("assistant\n\(answer)\nuser\ny"))
    }

    @Test func snapshotsGrowAndDeltasJoin() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("abc"))
        var snapshots: [String] = []
        for try await snapshot in LanguageModelSession(model: model).streamResponse(to: "x", options: greedy) {
            snapshots.append(snapshot.content)
        }
        #expect(snapshots == ["a", "ab", "abc"])
        var deltas: [String] = []
        for try await delta in LanguageModelSession(model: model).streamResponse(to: "x", options: greedy).deltas {
            deltas.append(delta)
        }
        #expect(deltas == ["a", "b", "c"])
    }

    @Test func cancelKeepsWhatThereIs() async throws {
        let holder = Mutex<LanguageModelSession?>(nil)
        let script = ScriptedModel(
            contextLength: .max, beforeDecode: { if $0 == 4 { holder.withLock { $0 }?.cancel() } }, next: { _ in 97 })
        let session = session(script)
        holder.withLock { $0 = session }
        let result = try await collect(session.streamResponse(to: "x", options: greedy).events)
        // Five tokens were there when it was asked to stop; the one under way is computed and no more is drawn.
        #expect(result.texts.joined() == "aaaaa")
        #expect(result.reason == .cancelled)
        #expect(session.transcript.entries == [.prompt("x"), .response("aaaaa")])
        #expect(script.log.withLock { $0.decoded.count } == 5)
        holder.withLock { $0 = nil }
    }

    @Test func aCancelledRespondThrows() async throws {
        let holder = Mutex<LanguageModelSession?>(nil)
        let script = ScriptedModel(
            contextLength: .max, beforeDecode: { if $0 == 1 { holder.withLock { $0 }?.cancel() } }, next: { _ in 97 })
        let session = session(script)
        holder.withLock { $0 = session }
        await #expect(throws: CancellationError.self) { try await session.respond(to: "x", options: greedy) }
        #expect(session.transcript.entries == [.prompt("x"), .response("aa")])
        holder.withLock { $0 = nil }
    }

    @Test func aCancelledTaskEndsItsAnswer() async throws {
        let started = AsyncStream.makeStream(of: Void.self)
        let script = ScriptedModel(
            contextLength: .max, beforeDecode: { _ in started.continuation.yield() }, next: { _ in 97 })
        let session = session(script)
        let task = Task { try await session.respond(to: "x", options: greedy) }
        for await _ in started.stream { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        // What there was is there when the error is.
        let kept = session.transcript
        #expect(kept.count == 2 && kept.entries.first == .prompt("x"))
        #expect(!session.isResponding)
        // The session is free again: it waits for the old answer to end.
        let stopped = session.streamResponse(to: "y", options: GenerationOptions(maximumResponseTokens: 2))
        #expect(try await stopped.collect().content == "aa")
        #expect(session.transcript.entries.starts(with: kept.entries))
    }

    @Test func leavingAStreamFreesTheSession() async throws {
        let script = ScriptedModel(contextLength: .max, next: { _ in 97 })
        let session = session(script)
        for try await snapshot in session.streamResponse(to: "x", options: greedy) where snapshot.content.count > 3 {
            break
        }
        #expect(!session.isResponding)
        #expect(session.transcript.count == 2)
        let response = try await session.respond(to: "y", options: GenerationOptions(maximumResponseTokens: 1))
        #expect(response.content == "a")
        #expect(session.transcript.count == 4)
    }

    /// However the stream is looked at, and while somebody still holds it.
    @Test(arguments: 0..<3) func leavingAViewFreesTheSession(view: Int) async throws {
        let session = session(ScriptedModel(contextLength: .max, next: { _ in 97 }))
        let one = GenerationOptions(maximumResponseTokens: 1)
        for _ in 0..<20 {
            let stream = session.streamResponse(to: "x", options: greedy)
            switch view {
            case 0: for try await _ in stream.deltas { break }
            case 1: for try await _ in stream { break }
            default: for try await event in stream.events { if case .text = event { break } }
            }
            #expect(!session.isResponding)
            #expect(try await session.respond(to: "y", options: one).content == "a")
            withExtendedLifetime(stream) {}
        }
        #expect(session.transcript.count == 80)
    }

    @Test func oneAnswerAtATime() async throws {
        let session = session(ScriptedModel(contextLength: .max, next: { _ in 97 }))
        let stream = session.streamResponse(to: "x", options: greedy)
        #expect(session.isResponding)
        await #expect(throws: LanguageModelSession.GenerationError.self) {
            try await session.respond(to: "y", options: greedy)
        }
        session.cancel()
        #expect(!session.isResponding)
        _ = try? await stream.collect()
        #expect(!session.transcript.contains(.prompt("y")))
    }

    @Test func aConversationThatIsTooLongLeavesNoTrace() async throws {
        let session = session(ScriptedModel("ok", contextLength: 60))
        do {
            _ = try await session.respond(to: String(repeating: "x", count: 60), options: greedy)
            Issue.record("no error")
        } catch LanguageModelSession.GenerationError.exceededContextWindowSize(let context) {
            #expect(context.debugDescription.contains("60"))
        }
        #expect(session.transcript.isEmpty)
        #expect(try await session.respond(to: "x", options: greedy).content == "ok")
    }

    @Test func aTemplateThatCannotBeReadSaysSo() async throws {
        let session = session(ScriptedModel("ok", template: "{% if %}"))
        do {
            _ = try await session.respond(to: "x", options: greedy)
            Issue.record("no error")
        } catch LanguageModelSession.GenerationError.unsupportedChatTemplate(let context) {
            #expect(context.debugDescription.contains("syntax"))
        }
        #expect(session.transcript.isEmpty)
    }

    /// Whether the template writes it or the encoder adds it, it comes once.
    @Test(arguments: ["{{ bos_token }}", ""]) func aPromptBeginsOnce(bos: String) async throws {
        let template = bos + "{% for m in messages %}{{ m.content }}{% endfor %}"
        let script = ScriptedModel("ok", template: template, beginOfText: ScriptedModel.turnStart)
        _ = try await session(script).respond(to: "x", options: greedy)
        #expect(script.log.withLock { $0.synced[0] } == [ScriptedModel.turnStart, 120])
    }

    @Test func prewarmComputesWhatWillComeAgain() async throws {
        let script = ScriptedModel("ok")
        let session = session(script, instructions: "Be brief.")
        try await session.prewarm()
        let warmed = script.log.withLock { $0.synced }
        #expect(warmed.count == 1)
        let response = try await session.respond(to: "x", options: greedy)
        #expect(response.usage.cachedPromptTokens == warmed.first?.count)
        #expect(response.content == "ok")
    }

    @Test func twoSessionsOfOneModelDoNotMix() async throws {
        let model = GGUFLanguageModel(backend: ScriptedModel("ok"))
        let sessions = (0..<8).map { LanguageModelSession(model: model, instructions: "\($0)") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, session) in sessions.enumerated() {
                group.addTask {
                    for turn in 0..<3 {
                        let response = try await session.respond(to: "\(index) \(turn)", options: greedy)
                        #expect(response.content == "ok")
                    }
                }
            }
            try await group.waitForAll()
        }
        for (index, session) in sessions.enumerated() {
            #expect(session.transcript.count == 7)
            #expect(session.transcript[1] == .prompt("\(index) 0"))
        }
    }

    @Test func transcriptsAreStoredAndContinued() async throws {
        let transcript = Transcript(entries: [.instructions("S"), .prompt("é\n\"q\""), .response("ok")])
        let data = try JSONEncoder().encode(transcript)
        let restored = try JSONDecoder().decode(Transcript.self, from: data)
        #expect(restored == transcript)
        let script = ScriptedModel("fine")
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script), transcript: restored)
        _ = try await session.respond(to: "x", options: greedy)
        let text = script.decode(script.log.withLock { $0.synced[0] }, renderSpecial: false)
        #expect(text == "system\nS\nuser\né\n\"q\"\nassistant\nok\nuser\nx\nassistant\n")
        #expect(session.transcript.count == 5)
    }
}
