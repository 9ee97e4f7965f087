import ChatTemplates
import InferKit

/// `POST /v1/messages`, the API of Anthropic.
struct AnthropicMessages {
    let service: InferService

    func reply(to request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        var chat = try Self.turn(fields)
        guard let limit = try fields.int("max_tokens", in: 1...Int.max) else {
            throw APIError.invalid("max_tokens is missing", param: "max_tokens")
        }
        chat.settings.maximumTokens = limit
        let name = try fields.string("model")
        let model = try await service.catalog.model(named: name)
        let isStreamed = try fields.bool("stream") ?? false
        let answering = try service.answer(chat, model, request, streamsCalls: isStreamed)
        let id = "msg_" + Identifiers.random()
        guard isStreamed else {
            let answer = try await answering.collect()[0]
            if let result = answer.result { service.log(request, model, [result]) }
            return .json(Self.message(answer, id: id, model: name ?? model.name))
        }
        return .events(
            EventWriter.stream(disconnected: request.disconnected) { writer in
                var blocks = AnthropicEvents(writer: writer)
                blocks.start(id: id, model: name ?? model.name, inputTokens: answering.prompt.tokens.count)
                for await (_, event) in answering.events() {
                    if case .finished(let result) = event { service.log(request, model, [result]) }
                    blocks.add(event)
                }
            })
    }

    func count(_ request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let model = try await service.catalog.model(named: fields.string("model"))
        return .json(["input_tokens": .int(try model.prompt(for: Self.turn(fields)).tokens.count)])
    }

    // MARK: Reading

    private static func turn(_ fields: Fields) throws(APIError) -> ChatTurn {
        var messages: [JSONValue] = []
        if let system = fields["system"] {
            messages.append(["role": "system", "content": try ChatTurn.content(system, 0)])
        }
        guard let given = try fields.array("messages") else { throw .invalid("messages is missing", param: "messages") }
        for (index, message) in given.enumerated() {
            try add(Fields(message, path: "messages[\(index)]"), index, &messages)
        }
        var chat = ChatTurn(messages: try ChatTurn.normalized(messages))
        try chat.settings.readSampling(fields)
        try chat.settings.setStops(fields.strings("stop_sequences") ?? [], "stop_sequences")
        try chat.setTools(
            (fields.array("tools") ?? []).map { tool in
                var function = JSONObject([("name", tool["name"] ?? .null)])
                function["description"] = tool["description"]
                function["parameters"] = tool["input_schema"] ?? .object(JSONObject())
                return ["type": "function", "function": .object(function)]
            })
        if let choice = fields["tool_choice"] {
            switch choice["type"]?.stringValue {
            case "auto": break
            case "none": chat.request.choice = .none
            case "any": try chat.setToolChoice(.required)
            case "tool": try chat.setToolChoice(.named(choice["name"]?.stringValue ?? ""))
            default: throw .invalid("tool_choice.type is not auto, any, tool or none", param: "tool_choice")
            }
            if choice["disable_parallel_tool_use"]?.boolValue == true { chat.request.isParallel = false }
        }
        switch fields["thinking"]?["type"]?.stringValue {
        case "enabled", "adaptive":
            chat.request.conversation.reasoning = ReasoningOptions(
                isOn: true, budget: fields["thinking"]?["budget_tokens"]?.intValue)
        case "disabled": chat.request.conversation.reasoning.isOn = false
        default: break
        }
        return chat
    }

    /// One message here may be several in the chat API: results of tools are messages of their own there.
    private static func add(_ fields: Fields, _ index: Int, _ messages: inout [JSONValue]) throws(APIError) {
        let role = try fields.string("role") ?? ""
        guard ["user", "assistant", "system"].contains(role) else {
            throw .invalid("messages[\(index)].role is '\(role)', expected user or assistant", param: "messages")
        }
        guard let blocks = fields["content"]?.arrayValue else {
            messages.append(["role": .string(role), "content": fields["content"] ?? ""])
            return
        }
        var texts: [JSONValue] = []
        var thoughts: [String] = []
        var calls: [JSONValue] = []
        for block in blocks {
            switch block["type"]?.stringValue {
            case "text": texts.append(["type": "text", "text": block["text"] ?? ""])
            case "thinking": thoughts.append(block["thinking"]?.stringValue ?? "")
            case "redacted_thinking": break
            case "tool_use":
                calls.append([
                    "id": block["id"] ?? "", "type": "function",
                    "function": ["name": block["name"] ?? "", "arguments": block["input"] ?? .object(JSONObject())],
                ])
            case "tool_result":
                var content = block["content"] ?? ""
                if block["is_error"]?.boolValue ?? false {
                    var texts = try ChatTurn.texts(of: content, index)
                    texts = ["Error: " + (texts.first ?? "")] + texts.dropFirst()
                    content = content.arrayValue == nil ? .string(texts[0]) : .array(texts.map { .string($0) })
                }
                messages.append(["role": "tool", "tool_call_id": block["tool_use_id"] ?? "", "content": content])
            case let type:
                throw .invalid(
                    "messages[\(index)] has a block of type '\(type ?? "")'; this model takes text only",
                    param: "messages")
            }
        }
        guard !texts.isEmpty || !thoughts.isEmpty || !calls.isEmpty else { return }
        var message = JSONObject([("role", .string(role)), ("content", .array(texts))])
        if !thoughts.isEmpty { message["reasoning_content"] = .string(thoughts.joined()) }
        if !calls.isEmpty { message["tool_calls"] = .array(calls) }
        messages.append(.object(message))
    }

