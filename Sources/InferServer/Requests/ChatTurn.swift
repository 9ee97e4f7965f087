import ChatTemplates
import InferKit

/// A conversation to be continued, whatever API it came by.
struct ChatTurn: Sendable {
    var request: ChatRequest
    var settings = AnswerSettings()
    private(set) var toolList = ToolList()
    /// Fewer tokens for prompt and answer than the model has room for.
    var contextLimit: Int?
    /// Whether the oldest turns may be left out where there is no room for them.
    var dropsOldest = false
    /// How many messages were.
    var droppedMessages = 0

    /// - Parameter messages: in the shape of OpenAI's chat API, as ``normalized(_:)`` leaves them.
    init(messages: [JSONValue]) {
        request = ChatRequest(Conversation(messages: messages.map { ChatMessage($0) }))
    }

    var tools: [JSONValue] { request.conversation.tools }
}

extension ChatTurn {
    /// Reads the body of `/v1/chat/completions`.
    init(_ fields: Fields) throws(APIError) {
        let messages = try fields.array("messages")
        guard let messages else { throw .invalid("messages is missing", param: "messages") }
        self.init(messages: try Self.normalized(messages))
        settings = try AnswerSettings(fields)
        try readTools(fields)
        try readFormat(fields)
        if try fields.bool("logprobs") ?? false {
            settings.scoreAlternatives = try fields.int("top_logprobs", in: 0...20) ?? 0
        } else if try fields.int("top_logprobs", in: 0...20) ?? 0 > 0 {
            throw .invalid("top_logprobs needs logprobs to be true", param: "top_logprobs")
        }
        try readReasoningEffort(fields.string("reasoning_effort"))
        request.conversation.variables = try fields.objectValue("chat_template_kwargs") ?? JSONObject()
        request.conversation.continuesLastMessage = try fields.bool("continue_final_message") ?? false
        try readTruncation(fields)
    }

    /// `truncation` of the responses API.
    mutating func readTruncation(_ fields: Fields) throws(APIError) {
        switch fields["truncation"] {
        case nil, .string("disabled"): break
        case .string("auto"): dropsOldest = true
        case let value?: throw fields.wrong("truncation", value, "auto or disabled")
        }
    }

    /// - Parameter name: what it is called in the request.
    mutating func readReasoningEffort(_ effort: String?, _ name: String = "reasoning_effort") throws(APIError) {
        guard let effort else { return }
        // Templates know three.
        let known = [
            "none": nil, "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high",
            "max": "high",
        ]
        guard let level = known[effort] else {
            throw .invalid(
                "\(name) is '\(effort)', expected none, minimal, low, medium, high, xhigh or max", param: name)
        }
        if let level {
            request.conversation.reasoning.effort = level
        } else {
            request.conversation.reasoning.isOn = false
        }
    }

    private mutating func readTools(_ fields: Fields) throws(APIError) {
        var list = try fields.array("tools") ?? []
        if list.isEmpty, let functions = try fields.array("functions") {
            list = functions.map { ["type": "function", "function": $0] }
        }
        try setTools(list)
        request.isParallel = try fields.bool("parallel_tool_calls") ?? true
        guard let choice = fields["tool_choice"] ?? fields["function_call"] else { return }
        if try readAllowedTools(choice) { return }
        if let name = (choice["function"]?["name"] ?? choice["custom"]?["name"] ?? choice["name"])?.stringValue {
            try setToolChoice(.named(name))
        } else {
            switch choice.stringValue {
            case "auto": break
            case "none": request.choice = .none
            case "required": try setToolChoice(.required)
            default:
                throw .invalid(
                    "tool_choice is not understood, expected auto, none, required, allowed_tools or a tool",
                    param: "tool_choice")
            }
        }
    }

    /// - Parameter list: tools as in the chat API.
    mutating func setTools(_ list: [JSONValue]) throws(APIError) {
        var tools = ToolList()
        for (index, tool) in list.enumerated() {
            switch tool["type"]?.stringValue ?? "function" {
            case "function": tools.add(function: tool["function"]?.objectValue ?? JSONObject())
            case "custom": try tools.add(custom: tool["custom"] ?? .null, "tools[\(index)].custom")
            case let type:
                throw .invalid(
                    "tools[\(index)] is of type '\(type)'; only functions and custom tools can be called",
                    param: "tools")
            }
        }
        try setTools(tools)
    }

    mutating func setTools(_ list: ToolList) throws(APIError) {
        for (index, tool) in list.functions.enumerated() {
            guard let name = tool["function"]?["name"]?.stringValue, !name.isEmpty else {
                throw .invalid("tools[\(index)] has no name (function.name in the chat API)", param: "tools")
            }
        }
        toolList = list
        request.conversation.tools = list.functions
    }

    mutating func setToolChoice(_ choice: CallChoice) throws(APIError) {
        guard !tools.isEmpty else { throw .invalid("tool_choice needs tools", param: "tool_choice") }
        if case .named(let name) = choice {
            guard tools.contains(where: { $0["function"]?["name"]?.stringValue == name }) else {
                throw .invalid("tool_choice names '\(name)', which is not among the tools", param: "tool_choice")
            }
        }
        request.choice = choice
    }

    private mutating func readFormat(_ fields: Fields) throws(APIError) {
        request.format = try Self.format(fields, name: "response_format")
        if let grammar = try fields.string("grammar") { request.format = .grammar(grammar) }
        if let schema = fields["json_schema"] { request.format = .schema(schema) }
    }

