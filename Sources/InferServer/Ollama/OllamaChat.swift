import ChatTemplates
import Foundation
import InferKit

/// `POST /api/chat` and `/api/generate`: lines of JSON, streamed unless the request says otherwise.
struct OllamaChat {
    let service: InferService

    func chat(_ request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let messages = try fields.array("messages") ?? []
        if messages.isEmpty { return try await loaded(fields, key: "message", ["role": "assistant", "content": ""]) }
        var chat = ChatTurn(messages: try Self.messages(messages))
        try readCommon(fields, &chat)
        return try await reply(chat, fields, request) { delta in
            var message = JSONObject([("role", "assistant"), ("content", .string(delta.content))])
            if !delta.reasoning.isEmpty { message["thinking"] = .string(delta.reasoning) }
            if !delta.calls.isEmpty {
                message["tool_calls"] = .array(
                    delta.calls.enumerated().map { place, call in
                        [
                            "id": .string(Identifiers.call()),
                            "function": [
                                "index": .int(delta.firstCall + place), "name": .string(call.toolName),
                                "arguments": call.arguments.json,
                            ],
                        ]
                    })
            }
            return [("message", .object(message))]
        }
    }

    func generate(_ request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let prompt = try fields.string("prompt") ?? ""
        if prompt.isEmpty { return try await loaded(fields, key: "response", "") }
        if let images = try fields.array("images"), !images.isEmpty {
            throw APIError.invalid("images cannot be used: this model takes text only")
        }
        let suffix = try fields.string("suffix") ?? ""
        if try fields.bool("raw") ?? false || !suffix.isEmpty {
            return try await raw(prompt, suffix: suffix, fields, request)
        }
        var messages: [JSONValue] = []
        if let system = try fields.string("system") { messages.append(["role": "system", "content": .string(system)]) }
        messages.append(["role": "user", "content": .string(prompt)])
        var chat = ChatTurn(messages: messages)
        try readCommon(fields, &chat)
        return try await reply(chat, fields, request) { delta in
            var members: [(String, JSONValue)] = [("response", .string(delta.content))]
            if !delta.reasoning.isEmpty { members.append(("thinking", .string(delta.reasoning))) }
            return members
        }
    }

    // MARK: Reading

    private static func messages(_ list: [JSONValue]) throws(APIError) -> [JSONValue] {
        let newest = Attachments.newestQuestion(list)
        var messages: [JSONValue] = []
        for (index, message) in list.enumerated() {
            guard var object = message.objectValue else {
                messages.append(message)
                continue
            }
            if let images = object["images"]?.arrayValue, !images.isEmpty {
                let words = try Attachments.placeholder("an image", isNewest: index == newest, "messages[\(index)]")
                let text = object["content"]?.stringValue ?? ""
                object["content"] = .string(text.isEmpty ? words : text + "\n" + words)
            }
            object["images"] = nil
            if let thinking = object["thinking"] { object["reasoning_content"] = thinking }
            object["thinking"] = nil
            if let name = object["tool_name"] { object["name"] = name }
            messages.append(.object(object))
        }
        return try ChatTurn.normalized(withNames(messages))
    }

    /// Calls and results may come without names for the calls, which some templates print: results belong to the first
    /// call of their tool that has none yet, and without a tool to the first of all.
    private static func withNames(_ messages: [JSONValue]) -> [JSONValue] {
        var open: [(id: String, name: String)] = []
        var count = 0
        return messages.map { message in
            guard var object = message.objectValue else { return message }
            if let calls = object["tool_calls"]?.arrayValue {
                object["tool_calls"] = .array(
                    calls.map { call in
                        guard var call = call.objectValue else { return call }
                        count += 1
                        let given = call["id"]?.stringValue ?? ""
                        let id = given.isEmpty ? "call_\(count)" : given
                        call["id"] = .string(id)
                        open.append((id, call["function"]?["name"]?.stringValue ?? ""))
                        return .object(call)
                    })
            }
            guard object["role"]?.stringValue == "tool" else { return .object(object) }
            let place: Int?
            if let id = object["tool_call_id"]?.stringValue, !id.isEmpty {
                place = open.firstIndex { $0.id == id }
            } else {
                let name = object["name"]?.stringValue
                place = open.firstIndex { $0.name == name } ?? (name == nil && !open.isEmpty ? 0 : nil)
                if let place { object["tool_call_id"] = .string(open[place].id) }
            }
            if let place { open.remove(at: place) }
            return .object(object)
        }
    }

