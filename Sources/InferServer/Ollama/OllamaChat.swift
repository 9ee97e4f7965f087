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
                    delta.calls.map { call in
                        ["function": ["name": .string(call.toolName), "arguments": call.arguments.json]]
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
        try ChatTurn.normalized(
            list.map { message throws(APIError) in
                guard var object = message.objectValue else { return message }
                if let images = object["images"]?.arrayValue, !images.isEmpty {
                    throw .invalid("images cannot be used: this model takes text only")
                }
                object["images"] = nil
                if let thinking = object["thinking"] { object["reasoning_content"] = thinking }
                object["thinking"] = nil
                if let name = object["tool_name"] { object["name"] = name }
                return .object(object)
            })
    }

    private func readCommon(_ fields: Fields, _ chat: inout ChatTurn) throws(APIError) {
        try chat.setTools(fields.array("tools") ?? [])
        chat.settings = try settings(fields)
        chat.request.format = try format(fields)
        switch fields["think"] {
        case .bool(let flag)?: chat.request.conversation.reasoning.isOn = flag
        case .string(let effort)?: try chat.readReasoningEffort(effort)
        default: break
        }
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

    /// A request without a question only loads the model.
    private func loaded(_ fields: Fields, key: String, _ empty: JSONValue) async throws -> ServerReply {
        let model = try await service.catalog.model(named: fields.string("model"))
        return .json([
            "model": .string(try fields.string("model") ?? model.name), "created_at": .string(Self.now()), key: empty,
            "done": true, "done_reason": "load",
        ])
    }

    private func reply(
        _ chat: ChatTurn, _ fields: Fields, _ request: ServerRequest,
        members: @escaping @Sendable (CollectedAnswer) -> [(String, JSONValue)]
    ) async throws -> ServerReply {
        let start = ContinuousClock.now
        let model = try await service.catalog.model(named: fields.string("model"))
        let loadTime = ContinuousClock.now - start
        let name = try fields.string("model") ?? model.name
        let answering = try service.answer(chat, model, request, streamsCalls: false)
        @Sendable func line(_ part: CollectedAnswer, isLast: Bool) -> JSONValue {
            var object = JSONObject([("model", .string(name)), ("created_at", .string(Self.now()))])
            for (key, value) in members(part) { object[key] = value }
            object["done"] = .bool(isLast)
            if isLast, let result = part.result {
                for (key, value) in Self.figures(result, loadTime) { object[key] = value }
            }
            return .object(object)
        }
        guard try fields.bool("stream") ?? true else {
            let answer = try await answering.collect()[0]
            if let result = answer.result { service.log(request, model, [result]) }
            return .json(line(answer, isLast: true))
        }
        return .lines(
            EventWriter.stream(disconnected: request.disconnected) { writer in
                for await (_, event) in answering.events() {
                    var part = CollectedAnswer()
                    part.add(event)
                    switch event {
                    case .scores, .callBegan, .callArguments: continue
                    default: break
                    }
                    if let result = part.result {
                        service.log(request, model, [result])
                        if let failure = result.failure { return writer.sendLine(failure.ollama) }
                    }
                    writer.sendLine(line(part, isLast: part.result != nil))
                }
            })
    }

    private func raw(_ prompt: String, suffix: String, _ fields: Fields, _ request: ServerRequest) async throws
        -> ServerReply
    {
        let model = try await service.catalog.model(named: fields.string("model"))
        let name = try fields.string("model") ?? model.name
        let tokens = suffix.isEmpty ? model.tokens(ofText: prompt) : try model.infill(prefix: prompt, suffix: suffix)
        var job = try settings(fields).job(tokens, choice: 0)
        job.format = model.format(try format(fields))
        job.deadline = service.deadline()
        job.id = request.id
        @Sendable func line(_ text: String, _ result: ServingResult?) -> JSONValue {
            var object = JSONObject([
                ("model", .string(name)), ("created_at", .string(Self.now())), ("response", .string(text)),
                ("done", .bool(result != nil)),
            ])
            if let result {
                for (key, value) in Self.figures(result, .zero) { object[key] = value }
            }
            return .object(object)
        }
        guard try fields.bool("stream") ?? true else {
            let answer = try await service.run([job], model, request)[0]
            return .json(line(answer.text, answer.result))
        }
        let events = try service.start([job], model, request)[0]
        return .lines(
            EventWriter.stream(disconnected: request.disconnected) { writer in
                for await event in events {
                    switch event {
                    case .answer(.text(let text)): writer.sendLine(line(text, nil))
                    case .started, .promptScores, .score, .answer, .openCall: break
                    case .finished(let result):
                        service.log(request, model, [result])
                        writer.sendLine(result.failure?.ollama ?? line("", result))
                    }
                }
            })
    }

    private static func figures(_ result: ServingResult, _ load: Duration) -> [(String, JSONValue)] {
        func nanoseconds(_ duration: Duration) -> JSONValue { .int(Int(duration / .nanoseconds(1))) }
        let answer = result
        let timing = result.timing
        return [
            ("done_reason", .string(answer.finishReason)),
            ("total_duration", nanoseconds(load + timing.queued + timing.prompt + timing.generation)),
            ("load_duration", nanoseconds(load)), ("prompt_eval_count", .int(result.promptTokens)),
            ("prompt_eval_duration", nanoseconds(timing.prompt)), ("eval_count", .int(result.generatedTokens)),
            ("eval_duration", nanoseconds(timing.generation)),
        ]
    }

    static func now() -> String { Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)) }
}
