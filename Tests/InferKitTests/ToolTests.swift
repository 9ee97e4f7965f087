import ChatTemplates
import Foundation
import InferKit
import Synchronization
import Testing

private let greedy = GenerationOptions(sampling: .greedy)

/// Adds two to a number, or fails.
private struct AddTwo: Tool {
    struct Arguments: Decodable { var number: Int }
    struct Refusal: Error {}

    let name = "add_two"
    let description = "Adds two."
    let parameters = GenerationSchema.object(["number": .integer()])

    func call(arguments: Arguments) throws -> Int {
        guard arguments.number != 13 else { throw Refusal() }
        return arguments.number + 2
    }
}

/// Answers the n-th time it is asked with the n-th reply.
private func scripted(
    _ replies: [String], template: String? = nil,
    makesConstraint: (@Sendable (OutputPattern) throws -> any TokenConstraint)? = nil
) -> ScriptedModel {
    let marker = [ScriptedModel.turnStart] + "assistant\n".utf8.map { Int32($0) }
    return ScriptedModel(
        contextLength: 100_000, template: template, makesConstraint: makesConstraint,
        next: { sequence in
            let starts = sequence.indices.filter { sequence[$0...].starts(with: marker) }
            guard let last = starts.last, starts.count <= replies.count else { return ScriptedModel.end }
            let reply = replies[starts.count - 1].utf8.map { Int32($0) } + [ScriptedModel.end]
            let said = sequence.count - last - marker.count
            return said < reply.count ? reply[said] : ScriptedModel.end
        })
}

private func call(_ number: Int, name: String = "add_two") -> String {
    "<tool_call>\n{\"name\": \"\(name)\", \"arguments\": {\"number\": \(number)}}\n</tool_call>"
}

