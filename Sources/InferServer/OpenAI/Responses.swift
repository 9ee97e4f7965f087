import ChatTemplates
import Foundation
import InferKit

/// `POST /v1/responses`.
struct Responses {
    let service: InferService

    func reply(to request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        if try fields.string("previous_response_id") != nil {
            throw APIError.invalid(
                "previous_response_id cannot be used: responses are not stored; send the conversation as input",
                param: "previous_response_id")
        }
        let chat = try Self.turn(fields)
        let model = try await service.catalog.model(named: fields.string("model"))
        let isStreamed = try fields.bool("stream") ?? false
        let answering = try service.answer(chat, model, request, streamsCalls: isStreamed)
        let shell = Shell(fields, model: try fields.string("model") ?? model.name)
        guard isStreamed else {
            let answer = try await answering.collect()[0]
            if let result = answer.result { service.log(request, model, [result]) }
            var items: [JSONValue] = []
            if !answer.reasoning.isEmpty {
                items.append(Shell.reasoning(answer.reasoning, id: Shell.id("rs_"), status: "completed"))
            }
            if !answer.content.isEmpty || answer.calls.isEmpty {
                items.append(Shell.message(answer.content, id: Shell.id("msg_"), status: "completed"))
            }
            items += answer.calls.map {
                Shell.call(
                    $0.toolName, $0.argumentsText, id: Shell.id("fc_"), callID: Identifiers.call(), status: "completed")
            }
            return .json(shell.response(items, result: answer.result))
        }
        return .events(
            EventWriter.stream(disconnected: request.disconnected) { writer in
                var stream = ResponseEvents(shell: shell, writer: writer)
                stream.start()
                for await (_, event) in answering.events() {
                    if case .finished(let result) = event { service.log(request, model, [result]) }
                    stream.add(event)
                }
            })
    }

    // MARK: Reading

    private static func turn(_ fields: Fields) throws(APIError) -> ChatTurn {
        var messages: [JSONValue] = []
        if let instructions = try fields.string("instructions") {
            messages.append(["role": "system", "content": .string(instructions)])
        }
        let input = try fields.required("input")
        if let text = input.stringValue {
            messages.append(["role": "user", "content": .string(text)])
        } else if let items = input.arrayValue {
            for (index, item) in items.enumerated() { try add(Fields(item, path: "input[\(index)]"), &messages) }
        } else {
            throw fields.wrong("input", input, "a text or an array of items")
        }
        var chat = ChatTurn(messages: try ChatTurn.normalized(messages))
        try chat.settings.readSampling(fields)
        chat.settings.maximumTokens = try fields.int("max_output_tokens", in: 1...Int.max)
        chat.request.isParallel = try fields.bool("parallel_tool_calls") ?? true
        // Tools are flat here; those that a server of OpenAI's would run itself are left out.
        let tools = try fields.array("tools") ?? []
        try chat.setTools(
            tools.filter { $0["type"]?.stringValue == "function" }.map { tool in
                var function = tool.objectValue ?? JSONObject()
                function["type"] = nil
                return ["type": "function", "function": .object(function)]
            })
        switch fields["tool_choice"] {
        case nil, .string("auto"): break
        case .string("none"): chat.request.choice = .none
        case .string("required"): try chat.setToolChoice(.required)
        case let value?:
            guard let name = value["name"]?.stringValue else { throw fields.wrong("tool_choice", value, "a function") }
            try chat.setToolChoice(.named(name))
        }
        if let text = fields["text"] {
            chat.request.format = try ChatTurn.format(Fields(text, path: "text"), name: "format")
        }
        if let reasoning = fields["reasoning"] {
            try chat.readReasoningEffort(Fields(reasoning, path: "reasoning").string("effort"))
        }
        return chat
    }

    private static func add(_ item: Fields, _ messages: inout [JSONValue]) throws(APIError) {
        switch try item.string("type") ?? "message" {
        case "message":
            messages.append(
                ["role": .string(try item.string("role") ?? "user"), "content": item["content"] ?? ""])
        case "function_call":
            let call: JSONValue = [
                "id": item["call_id"] ?? "", "type": "function",
                "function": ["name": try item.required("name"), "arguments": item["arguments"] ?? "{}"],
            ]
            // Calls and the text and thought before them are one message of the assistant.
            if var last = messages.last?.objectValue, last["role"]?.stringValue == "assistant" {
                last["tool_calls"] = .array((last["tool_calls"]?.arrayValue ?? []) + [call])
                messages[messages.count - 1] = .object(last)
            } else {
                messages.append(["role": "assistant", "content": "", "tool_calls": [call]])
            }
        case "function_call_output":
            let output = item["output"] ?? ""
            messages.append(["role": "tool", "tool_call_id": item["call_id"] ?? "", "content": output])
        case "reasoning":
            let parts = (item["content"]?.arrayValue ?? []) + (item["summary"]?.arrayValue ?? [])
            let text = parts.compactMap { $0["text"]?.stringValue }.joined(separator: "\n")
            if !text.isEmpty {
                messages.append(["role": "assistant", "content": "", "reasoning_content": .string(text)])
            }
        case let type:
            throw .invalid("input has an item of type '\(type)', which is not supported", param: "input")
        }
    }
}

/// The parts of a response object.
struct Shell: Sendable {
    let id = Shell.id("resp_")
    let created = Int(Date().timeIntervalSince1970)
    let model: String
    /// What the request said and the response repeats.
    private let echoed: JSONObject