    private func readCommon(_ fields: Fields, _ chat: inout ChatTurn) throws(APIError) {
        try chat.setTools(fields.array("tools") ?? [])
        chat.settings = try settings(fields)
        chat.request.format = try format(fields)
        chat.contextLimit = try contextLimit(fields)
        chat.dropsOldest = try fields.bool("truncate") ?? true
        switch fields["think"] {
        case .bool(let flag)?: chat.request.conversation.reasoning.isOn = flag
        case .string(let effort)?: try chat.readReasoningEffort(effort, "think")
        case nil: break
        case let value?: throw fields.wrong("think", value, "true, false, low, medium or high")
        }
    }

    private func contextLimit(_ fields: Fields) throws(APIError) -> Int? {
        guard let object = try fields.objectValue("options") else { return nil }
        guard let limit = try Fields(object, path: "options.").int("num_ctx"), limit > 0 else { return nil }
        return limit
    }

    private func settings(_ fields: Fields) throws(APIError) -> AnswerSettings {
        var settings = AnswerSettings()
        guard let object = try fields.objectValue("options") else { return settings }
        let options = Fields(object, path: "options.")
        try settings.readSampling(options)
        if let limit = try options.int("num_predict"), limit >= 0 { settings.maximumTokens = limit }
        try settings.setStops(options.strings("stop") ?? [], "options.stop")
        return settings
    }

    private func format(_ fields: Fields) throws(APIError) -> ChatRequest.Format {
        switch fields["format"] {
        case nil, .string("")?: return .text
        case .string("json")?: return .json
        case .object(let schema)?: return .schema(.object(schema))
        case let value?: throw fields.wrong("format", value, "\"json\" or a schema")
        }
    }

    // MARK: Writing

    /// A request without a question only loads the model, or lets it go.
    private func loaded(_ fields: Fields, key: String, _ empty: JSONValue) async throws -> ServerReply {
        let name = try fields.string("model")
        let lifetime = fields["keep_alive"]
        let goes = lifetime?.doubleValue == 0 || ["0", "0s", "0m", "0h"].contains(lifetime?.stringValue ?? "")
        let catalog = service.catalog
        let model = goes ? try await catalog.release(named: name) : try await catalog.model(named: name).name
        return .json([
            "model": .string(name ?? model), "created_at": .string(Self.now()), key: empty,
            "done": true, "done_reason": goes ? "unload" : "load",
        ])
    }

    /// A part of a reply: more text, a call, or all of it.
    struct Delta {
        var content = ""
        var reasoning = ""
        var calls: [Transcript.ToolCall] = []
        /// How many calls there were before.
        var firstCall = 0
    }

    private func reply(
        _ chat: ChatTurn, _ fields: Fields, _ request: ServerRequest,
        members: @escaping @Sendable (Delta) -> [(String, JSONValue)]
    ) async throws -> ServerReply {
        let start = ContinuousClock.now
        let model = try await service.catalog.model(named: fields.string("model"))
        let loadTime = ContinuousClock.now - start
        let answering = try service.answer(chat, model, request, streamsCalls: false)
        let figures = Figures(model, loadTime, wantedContext: chat.contextLimit, dropped: answering.droppedMessages)
        return try await reply(answering, fields, request, figures, members: members)
    }