    /// `{"type": "json_schema", …}`, in the chat API's nested and the responses API's flat form.
    static func format(_ fields: Fields, name: String) throws(APIError) -> ChatRequest.Format {
        guard let value = fields[name] else { return .text }
        let inner = try Fields(value, path: name)
        switch try inner.string("type") {
        case nil, "text": return .text
        case "json_object": return inner["schema"].map { .schema($0) } ?? .json
        case "json_schema":
            guard let schema = inner["json_schema"]?["schema"] ?? inner["schema"] else {
                throw .invalid("\(name) has no schema", param: name)
            }
            return .schema(schema)
        case let type?:
            throw .invalid(
                "\(name).type is '\(type)', expected text, json_object or json_schema", param: "\(name).type")
        }
    }

    // MARK: Messages

    /// Messages as templates want them: content as a text or as parts of type `text`, arguments of calls as objects, roles by their new names.
    static func normalized(_ messages: [JSONValue]) throws(APIError) -> [JSONValue] {
        guard !messages.isEmpty else { throw .invalid("messages is empty", param: "messages") }
        var result: [JSONValue] = []
        for (index, message) in try Attachments.inWords(messages).enumerated() {
            result.append(try normalized(Fields(message, path: "messages[\(index)]"), index))
        }
        return result
    }

    private static func normalized(_ fields: Fields, _ index: Int) throws(APIError) -> JSONValue {
        var message = fields.object
        guard var role = try fields.string("role") else {
            throw .invalid("messages[\(index)].role is missing", param: "messages")
        }
        if role == "function" { role = "tool" }
        guard ["system", "developer", "user", "assistant", "tool"].contains(role) else {
            throw .invalid(
                "messages[\(index)].role is '\(role)', expected system, developer, user, assistant or tool",
                param: "messages")
        }
        message["role"] = .string(role)
        message["content"] = try content(fields["content"], index)
        if let calls = try fields.array("tool_calls") {
            message["tool_calls"] =
                calls.isEmpty ? nil : .array(try calls.map { call throws(APIError) in try withObject(call, index) })
        }
        let (reasoning, shortName) = (try fields.string("reasoning_content"), try fields.string("reasoning"))
        message["reasoning"] = nil
        message["reasoning_content"] = (reasoning ?? shortName).map { .string($0) }
        for name in ["refusal", "audio", "function_call"] where message[name]?.isNull ?? false { message[name] = nil }
        return .object(message)
    }

    /// A text as it is, or parts of type `text`: what a template makes of them is its own business.
    static func content(_ content: JSONValue?, _ index: Int) throws(APIError) -> JSONValue {
        guard let content else { return "" }
        if content.stringValue != nil { return content }
        return .array(try texts(of: content, index).map { ["type": "text", "text": .string($0)] })
    }

    /// The texts of the parts, or the one text.
    static func texts(of content: JSONValue?, _ index: Int) throws(APIError) -> [String] {
        guard let content else { return [] }
        if let text = content.stringValue { return [text] }
        guard let parts = content.arrayValue else {
            throw .invalid("messages[\(index)].content is \(content.kind), expected a text or parts", param: "messages")
        }
        var texts: [String] = []
        for part in parts {
            if let text = part.stringValue {
                texts.append(text)
                continue
            }
            switch part["type"]?.stringValue {
            case "text", "input_text", "output_text": texts.append(part["text"]?.stringValue ?? "")
            case "refusal": texts.append(part["refusal"]?.stringValue ?? "")
            case let type:
                throw .invalid(
                    "messages[\(index)].content has a part of type '\(type ?? "")'; this model takes text only",
                    param: "messages")
            }
        }
        return texts
    }

    /// Arguments come as a text that holds JSON; templates go through them.
    private static func withObject(_ call: JSONValue, _ index: Int) throws(APIError) -> JSONValue {
        guard var object = call.objectValue, var function = (object["function"] ?? call).objectValue else {
            throw .invalid("messages[\(index)].tool_calls has a call that is not an object", param: "messages")
        }
        if let custom = object["custom"] {
            object["custom"] = nil
            function = JSONObject([
                ("name", custom["name"] ?? ""),
                ("arguments", .object(JSONObject([(ToolList.inputName, custom["input"] ?? "")]))),
            ])
        }
        if let text = function["arguments"]?.stringValue {
            if text.allSatisfy(\.isWhitespace) {
                function["arguments"] = .object(JSONObject())
            } else if let value = try? JSONValue(parsing: text) {
                function["arguments"] = value
            }
            // Text that is not JSON is what the model once wrote: the template gets it as it is.
        }
        object["type"] = "function"
        object["function"] = .object(function)
        return .object(object)
    }
}

extension ChatMessage {
    /// A message that ``ChatTurn/normalized(_:)`` has been through.
    init(_ message: JSONValue) {
        let role = Role(rawValue: message["role"]?.stringValue ?? "") ?? .user
        if let parts = message["content"]?.arrayValue {
            self.init(role, parts: parts.map { $0["text"]?.stringValue ?? "" })
        } else {
            self.init(role, message["content"]?.stringValue ?? "")
        }
        reasoning = message["reasoning_content"]?.stringValue
        toolCallID = message["tool_call_id"]?.stringValue
        name = message["name"]?.stringValue
        toolCalls = (message["tool_calls"]?.arrayValue ?? []).map { call in
            let function = call["function"] ?? call
            // Text that is no JSON object is what the model once wrote: it goes on as the value of a made-up argument.
            let arguments = function["arguments"] ?? .null
            return ToolCall(
                id: call["id"]?.stringValue, name: function["name"]?.stringValue ?? "",
                arguments: arguments.objectValue
                    ?? (arguments.isNull ? JSONObject() : JSONObject([("arguments", arguments)])))
        }
    }
}
