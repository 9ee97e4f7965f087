import ChatTemplates
import InferKit

/// What a request of the responses API asks for, as a conversation.
///
/// Everything that an assistant said or called between two messages of others is one message of a conversation, since
/// templates have no other place for it. Items of tools that a server of OpenAI's runs itself, and what only such a
/// server could look up, are left out.
enum ResponseInput {
    static func turn(_ fields: Fields) throws(APIError) -> ChatTurn {
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
        try chat.setTools(tools(fields))
        try readToolChoice(fields, &chat)
        if let text = fields["text"] {
            chat.request.format = try ChatTurn.format(Fields(text, path: "text"), name: "format")
        }
        if let reasoning = fields["reasoning"] {
            try chat.readReasoningEffort(
                Fields(reasoning, path: "reasoning").string("effort"), "reasoning.effort")
        }
        try chat.readTruncation(fields)
        return chat
    }

    // MARK: Tools

    /// Tools are flat here.
    private static func tools(_ fields: Fields) throws(APIError) -> ToolList {
        var list = ToolList()
        func add(_ tool: JSONValue, _ path: String, namespace: String?) throws(APIError) {
            switch tool["type"]?.stringValue {
            case "function":
                var function = tool.objectValue ?? JSONObject()
                function["type"] = nil
                list.add(function: function, namespace: namespace)
            case "custom": try list.add(custom: tool, path)
            case "namespace":
                for (index, inner) in (tool["tools"]?.arrayValue ?? []).enumerated() where namespace == nil {
                    try add(inner, "\(path).tools[\(index)]", namespace: tool["name"]?.stringValue)
                }
            default: break
            }
        }
        for (index, tool) in (try fields.array("tools") ?? []).enumerated() {
            try add(tool, "tools[\(index)]", namespace: nil)
        }
        return list
    }

    private static func readToolChoice(_ fields: Fields, _ chat: inout ChatTurn) throws(APIError) {
        switch fields["tool_choice"] {
        case nil, .string("auto"): break
        case .string("none"): chat.request.choice = .none
        case .string("required"): try chat.setToolChoice(.required)
        case let value?:
            if try chat.readAllowedTools(value) { return }
            if let name = value["name"]?.stringValue { return try chat.setToolChoice(.named(name)) }
            guard let type = value["type"]?.stringValue else {
                throw fields.wrong("tool_choice", value, "auto, none, required, allowed_tools or a tool")
            }
            throw .invalid(
                "tool_choice asks for '\(type)', which this server cannot run; functions and custom tools can be called",
                param: "tool_choice")
        }
    }

    // MARK: Items

    private static func add(_ item: Fields, _ messages: inout [JSONValue]) throws(APIError) {
        let type = try item.string("type") ?? "message"
        switch type {
        case "message":
            let role = try item.string("role") ?? "user"
            guard role == "assistant" else {
                messages.append(["role": .string(role), "content": item["content"] ?? ""])
                return
            }
            let content = item["content"] ?? ""
            addToAssistant(&messages) { message in
                message["content"] = .array(parts(message["content"]) + parts(content))
            }
        case "reasoning":
            // A summary is of use where there is nothing else; what is encrypted nobody here can read.
            let content = texts(item["content"])
            let thoughts = content.isEmpty ? texts(item["summary"]) : content
            guard !thoughts.isEmpty else { return }
            addToAssistant(&messages) { message in
                let before = message["reasoning_content"]?.stringValue.map { [$0] } ?? []
                message["reasoning_content"] = .string((before + thoughts).joined(separator: "\n"))
            }
        case "function_call":
            addCall(item, name: try item.required("name"), arguments: item["arguments"] ?? "{}", &messages)
        case "custom_tool_call":
            let arguments: JSONValue = .object(JSONObject([(ToolList.inputName, item["input"] ?? "")]))
            addCall(item, name: try item.required("name"), arguments: arguments, &messages)
        case "mcp_call":
            addCall(item, name: try item.required("name"), arguments: item["arguments"] ?? "{}", &messages)
            addResult(item, item["output"] ?? item["error"] ?? "", &messages)
        case _ where type.hasSuffix("_call_output"): addResult(item, item["output"] ?? "", &messages)
        case _ where type.hasSuffix("_call") && item["call_id"] != nil:
            // Tools of the client's own with a form of their own: local_shell_call, shell_call, apply_patch_call …
            let name = String(type.dropLast("_call".count))
            let arguments = item["action"] ?? item["operation"] ?? item["arguments"] ?? .object(JSONObject())
            addCall(item, name: .string(name), arguments: arguments, &messages)
        default:
            // What a server would look up or has run itself; a message of an unknown kind is a message.
            guard let role = try item.string("role"), let content = item["content"] else { return }
            messages.append(["role": .string(role), "content": content])
        }
    }

    /// - Parameter change: of the message that the assistant is at, or of a new one.
    private static func addToAssistant(_ messages: inout [JSONValue], _ change: (inout JSONObject) -> Void) {
        if var last = messages.last?.objectValue, last["role"]?.stringValue == "assistant" {
            change(&last)
            messages[messages.count - 1] = .object(last)
        } else {
            var message = JSONObject([("role", JSONValue.string("assistant")), ("content", .array([]))])
            change(&message)
            messages.append(.object(message))
        }
    }

    private static func addCall(
        _ item: Fields, name: JSONValue, arguments: JSONValue, _ messages: inout [JSONValue]
    ) {
        let call: JSONValue = [
            "id": item["call_id"] ?? item["id"] ?? "", "type": "function",
            "function": ["name": name, "arguments": arguments],
        ]
        addToAssistant(&messages) { message in
            message["tool_calls"] = .array((message["tool_calls"]?.arrayValue ?? []) + [call])
        }
    }

    private static func addResult(_ item: Fields, _ output: JSONValue, _ messages: inout [JSONValue]) {
        let parts: JSONValue = output["type"] == nil ? output : [output]
        // Other objects are told as JSON.
        let isReadable = parts.stringValue != nil || parts.arrayValue?.allSatisfy { $0["type"] != nil } ?? false
        messages.append([
            "role": "tool", "tool_call_id": item["call_id"] ?? item["id"] ?? "",
            "content": isReadable ? parts : .string(output.text()),
        ])
    }

    private static func parts(_ content: JSONValue?) -> [JSONValue] {
        if let text = content?.stringValue { return text.isEmpty ? [] : [["type": "text", "text": .string(text)]] }
        return content?.arrayValue ?? []
    }

    private static func texts(_ parts: JSONValue?) -> [String] {
        (parts?.arrayValue ?? []).compactMap { $0["text"]?.stringValue }.filter { !$0.isEmpty }
    }
}