    // MARK: Writing

    static func stop(_ result: ServingResult?) -> (reason: String, sequence: String?) {
        if result?.calls ?? 0 > 0 { return ("tool_use", nil) }
        switch result?.reason {
        case .stopSequence(let text)?: return ("stop_sequence", text)
        case .maximumTokens?, .contextFull?, .timedOut?, .shutDown?, .refused?, .failed?: return ("max_tokens", nil)
        case .endOfText?, .toolCalls?, .cancelled?, nil: return ("end_turn", nil)
        }
    }

    static func usage(_ result: ServingResult?) -> JSONValue {
        let cached = result?.cachedTokens ?? 0
        return [
            "input_tokens": .int((result?.promptTokens ?? 0) - cached), "cache_read_input_tokens": .int(cached),
            "cache_creation_input_tokens": 0, "output_tokens": .int(result?.generatedTokens ?? 0),
        ]
    }

    private static func message(_ answer: CollectedAnswer, id: String, model: String) -> JSONValue {
        var content: [JSONValue] = []
        if !answer.reasoning.isEmpty {
            content.append(["type": "thinking", "thinking": .string(answer.reasoning), "signature": ""])
        }
        if !answer.content.isEmpty || answer.calls.isEmpty && answer.reasoning.isEmpty {
            content.append(["type": "text", "text": .string(answer.content)])
        }
        content += answer.calls.map { call in
            [
                "type": "tool_use", "id": .string("toolu_" + Identifiers.random()), "name": .string(call.toolName),
                "input": call.arguments.json,
            ]
        }
        let stop = stop(answer.result)
        return [
            "id": .string(id), "type": "message", "role": "assistant", "model": .string(model),
            "content": .array(content),
            "stop_reason": .string(stop.reason), "stop_sequence": JSONValue(stop.sequence),
            "usage": usage(answer.result),
        ]
    }
}

/// The named events of a streamed message: blocks with consecutive numbers, one open at a time.
struct AnthropicEvents {
    private let writer: EventWriter
    private var index = 0
    private var openType: String?

    init(writer: EventWriter) { self.writer = writer }

    private func send(_ type: String, _ members: [(String, JSONValue)]) {
        writer.send(.object(JSONObject([("type", .string(type))] + members)), event: type)
    }

    func start(id: String, model: String, inputTokens: Int) {
        send(
            "message_start",
            [
                (
                    "message",
                    [
                        "id": .string(id), "type": "message", "role": "assistant", "model": .string(model),
                        "content": [],
                        "stop_reason": .null, "stop_sequence": .null,
                        "usage": ["input_tokens": .int(inputTokens), "output_tokens": 0],
                    ]
                )
            ])
    }

    mutating func add(_ event: AnswerEvent) {
        switch event {
        case .scores: break
        case .reasoning(let text):
            open("thinking", ["type": "thinking", "thinking": "", "signature": ""])
            delta(["type": "thinking_delta", "thinking": .string(text)])
        case .content(let text):
            open("text", ["type": "text", "text": ""])
            delta(["type": "text_delta", "text": .string(text)])
        case .callBegan(let name):
            close()
            open(
                "tool_use",
                [
                    "type": "tool_use", "id": .string("toolu_" + Identifiers.random()), "name": .string(name),
                    "input": .object(JSONObject()),
                ])
        case .callArguments(let text): delta(["type": "input_json_delta", "partial_json": .string(text)])
        case .call: close()
        case .finished(let result):
            if let failure = result.failure {
                return writer.send(failure.anthropic, event: "error")
            }
            if index == 0, openType == nil { open("text", ["type": "text", "text": ""]) }
            close()
            let stop = AnthropicMessages.stop(result)
            send(
                "message_delta",
                [
                    ("delta", ["stop_reason": .string(stop.reason), "stop_sequence": JSONValue(stop.sequence)]),
                    ("usage", AnthropicMessages.usage(result)),
                ])
            send("message_stop", [])
        }
    }

    private func delta(_ delta: JSONValue) { send("content_block_delta", [("index", .int(index)), ("delta", delta)]) }

    private mutating func open(_ type: String, _ block: JSONValue) {
        guard openType != type else { return }
        close()
        openType = type
        send("content_block_start", [("index", .int(index)), ("content_block", block)])
    }

    private mutating func close() {
        guard openType != nil else { return }
        if openType == "thinking" { delta(["type": "signature_delta", "signature": ""]) }
        send("content_block_stop", [("index", .int(index))])
        openType = nil
        index += 1
    }
}
