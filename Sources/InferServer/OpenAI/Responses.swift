import ChatTemplates
import Foundation
import InferKit

/// `POST /v1/responses`.
struct Responses {
    let service: InferService

    func reply(to request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        for name in ["previous_response_id", "conversation"] where fields[name] != nil {
            throw APIError.invalid(
                "\(name) cannot be used: responses are not stored; send the conversation as input", param: name)
        }
        if try fields.bool("background") ?? false {
            throw APIError.invalid(
                "background cannot be used: responses are not stored and cannot be asked for later",
                param: "background")
        }
        let chat = try ResponseInput.turn(fields)
        let model = try await service.catalog.model(named: fields.string("model"))
        let isStreamed = try fields.bool("stream") ?? false
        let answering = try service.answer(chat, model, request, streamsCalls: isStreamed)
        let shell = Shell(
            fields, model: try fields.string("model") ?? model.name, tools: chat.toolList,
            droppedMessages: answering.droppedMessages)
        guard isStreamed else {
            let answer = try await answering.collect()[0]
            if let result = answer.result { service.log(request, model, [result]) }
            return .json(shell.response(answer))
        }
        return .events(
            EventWriter.stream(disconnected: request.disconnected) { writer in
                var stream = ResponseEvents(shell: shell, writer: writer)
                stream.start()
                for await (_, event) in answering.events() {
                    if case .finished(let outcome) = event, let result = outcome.result {
                        service.log(request, model, [result])
                    }
                    stream.add(event)
                }
            })
    }
}

/// The parts of a response object.
struct Shell: Sendable {
    let id = Shell.id("resp_")
    let created = Int(Date().timeIntervalSince1970)
    let model: String
    private let tools: ToolList
    private let droppedMessages: Int
    /// What the request said and the response repeats.
    private let echoed: JSONObject

    init(_ fields: Fields, model: String, tools: ToolList, droppedMessages: Int) {
        self.model = model
        self.tools = tools
        self.droppedMessages = droppedMessages
        var echoed = JSONObject()
        for (name, fallback) in [
            ("instructions", JSONValue.null), ("metadata", .object(JSONObject())), ("parallel_tool_calls", true),
            ("temperature", .null), ("top_p", .null), ("tool_choice", "auto"), ("tools", .array([])),
            ("max_output_tokens", .null), ("previous_response_id", .null), ("reasoning", .object(JSONObject())),
            ("text", ["format": ["type": "text"]]), ("truncation", "disabled"), ("user", .null), ("store", false),
        ] {
            echoed[name] = fields[name] ?? fallback
        }
        self.echoed = echoed
    }

    static func id(_ prefix: String) -> String { prefix + Identifiers.random() }

    /// A whole answer. The part within which it was cut is not complete.
    func response(_ answer: CollectedAnswer) -> JSONValue {
        var items: [JSONValue] = []
        for (place, part) in answer.parts.enumerated() {
            let isLast = place == answer.parts.count - 1
            let status = isLast && answer.end.isCut ? "incomplete" : "completed"
            switch part {
            case .reasoning(let text): items.append(Self.reasoning(text, id: Self.id("rs_"), status: status))
            case .content(let text): items.append(Self.message(text, id: Self.id("msg_"), status: status))
            case .call(let call):
                let names = CallNames(call.toolName, tools)
                items.append(names.item(call.argumentsText, call.arguments.json, status: "completed"))
            }
        }
        if items.isEmpty {
            let status = answer.end.isCut ? "incomplete" : "completed"
            items.append(Self.message("", id: Self.id("msg_"), status: status))
        }
        return response(items, answer.outcome)
    }

    /// - Parameter outcome: nil while it is in progress.
    func response(_ items: [JSONValue], _ outcome: AnswerOutcome?) -> JSONValue {
        var cut = JSONValue.null
        // The API has one word for all limits; `detail` says which.
        if case .cut(let reason)? = outcome?.end {
            cut = ["reason": "max_output_tokens", "detail": .string(reason.rawValue)]
        }
        var object = JSONObject([
            ("id", .string(id)), ("object", "response"), ("created_at", .int(created)),
            ("status", .string(outcome?.end.responseStatus ?? "in_progress")),
            ("error", outcome?.end.failure.map(Self.error) ?? .null),
            ("incomplete_details", cut), ("model", .string(model)),
            ("output", .array(items)),
        ])
        for (key, value) in echoed.members { object[key] = value }
        object["usage"] = outcome?.result.map(usage) ?? .null
        return .object(object)
    }

    /// Clients tell by the code whether to try again.
    private static func error(_ failure: APIError) -> JSONValue {
        let code = failure.code ?? (failure.status == 503 ? "server_is_overloaded" : "server_error")
        return ["code": .string(code), "message": .string(failure.message)]
    }

    private func usage(_ result: ServingResult) -> JSONValue {
        var details = JSONObject([("cached_tokens", .int(result.cachedTokens))])
        if droppedMessages > 0 { details["dropped_messages"] = .int(droppedMessages) }
        return [
            "input_tokens": .int(result.promptTokens), "input_tokens_details": .object(details),
            "output_tokens": .int(result.generatedTokens),
            "output_tokens_details": ["reasoning_tokens": .int(result.reasoningTokens)],
            "total_tokens": .int(result.promptTokens + result.generatedTokens),
        ]
    }

    /// The names of a call that begins.
    func names(_ name: String) -> CallNames { CallNames(name, tools) }

    static func textPart(_ text: String) -> JSONValue {
        ["type": "output_text", "text": .string(text), "annotations": [], "logprobs": []]
    }

    static func message(_ text: String?, id: String, status: String) -> JSONValue {
        [
            "type": "message", "id": .string(id), "role": "assistant", "status": .string(status),
            "content": text.map { [textPart($0)] } ?? [],
        ]
    }

    static func reasoning(_ text: String?, id: String, status: String) -> JSONValue {
        [
            "type": "reasoning", "id": .string(id), "summary": [], "status": .string(status),
            "content": text.map { [["type": "reasoning_text", "text": .string($0)]] } ?? [],
        ]
    }
}

/// One call of a tool, by all the names that it has.
struct CallNames: Sendable {
    let id: String
    let callID = Identifiers.call()
    let name: String
    /// Whether the tool takes free text.
    let isCustom: Bool
    private let namespace: String?

    init(_ name: String, _ tools: ToolList) {
        self.name = name
        isCustom = tools.custom.contains(name)
        namespace = tools.namespaces[name]
        id = Shell.id(isCustom ? "ctc_" : "fc_")
    }

    /// - Parameters:
    ///   - text: the arguments as JSON.
    ///   - arguments: nil while they are not complete.
    func item(_ text: String, _ arguments: JSONValue?, status: String) -> JSONValue {
        var item = JSONObject([
            ("type", isCustom ? "custom_tool_call" : "function_call"), ("id", .string(id)),
            ("call_id", .string(callID)), ("name", .string(name)),
        ])
        if isCustom {
            item["input"] = .string(arguments.map(ToolList.input) ?? "")
        } else {
            item["arguments"] = .string(text)
        }
        if let namespace { item["namespace"] = .string(namespace) }
        item["status"] = .string(status)
        return .object(item)
    }
}