    private func raw(_ prompt: String, suffix: String, _ fields: Fields, _ request: ServerRequest) async throws
        -> ServerReply
    {
        let start = ContinuousClock.now
        let model = try await service.catalog.model(named: fields.string("model"))
        let loadTime = ContinuousClock.now - start
        let tokens = suffix.isEmpty ? model.tokens(ofText: prompt) : try model.infill(prefix: prompt, suffix: suffix)
        var job = try settings(fields).job(tokens, choice: 0)
        job.format = model.format(try format(fields))
        let limit = try contextLimit(fields)
        if let limit, limit < model.contextLength {
            guard tokens.count < limit else {
                throw ServingError.promptTooLong(tokens: tokens.count, contextLength: limit)
            }
            job.options.maximumResponseTokens = min(job.options.maximumResponseTokens ?? .max, limit - tokens.count)
        }
        let answering = try service.answer([job], model, request)
        return try await reply(answering, fields, request, Figures(model, loadTime, wantedContext: limit, dropped: 0)) {
            [("response", .string($0.content))]
        }
    }

    private func reply(
        _ answering: Answering, _ fields: Fields, _ request: ServerRequest, _ figures: Figures,
        members: @escaping @Sendable (Delta) -> [(String, JSONValue)]
    ) async throws -> ServerReply {
        let model = answering.model
        let name = try fields.string("model") ?? model.name
        @Sendable func line(_ delta: Delta, _ outcome: AnswerOutcome?) -> JSONValue {
            var object = JSONObject([("model", .string(name)), ("created_at", .string(Self.now()))])
            for (key, value) in members(delta) { object[key] = value }
            object["done"] = .bool(outcome != nil)
            if let outcome {
                for (key, value) in figures.members(outcome) { object[key] = value }
            }
            return .object(object)
        }
        guard try fields.bool("stream") ?? true else {
            let answer = try await answering.collect()[0]
            if let result = answer.result { service.log(request, model, [result]) }
            let all = Delta(content: answer.content, reasoning: answer.reasoning, calls: answer.calls)
            return .json(line(all, answer.outcome))
        }
        return .lines(
            EventWriter.stream(disconnected: request.disconnected) { writer in
                var calls = 0
                for await (_, event) in answering.events() {
                    switch event {
                    case .content(let text): writer.sendLine(line(Delta(content: text), nil))
                    case .reasoning(let text): writer.sendLine(line(Delta(reasoning: text), nil))
                    case .call(let call):
                        writer.sendLine(line(Delta(calls: [call], firstCall: calls), nil))
                        calls += 1
                    case .finished(let outcome):
                        if let result = outcome.result { service.log(request, model, [result]) }
                        writer.sendLine(outcome.end.failure?.ollama ?? line(Delta(), outcome))
                    case .started, .scores, .promptScores, .callBegan, .callArguments: break
                    }
                }
            })
    }

    /// What the last line says besides.
    private struct Figures: Sendable {
        let load: Duration
        /// Tokens of context, where they are not those that were asked for.
        let context: Int?
        let dropped: Int

        init(_ model: ServedModel, _ load: Duration, wantedContext: Int?, dropped: Int) {
            self.load = load
            self.dropped = dropped
            context = wantedContext ?? 0 > model.contextLength ? model.contextLength : nil
        }

        func members(_ outcome: AnswerOutcome) -> [(String, JSONValue)] {
            func nanoseconds(_ duration: Duration) -> JSONValue { .int(Int(duration / .nanoseconds(1))) }
            var members: [(String, JSONValue)] = [("done_reason", .string(outcome.end.ollama))]
            if let result = outcome.result {
                let timing = result.timing
                members += [
                    ("total_duration", nanoseconds(load + timing.queued + timing.prompt + timing.generation)),
                    ("load_duration", nanoseconds(load)), ("prompt_eval_count", .int(result.promptTokens)),
                    ("prompt_eval_duration", nanoseconds(timing.prompt)),
                    ("eval_count", .int(result.generatedTokens)),
                    ("eval_duration", nanoseconds(timing.generation)),
                ]
            }
            if let context { members.append(("num_ctx", .int(context))) }
            if dropped > 0 { members.append(("dropped_messages", .int(dropped))) }
            return members
        }
    }

    static func now() -> String { Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)) }
}
