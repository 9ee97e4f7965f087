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
            return .json(AnthropicReply.message(answer, id: id, model: name ?? model.name))
        }
        return .events(
            EventWriter.stream(disconnected: request.disconnected) { writer in
                var blocks = AnthropicEvents(
                    writer: writer, id: id, model: name ?? model.name, promptTokens: answering.jobs[0].tokens.count)
                for await (_, event) in answering.events() {
                    if case .finished(let outcome) = event, let result = outcome.result {
                        service.log(request, model, [result])
                    }
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
        if let system = fields["system"].map(Self.withoutBilling), system.arrayValue?.isEmpty != true {
            messages.append(["role": "system", "content": try ChatTurn.content(system, 0)])
        }
        guard let given = try fields.array("messages") else { throw .invalid("messages is missing", param: "messages") }
        for (index, message) in try Attachments.inWords(given).enumerated() {
            try add(Fields(message, path: "messages[\(index)]"), index, &messages)
        }
        let isBegun = Self.isBegunAnswer(given.last)
        if !isBegun, given.last?["role"]?.stringValue == "assistant", given.count > 1 {
            // Nothing of it has been said.
            if messages.last?["role"]?.stringValue == "assistant", messages.last?["tool_calls"] == nil {
                messages.removeLast()
            }
        }
        var chat = ChatTurn(messages: try ChatTurn.normalized(messages))
        chat.request.conversation.continuesLastMessage = isBegun
        try chat.settings.readSampling(fields)
        try chat.settings.setStops(fields.strings("stop_sequences") ?? [], "stop_sequences")
        try chat.setTools(AnthropicTools.list(fields.array("tools") ?? []))
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
        try readOutput(fields, &chat)
        return chat
    }

    /// Whether the last message is the beginning of the answer, which is to be gone on with.
    private static func isBegunAnswer(_ message: JSONValue?) -> Bool {
        guard message?["role"]?.stringValue == "assistant" else { return false }
        let content = message?["content"]
        let blocks = content?.arrayValue ?? [["type": "text", "text": content ?? ""]]
        return !blocks.contains { $0["type"]?.stringValue == "tool_use" }
            && blocks.contains { $0["text"]?.stringValue?.contains { !$0.isWhitespace } ?? false }
    }

    /// The form of the answer: `output_config.format`, or `output_format` as it was called at first.
    private static func readOutput(_ fields: Fields, _ chat: inout ChatTurn) throws(APIError) {
        let configuration = try fields["output_config"].map { value throws(APIError) in
            try Fields(value, path: "output_config")
        }
        if let configuration, configuration["format"] != nil {
            chat.request.format = try ChatTurn.format(configuration, name: "format")
        } else {
            chat.request.format = try ChatTurn.format(fields, name: "output_format")
        }
        try chat.readReasoningEffort(configuration?.string("effort"), "output_config.effort")
    }

    /// Claude Code's first block of the system message is for the bill: it says nothing to the model, and it is another
    /// one with every request, so that nothing behind it could be found in the cache.
    private static func withoutBilling(_ system: JSONValue) -> JSONValue {
        guard let blocks = system.arrayValue else { return system }
        return .array(
            blocks.filter { !($0["text"]?.stringValue?.hasPrefix("x-anthropic-billing-header:") ?? false) })
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
            // What Anthropic's servers have run themselves is told in words.
            case "server_tool_use", "mcp_tool_use":
                let input = block["input"]?.text() ?? "{}"
                let name = block["name"]?.stringValue ?? "a tool"
                texts.append(["type": "text", "text": .string("\n[\(name) was called with \(input)]\n")])
            case let type? where type.hasSuffix("_tool_result"):
                let result = block["content"]?.text() ?? "none"
                texts.append(["type": "text", "text": .string("\n[The result: \(result)]\n")])
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
}
