import ChatTemplates
import InferKit

/// An answer as a message of Anthropic's API.
enum AnthropicReply {
    /// - Parameter cached: tokens of the prompt that need not be computed.
    static func usage(promptTokens: Int, cached: Int, generated: Int) -> JSONValue {
        [
            "input_tokens": .int(promptTokens - cached), "cache_read_input_tokens": .int(cached),
            "cache_creation_input_tokens": 0, "output_tokens": .int(generated),
        ]
    }

    static func usage(_ result: ServingResult?) -> JSONValue {
        usage(
            promptTokens: result?.promptTokens ?? 0, cached: result?.cachedTokens ?? 0,
            generated: result?.generatedTokens ?? 0)
    }

    static func message(_ answer: CollectedAnswer, id: String, model: String) -> JSONValue {
        var content = answer.parts.map { part -> JSONValue in
            switch part {
            case .reasoning(let text): ["type": "thinking", "thinking": .string(text), "signature": ""]
            case .content(let text): ["type": "text", "text": .string(text)]
            case .call(let call): Self.call(call.toolName, call.arguments.json)
            }
        }
        if content.isEmpty { content.append(["type": "text", "text": ""]) }
        return [
            "id": .string(id), "type": "message", "role": "assistant", "model": .string(model),
            "content": .array(content),
            "stop_reason": .string(answer.end.anthropic.reason),
            "stop_sequence": JSONValue(answer.end.anthropic.sequence),
            "usage": usage(answer.result),
        ]
    }

    static func call(_ name: String, _ input: JSONValue) -> JSONValue {
        ["type": "tool_use", "id": .string("toolu_" + Identifiers.random()), "name": .string(name), "input": input]
    }
}

/// The named events of a streamed message: blocks with consecutive numbers, one open at a time.
struct AnthropicEvents {
    private let writer: EventWriter
    private let id: String
    private let model: String
    private let promptTokens: Int
    private var index = 0
    private var openType: String?

    init(writer: EventWriter, id: String, model: String, promptTokens: Int) {
        (self.writer, self.id, self.model, self.promptTokens) = (writer, id, model, promptTokens)
    }

    private func send(_ type: String, _ members: [(String, JSONValue)]) {
        writer.send(.object(JSONObject([("type", .string(type))] + members)), event: type)
    }

    /// Once it is known how much of the prompt is in the cache: the figures of the beginning are those of the end.
    private func start(cached: Int) {
        send(
            "message_start",
            [
                (
                    "message",
                    [
                        "id": .string(id), "type": "message", "role": "assistant", "model": .string(model),
                        "content": [],
                        "stop_reason": .null, "stop_sequence": .null,
                        "usage": AnthropicReply.usage(promptTokens: promptTokens, cached: cached, generated: 0),
                    ]
                )
            ])
    }

    mutating func add(_ event: AnswerEvent) {
        switch event {
        case .started(let cached): start(cached: cached)
        case .scores, .promptScores: break
        case .reasoning(let text):
            open("thinking", ["type": "thinking", "thinking": "", "signature": ""])
            delta(["type": "thinking_delta", "thinking": .string(text)])
        case .content(let text):
            open("text", ["type": "text", "text": ""])
            delta(["type": "text_delta", "text": .string(text)])
        case .callBegan(let name):
            close()
            open("tool_use", AnthropicReply.call(name, .object(JSONObject())))
        case .callArguments(let text): delta(["type": "input_json_delta", "partial_json": .string(text)])
        case .call: close()
        case .finished(let outcome):
            if let failure = outcome.end.failure {
                return writer.send(failure.anthropic, event: "error")
            }
            if index == 0, openType == nil { open("text", ["type": "text", "text": ""]) }
            close()
            let (reason, sequence) = outcome.end.anthropic
            send(
                "message_delta",
                [
                    ("delta", ["stop_reason": .string(reason), "stop_sequence": JSONValue(sequence)]),
                    ("usage", AnthropicReply.usage(outcome.result)),
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
