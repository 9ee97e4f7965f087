import ChatTemplates
import Foundation
import InferKit
import Synchronization
import Testing

/// Allows one text, then the end.
private struct OneText: TokenConstraint {
    var rest: ArraySlice<Int32>

    init(_ text: String) { rest = text.utf8.map { Int32($0) }[...] }

    mutating func mask(into mask: inout TokenMask) {
        mask.removeAll()
        mask[rest.first ?? ScriptedModel.end] = true
    }

    mutating func accept(_ token: Int32) throws {
        #expect(token == rest.first)
        rest = rest.dropFirst()
    }
}

private struct Ping: Tool {
    let name = "ping"
    let description = "Pings."
    let parameters = GenerationSchema.object([:])

    func call(arguments: GeneratedContent) -> String { "pong" }
}

/// How answers are held to a form, with forms that allow a single text each.
@Suite(.timeLimit(.minutes(10))) struct GuideTests {
    private let greedy = GenerationOptions(sampling: .greedy)

    @Test func anAnswerHasTheFormAndIsDecoded() async throws {
        // It wants to say something else.
        let patterns = Mutex<[OutputPattern]>([])
        let script = ScriptedModel(
            makesConstraint: { pattern in
                patterns.withLock { $0.append(pattern) }
                return OneText("{\"a\":[1,true]}")
            }, next: { _ in 120 })
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script))
        let schema = GenerationSchema.object(["a": .array(of: .integer())])
        let response = try await session.respond(to: "x", schema: schema, options: greedy)
        #expect(response.content["a"]?.arrayValue?.first?.intValue == 1)
        #expect(response.finishReason == .endOfText)
        #expect(patterns.withLock { $0.first } == .schema(schema.json))
        #expect(session.transcript.entries == [.prompt("x"), .response("{\"a\":[1,true]}")])
    }

    @Test func typesAreDecoded() async throws {
        struct Place: Decodable, Sendable, Equatable { var name: String }
        let script = ScriptedModel(makesConstraint: { _ in OneText("{\"name\":\"Rome\"}") }, next: { _ in 120 })
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script))
        let response = try await session.respond(
            to: "x", generating: Place.self, schema: .object(["name": .string()]), options: greedy)
        #expect(response.content == Place(name: "Rome"))
    }

    @Test func anAnswerThatIsCutOffIsAnError() async throws {
        let script = ScriptedModel(makesConstraint: { _ in OneText("{\"a\":1}") }, next: { _ in 120 })
        var options = greedy
        options.maximumResponseTokens = 4
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script))
        do {
            _ = try await session.respond(to: "x", schema: .object([:]), options: options)
            Issue.record("no error")
        } catch LanguageModelSession.GenerationError.decodingFailure(let context) {
            #expect(context.debugDescription.contains("maximumTokens"))
        }
    }

    @Test func whatIsNotSupportedIsNamed() async throws {
        struct Unsupported: Error, CustomStringConvertible { var description: String { "'patternProperties'" } }
        let script = ScriptedModel(makesConstraint: { _ in throw Unsupported() }, next: { _ in 120 })
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script))
        do {
            _ = try await session.respond(to: "x", schema: .object([:]), options: greedy)
            Issue.record("no error")
        } catch LanguageModelSession.GenerationError.unsupportedGuide(let context) {
            #expect(context.debugDescription == "'patternProperties'")
        }
    }

    @Test func thoughtsAreFree() async throws {
        let template = """
            {%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}
            {%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}{# </think> #}
            """
        let start = "<think>\n".utf8.map { Int32($0) }
        let thought = "why not?</think>\nand so on".utf8.map { Int32($0) }
        let script = ScriptedModel(
            template: template, makesConstraint: { _ in OneText("yes") },
            next: { sequence in
                let place = sequence.indices.last { sequence[$0...].starts(with: start) } ?? 0
                return thought[min(sequence.count - place - start.count, thought.count - 1)]
            })
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script))
        var options = greedy
        options.grammar = "root ::= \"yes\""
        let response = try await session.respond(to: "x", options: options)
        #expect(response.reasoning == "why not?")
        // The line break behind a thought is not part of the form.
        #expect(response.content == "yes")
    }

    /// The model only writes the mark of a call; the rest is held to the form.
    @Test func aCallIsHeldToItsForm() async throws {
        let patterns = Mutex<[OutputPattern]>([])
        let script = ScriptedModel(
            makesConstraint: { pattern in
                patterns.withLock { $0.append(pattern) }
                return OneText("\n{\"name\": \"ping\", \"arguments\": {}}\n</tool_call>")
            },
            next: { sequence in
                let text = String(decoding: sequence.flatMap(ScriptedModel.bytes), as: UTF8.self)
                if text.hasSuffix("</tool_response>\nassistant\n") { return 111 }
                guard let last = text.range(of: "assistant\n", options: .backwards) else { return 120 }
                let said = text[last.upperBound...]
                if said.hasSuffix("</tool_call>") { return ScriptedModel.end }
                return "<tool_call>".hasPrefix(said) && said.count < 11
                    ? Int32(Array("<tool_call>".utf8)[said.utf8.count]) : said == "o" ? ScriptedModel.end : 120
            })
        let session = LanguageModelSession(model: GGUFLanguageModel(backend: script), tools: [Ping()])
        var options = greedy
        options.maximumResponseTokens = 100
        let outputs = Mutex<[String]>([])
        for try await event in session.streamResponse(to: "x", options: options).events {
            if case .toolOutput(let output) = event { outputs.withLock { $0.append(output.text) } }
        }
        #expect(outputs.withLock { $0 }.first == "pong")
        #expect(patterns.withLock { $0.count } >= 2)
    }

    @Test func aRequiredCallIsTheFormOfTheAnswer() async throws {
        let patterns = Mutex<[OutputPattern]>([])
        let script = ScriptedModel(
            makesConstraint: { pattern in
                patterns.withLock { $0.append(pattern) }
                return OneText("<tool_call>\n{\"name\": \"ping\", \"arguments\": {}}\n</tool_call>")
            }, next: { _ in 120 })
        let model = GGUFLanguageModel(backend: script)
        var request = ChatRequest(
            Conversation(
                messages: [ChatMessage(.user, "x")],
                tools: [["type": "function", "function": ["name": "ping", "parameters": ["type": "object"]]]]))
        request.choice = .named("ping")
        let prompt = try model.prompt(for: request)
        var calls: [Transcript.ToolCall] = []
        var finish: FinishReason?
        for try await event in model.generate(prompt, options: greedy, until: StopFlag()) {
            if case .toolCall(let call) = event { calls.append(call) }
            if case .finished(let reason, _) = event { finish = reason }
        }
        #expect(calls.map(\.toolName) == ["ping"])
        #expect(finish == .toolCalls)
        #expect(prompt.answer.pattern != nil)
    }

    /// In harmony headers and thoughts are part of the form; a thought over its budget ends within it.
    @Test(arguments: ["", "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"])
    func aRequiredCallInMessages(thought: String) async throws {
        let template = DefaultTemplate.chatML.source + "{# <|channel|><|message|><|start|> #}"
        let script = ScriptedModel(
            template: template,
            makesConstraint: { _ in
                OneText(thought + "<|channel|>commentary to=functions.ping <|constrain|>json<|message|>{}")
            }, next: { _ in 120 })
        let model = GGUFLanguageModel(backend: script)
        var request = ChatRequest(
            Conversation(messages: [ChatMessage(.user, "x")], tools: [["function": ["name": "ping"]]]))
        request.conversation.reasoning = ReasoningOptions(isOn: true, budget: 2)
        request.choice = .required
        let prompt = try model.prompt(for: request)
        #expect(prompt.answer.holdsThoughts)
        var calls: [Transcript.ToolCall] = []
        var reasoning = ""
        var finish: FinishReason?
        for try await event in model.generate(prompt, options: greedy, until: StopFlag()) {
            if case .toolCall(let call) = event { calls.append(call) }
            if case .reasoning(let text) = event { reasoning += text }
            if case .finished(let reason, _) = event { finish = reason }
        }
        #expect(calls.map(\.toolName) == ["ping"])
        #expect(reasoning == (thought.isEmpty ? "" : "hm"))
        #expect(finish == .toolCalls)
    }

    /// A call that the model makes of its own accord is held to the form of the tool that its header names.
    @Test func argumentsInMessagesAreHeldToTheirForm() async throws {
        let header = Array("<|channel|>commentary to=functions.ping<|message|>".utf8)
        let script = ScriptedModel(
            template: DefaultTemplate.chatML.source + "{# <|channel|><|message|><|start|> #}",
            makesConstraint: { pattern in OneText(pattern == .schema(["type": "object"]) ? "{\"a\": 1}" : "?") },
            next: { sequence in
                let start = [ScriptedModel.turnStart] + "assistant\n".utf8.map { Int32($0) }
                let place = sequence.indices.last { sequence[$0...].starts(with: start) } ?? 0
                let said = sequence.count - place - start.count
                return said < header.count ? Int32(header[said]) : said > header.count + 7 ? ScriptedModel.end : 120
            })
        let model = GGUFLanguageModel(backend: script)
        let request = ChatRequest(
            Conversation(messages: [ChatMessage(.user, "x")], tools: [["function": ["name": "ping"]]]))
        var calls: [Transcript.ToolCall] = []
        for try await event in model.generate(try model.prompt(for: request), options: greedy, until: StopFlag()) {
            if case .toolCall(let call) = event { calls.append(call) }
        }
        #expect(calls.map(\.arguments.jsonString) == ["{\"a\":1}"])
    }

    @Test func plainTextObeysAGrammarToo() async throws {
        let script = ScriptedModel(makesConstraint: { _ in OneText("abc") }, next: { _ in 120 })
        var options = greedy
        options.grammar = "root ::= \"abc\""
        let result = try await collect(GGUFLanguageModel(backend: script).generate(tokens: [1], options: options))
        #expect(result.texts.joined() == "abc")
        #expect(result.reason == .endOfText)
    }
}