    init(_ fields: Fields, model: String) {
        self.model = model
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

    /// - Parameter result: nil while it is in progress.
    func response(_ items: [JSONValue], result: ServingResult?) -> JSONValue {
        let isCut = result?.finishReason == "length"
        let cut: JSONValue = isCut ? ["reason": "max_output_tokens"] : .null
        var object = JSONObject([
            ("id", .string(id)), ("object", "response"), ("created_at", .int(created)),
            ("status", .string(result == nil ? "in_progress" : isCut ? "incomplete" : "completed")), ("error", .null),
            ("incomplete_details", cut), ("model", .string(model)),
            ("output", .array(items)),
        ])
        for (key, value) in echoed.members { object[key] = value }
        object["usage"] = result.map(Self.usage) ?? .null
        return .object(object)
    }

    private static func usage(_ result: ServingResult) -> JSONValue {
        return [
            "input_tokens": .int(result.promptTokens),
            "input_tokens_details": ["cached_tokens": .int(result.cachedTokens)],
            "output_tokens": .int(result.generatedTokens),
            "output_tokens_details": ["reasoning_tokens": .int(result.reasoningTokens)],
            "total_tokens": .int(result.promptTokens + result.generatedTokens),
        ]
    }

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

    static func call(_ name: String, _ arguments: String, id: String, callID: String, status: String) -> JSONValue {
        [
            "type": "function_call", "id": .string(id), "call_id": .string(callID), "name": .string(name),
            "arguments": .string(arguments), "status": .string(status),
        ]
    }
}

/// The named events of a streamed response, in the order that clients expect.
struct ResponseEvents {
    private enum Open {
        case reasoning(id: String)
        case message(id: String)
        case call(id: String, callID: String, name: String)
    }

    private let shell: Shell
    private let writer: EventWriter
    private var number = 0
    private var items: [JSONValue] = []
    private var open: Open?
    private var text = ""

    init(shell: Shell, writer: EventWriter) {
        self.shell = shell
        self.writer = writer
    }

    private mutating func send(_ type: String, _ members: JSONObject) {
        var event = JSONObject([("type", .string(type)), ("sequence_number", .int(number))])
        number += 1
        for (key, value) in members.members { event[key] = value }
        writer.send(.object(event), event: type)
    }

    mutating func start() {
        send("response.created", JSONObject([("response", shell.response([], result: nil))]))
        send("response.in_progress", JSONObject([("response", shell.response([], result: nil))]))
    }

    mutating func add(_ event: AnswerEvent) {
        switch event {
        case .scores: break
        case .reasoning(let delta):
            let id = openReasoning()
            text += delta
            send("response.reasoning_text.delta", place(id, [("content_index", 0), ("delta", .string(delta))]))
        case .content(let delta):
            let id = openMessage()
            text += delta
            send(
                "response.output_text.delta",
                place(id, [("content_index", 0), ("delta", .string(delta)), ("logprobs", [])]))
        case .callBegan(let name):
            close()
            let (id, callID) = (Shell.id("fc_"), Identifiers.call())
            open = .call(id: id, callID: callID, name: name)
            announce(Shell.call(name, "", id: id, callID: callID, status: "in_progress"))
        case .callArguments(let delta):
            guard case .call(let id, _, _)? = open else { return }
            text += delta
            send("response.function_call_arguments.delta", place(id, [("delta", .string(delta))]))
        case .call: close()
        case .finished(let result):
            if let failure = result.failure {
                var error = failure.openAI["error"]?.objectValue ?? JSONObject()
                error["code"] = error["code"] ?? "server_error"
                return send("error", error)
            }
            if items.isEmpty, open == nil { _ = openMessage() }
            let isCut = result.finishReason == "length"
            close(status: isCut ? "incomplete" : "completed")
            send(
                isCut ? "response.incomplete" : "response.completed",
                JSONObject([("response", shell.response(items, result: result))]))
        }
    }

    private func place(_ id: String, _ members: [(String, JSONValue)]) -> JSONObject {
        JSONObject([("item_id", .string(id)), ("output_index", .int(items.count))] + members)
    }

    private mutating func openReasoning() -> String {
        if case .reasoning(let id)? = open { return id }
        close()
        let id = Shell.id("rs_")
        open = .reasoning(id: id)
        announce(Shell.reasoning(nil, id: id, status: "in_progress"))
        return id
    }

    private mutating func openMessage() -> String {
        if case .message(let id)? = open { return id }
        close()
        let id = Shell.id("msg_")
        open = .message(id: id)
        announce(Shell.message(nil, id: id, status: "in_progress"))
        send("response.content_part.added", place(id, [("content_index", 0), ("part", Shell.textPart(""))]))
        return id
    }

    private mutating func announce(_ item: JSONValue) {
        send("response.output_item.added", JSONObject([("output_index", .int(items.count)), ("item", item)]))
    }

    private mutating func close(status: String = "completed") {
        switch open {
        case nil: return
        case .reasoning(let id):
            send("response.reasoning_text.done", place(id, [("content_index", 0), ("text", .string(text))]))
            finish(Shell.reasoning(text, id: id, status: status))
        case .message(let id):
            send(
                "response.output_text.done",
                place(id, [("content_index", 0), ("text", .string(text)), ("logprobs", [])]))
            send("response.content_part.done", place(id, [("content_index", 0), ("part", Shell.textPart(text))]))
            finish(Shell.message(text, id: id, status: status))
        case .call(let id, let callID, let name):
            send(
                "response.function_call_arguments.done",
                place(id, [("arguments", .string(text)), ("name", .string(name))]))
            finish(Shell.call(name, text, id: id, callID: callID, status: status))
        }
        open = nil
        text = ""
    }

    private mutating func finish(_ item: JSONValue) {
        send("response.output_item.done", JSONObject([("output_index", .int(items.count)), ("item", item)]))
        items.append(item)
    }
}
