import ChatTemplates
import InferKit
import Synchronization
import Testing

private let greedy = GenerationOptions(sampling: .greedy)

/// ChatML that leaves a thought open unless told otherwise.
private let thinking = """
    {%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}
    {%- if m.reasoning_content %}{{ '<think>' + m.reasoning_content + '</think>' }}{% endif %}
    {{- m.content + '<|im_end|>\\n' }}{% endfor %}
    {%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}
    """

/// Says one text after every prompt, from the end of the prompt on.
private func model(_ reply: String, template: String = thinking, promptEnd: String = "<think>\n") -> ScriptedModel {
    let end = promptEnd.utf8.map { Int32($0) }
    let script = reply.utf8.map { Int32($0) } + [ScriptedModel.end]
    return ScriptedModel(
        template: template,
        next: { sequence in
            let start = sequence.indices.last { sequence[$0...].starts(with: end) }.map { $0 + end.count } ?? 0
            return sequence.count - start < script.count ? script[sequence.count - start] : ScriptedModel.end
        })
}

@Suite(.timeLimit(.minutes(10))) struct ReasoningTests {
    @Test func thoughtsAreApartFromTheAnswer() async throws {
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: model("hm, 4?\n</think>\n\nFour.")))
        let response = try await session.respond(to: "2 + 2?", options: greedy)
        #expect(response.content == "Four.")
        #expect(response.reasoning == "hm, 4?")
        #expect(response.usage.reasoningTokens == "hm, 4?\n</think>".utf8.count)
        #expect(session.transcript.entries == [.prompt("2 + 2?"), .reasoning("hm, 4?"), .response("Four.")])
    }

    @Test func snapshotsHaveBoth() async throws {
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: model("a</think>b")))
        var snapshots: [String] = []
        for try await snapshot in session.streamResponse(to: "x", options: greedy) {
            snapshots.append(snapshot.reasoning + "|" + snapshot.content)
        }
        #expect(snapshots == ["a|", "a|b"])
    }

    /// The model goes on from the words that end its thought.
    @Test(arguments: [0, 1, 5]) func aBudgetEndsAThought(budget: Int) async throws {
        let end: [Int32] = Array("\n</think>\n\n".utf8.map { Int32($0) })
        let script = ScriptedModel(
            template: thinking,
            next: { sequence in
                guard let place = sequence.indices.last(where: { sequence[$0...].starts(with: end) }) else {
                    return 104
                }
                let answer: [Int32] = [111, 107, ScriptedModel.end]
                return answer[min(sequence.count - place - end.count, 2)]
            })
        var options = greedy
        options.reasoning = .budget(budget)
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script))
        let response = try await session.respond(to: "x", options: options)
        #expect(response.reasoning == String(repeating: "h", count: budget))
        #expect(response.content == "ok")
        #expect(response.finishReason == .endOfText)
        // The words that end the thought count as well: nothing that was computed is hidden.
        #expect(response.usage.generatedTokens == budget + end.count + 2)
    }

    @Test func switchedOffTheModelAnswersAtOnce() async throws {
        let script = model("ok", promptEnd: "</think>\n\n")
        var options = greedy
        options.reasoning = .off
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script))
        let response = try await session.respond(to: "x", options: options)
        #expect(response.content == "ok")
        #expect(response.reasoning.isEmpty)
        let prompt = script.decode(script.log.withLock { $0.synced[0] }, renderSpecial: false)
        #expect(prompt.hasSuffix("assistant\n<think>\n\n</think>\n\n"))
    }

    @Test func stopSequencesAreForTheAnswer() async throws {
        var options = greedy
        options.stopSequences = ["STOP"]
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: model("a STOP b</think>c STOP d")))
        let response = try await session.respond(to: "x", options: options)
        #expect(response.reasoning == "a STOP b")
        #expect(response.content == "c ")
        #expect(response.finishReason == .stopSequence("STOP"))
    }

    /// A sequence that begins before a thought or a call does not end behind it, and one at the end of everything counts.
    @Test func stopSequencesAtTheEnd() async throws {
        var options = greedy
        options.stopSequences = ["c\n"]
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: model("a</think>bc\n")))
        let response = try await session.respond(to: "x", options: options)
        #expect(response.content == "b")
        #expect(response.finishReason == .stopSequence("c\n"))
    }

    @Test func variablesReachTheTemplate() async throws {
        let script = ScriptedModel("ok", template: thinking + "{{ mood }}")
        var options = greedy
        options.templateVariables = ["mood": try GeneratedContent(json: "\"merry\"")]
        _ = try? await LanguageModelSession(model: GGUFLanguageModel(backend: script)).respond(
            to: "x", options: options)
        #expect(script.decode(script.log.withLock { $0.synced[0] }, renderSpecial: false).hasSuffix("merry"))
    }
}