@Suite(.timeLimit(.minutes(10))) struct ToolTests {
    private func session(_ model: ScriptedModel, _ tools: [any Tool] = [AddTwo()]) -> LanguageModelSession {
        LanguageModelSession(model: GGUFLanguageModel(backend: model), tools: tools)
    }

    @Test func aCallIsRunAndItsResultTold() async throws {
        let callText = call(40)
        let model = scripted(["Let me see. " + callText, "It is 42."])
        let session = session(model)
        let response = try await session.respond(to: "40 and 2?", options: greedy)
        #expect(response.content == "It is 42.")
        #expect(response.finishReason == .endOfText)
        let entries = session.transcript.entries
        #expect(entries.count == 5)
        guard entries.count == 5, case .toolCalls(let calls) = entries[2], let call = calls.first else {
            Issue.record("\(entries)")
            return
        }
        #expect(entries[0] == .prompt("40 and 2?"))
        #expect(entries[1] == .response("Let me see."))
        #expect(call.toolName == "add_two")
        #expect(call.arguments["number"]?.intValue == 40)
        #expect(entries[3] == .toolOutput(.init(id: call.id, toolName: "add_two", text: "42")))
        #expect(entries[4] == .response("It is 42."))
        // The model saw its call and the result.
        let prompt = model.decode(model.log.withLock { $0.synced[1] }, renderSpecial: false)
        #expect(prompt.contains("\"name\": \"add_two\", \"arguments\": {\"number\": 40}"))
        #expect(prompt.hasSuffix("<tool_response>\n42\n</tool_response>\nassistant\n"))
        #expect(response.usage.generatedTokens == ("Let me see. " + callText + "It is 42.").utf8.count)
    }

    @Test func severalCallsAtOnceAreAnsweredInOrder() async throws {
        let session = session(scripted([call(1) + "\n" + call(2) + "\n" + call(3), "done"]))
        let events = session.streamResponse(to: "x", options: greedy).events
        var outputs: [String] = []
        var finishes = 0
        for try await event in events {
            if case .toolOutput(let output) = event { outputs.append(output.text) }
            if case .finished = event { finishes += 1 }
        }
        #expect(outputs == ["3", "4", "5"])
        #expect(finishes == 1)
        guard case .toolCalls(let calls) = session.transcript[1] else {
            Issue.record("\(session.transcript)")
            return
        }
        #expect(Set(calls.map(\.id)).count == 3)
    }

    @Test func aThrownErrorHasTheToolsName() async throws {
        let session = session(scripted([call(13)]))
        do {
            _ = try await session.respond(to: "x", options: greedy)
            Issue.record("no error")
        } catch let error as LanguageModelSession.ToolCallError {
            #expect(error.tool.name == "add_two")
            #expect(error.underlyingError is AddTwo.Refusal)
        }
        // The call nobody answered is not lost, and the conversation goes on.
        #expect(session.transcript.entries == [.prompt("x"), .response("add_two({\"number\":13})")])
        #expect(!session.isResponding)
    }

    @Test func anUnknownToolAndWrongArgumentsAreTheModelsToMend() async throws {
        let wrong = "<tool_call>{\"name\": \"add_two\", \"arguments\": {\"number\": \"three\"}}</tool_call>"
        let session = session(scripted([call(1, name: "nothing") + wrong, "sorry"]))
        let response = try await session.respond(to: "x", options: greedy)
        #expect(response.content == "sorry")
        let outputs = session.transcript.compactMap { entry in
            if case .toolOutput(let output) = entry { output.text } else { nil }
        }
        #expect(outputs.count == 2)
        #expect(outputs.first == "Error: there is no tool nothing; there are: add_two")
        #expect(outputs.last?.hasPrefix("Error: the arguments do not have the form {") == true)
    }

    @Test func aMalformedCallIsTextWithADiagnosis() async throws {
        let reply = "<tool_call>{\"name\": 5}</tool_call>"
        let session = session(scripted([reply]))
        var problems: [OutputProblem] = []
        var text = ""
        for try await event in session.streamResponse(to: "x", options: greedy).events {
            if case .diagnostic(let problem) = event { problems.append(problem) }
            if case .text(let delta) = event { text += delta }
        }
        #expect(problems.count == 1)
        #expect(problems.first?.unfinishedCall == nil)
        #expect(text == reply)
        #expect(session.transcript.entries == [.prompt("x"), .response(reply)])
    }

    @Test func aCallThatIsCutOffIsNotLost() async throws {
        var options = greedy
        options.maximumResponseTokens = 30
        let session = session(scripted([call(40)]))
        let response = try await session.respond(to: "x", options: options)
        #expect(response.finishReason == .maximumTokens)
        #expect(response.content == String(call(40).prefix(30)))
        #expect(session.transcript.entries == [.prompt("x"), .response(response.content)])
    }

    @Test func withoutAChoiceToolsAreKeptFromTheModel() async throws {
        var options = greedy
        options.toolChoice = .none
        let model = scripted([call(1)])
        let response = try await session(model).respond(to: "x", options: options)
        #expect(response.content == call(1))
        #expect(!model.decode(model.log.withLock { $0.synced[0] }, renderSpecial: false).contains("add_two"))
    }

    @Test func aChoiceOfAToolThatIsNotThereIsAnError() async throws {
        var options = greedy
        options.toolChoice = .named("sing")
        for tools in [[AddTwo()], []] {
            do {
                _ = try await session(scripted(["x"]), tools).respond(to: "x", options: options)
                Issue.record("no error")
            } catch LanguageModelSession.GenerationError.invalidOption(let context) {
                #expect(context.debugDescription.contains("not among the tools"))
            }
        }
    }

    @Test func aModelThatOnlyCallsIsGivenUp() async throws {
        let session = session(scripted(Array(repeating: call(1), count: 100)))
        let response = try await session.respond(to: "x", options: greedy)
        #expect(response.finishReason == .toolCalls)
        #expect(session.transcript.count < 100)
    }

    @Test func transcriptsWithCallsAreStoredAndContinued() async throws {
        let first = session(scripted([call(40), "42."]))
        _ = try await first.respond(to: "x", options: greedy)
        let data = try JSONEncoder().encode(first.transcript)
        let restored = try JSONDecoder().decode(Transcript.self, from: data)
        #expect(restored == first.transcript)
        let model = scripted(["", "", "fine"])
        let session = LanguageModelSession(
            model: GGUFLanguageModel(backend: model), tools: [AddTwo()], transcript: restored)
        #expect(try await session.respond(to: "y", options: greedy).content == "fine")
        let prompt = model.decode(model.log.withLock { $0.synced[0] }, renderSpecial: false)
        #expect(prompt.contains("<tool_response>\n42\n</tool_response>\nassistant\n42.\nuser\ny\n"))
    }

    @Test func cancellingEndsAToolToo() async throws {
        struct Sleeper: Tool {
            let name = "add_two"
            let description = "Sleeps."
            let parameters = GenerationSchema.object([:])
            let started: AsyncStream<Void>.Continuation

            func call(arguments: GeneratedContent) async throws -> String {
                started.yield()
                try await Task.sleep(for: .seconds(10_000))
                return "late"
            }
        }
        let started = AsyncStream.makeStream(of: Void.self)
        let session = session(scripted([call(1)]), [Sleeper(started: started.continuation)])
        let stream = session.streamResponse(to: "x", options: greedy)
        for await _ in started.stream { break }
        session.cancel()
        var finish: FinishReason?
        for try await event in stream.events {
            if case .finished(let reason, _) = event { finish = reason }
        }
        #expect(finish == .cancelled)
        #expect(session.transcript.entries == [.prompt("x"), .response("add_two({\"number\":1})")])
    }

    @Test func theTokensOfACallAreKept() async throws {
        let model = scripted([call(40), "42."])
        let session = session(model)
        _ = try await session.respond(to: "x", options: greedy)
        let (first, second) = model.log.withLock {
            ($0.synced[0] + $0.decoded.prefix(call(40).utf8.count), $0.synced[1])
        }
        #expect(second.starts(with: first))
    }
}
