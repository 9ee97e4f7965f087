import ChatTemplates
import InferKit

/// The named events of a streamed response, in the order that clients expect.
struct ResponseEvents {
    private enum Open {
        case reasoning(id: String)
        case message(id: String)
        case call(CallNames)
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
        send("response.created", JSONObject([("response", shell.response([], nil))]))
        send("response.in_progress", JSONObject([("response", shell.response([], nil))]))
    }

    mutating func add(_ event: AnswerEvent) {
        switch event {
        case .started, .scores, .promptScores: break
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
            let names = shell.names(name)
            open = .call(names)
            announce(names.item("", nil, status: "in_progress"))
        case .callArguments(let delta):
            guard case .call(let names)? = open else { return }
            text += delta
            // Free text is only known from the whole.
            guard !names.isCustom else { return }
            send("response.function_call_arguments.delta", place(names.id, [("delta", .string(delta))]))
        case .call(let call): close(arguments: call.arguments.json)
        case .finished(let outcome):
            // A call that is still open is none, whatever the reason.
            let isWhole = !outcome.end.isCut && outcome.end.failure == nil
            if items.isEmpty, open == nil, outcome.end.failure == nil { _ = openMessage() }
            close(status: isWhole ? "completed" : "incomplete")
            send(
                "response.\(outcome.end.responseStatus)",
                JSONObject([("response", shell.response(items, outcome))]))
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

    /// - Parameter arguments: of an open call that is complete.
    private mutating func close(status: String = "completed", arguments: JSONValue? = nil) {
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
        case .call(let names): close(names, arguments)
        }
        open = nil
        text = ""
    }

    /// A call that was cut is announced as nothing that could be run.
    private mutating func close(_ call: CallNames, _ arguments: JSONValue?) {
        guard let arguments else { return finish(call.item(text, nil, status: "incomplete")) }
        if call.isCustom {
            let input = JSONValue.string(ToolList.input(of: arguments))
            send("response.custom_tool_call_input.delta", place(call.id, [("delta", input)]))
            send("response.custom_tool_call_input.done", place(call.id, [("input", input)]))
        } else {
            send(
                "response.function_call_arguments.done",
                place(call.id, [("arguments", .string(text)), ("name", .string(call.name))]))
        }
        finish(call.item(text, arguments, status: "completed"))
    }

    private mutating func finish(_ item: JSONValue) {
        send("response.output_item.done", JSONObject([("output_index", .int(items.count)), ("item", item)]))
        items.append(item)
    }
}
