extension TemplateTraits {
    /// Messages as variables of the template, in OpenAI's form as far as the template takes it.
    func json(_ messages: [ChatMessage]) -> [JSONValue] {
        var toolNames: [CodePoints: String] = [:]
        return messages.map { message in
            var object = JSONObject()
            object["role"] = .string(message.role.rawValue)
            object["content"] = content(message)
            if let reasoning = message.reasoning, case .member(let name) = thoughts {
                object[name] = .string(reasoning)
            }
            if !message.toolCalls.isEmpty {
                object["tool_calls"] = .array(
                    message.toolCalls.map { call in
                        if let id = call.id { toolNames[CodePoints(id)] = call.name }
                        return json(call)
                    })
            }
            if let id = message.toolCallID {
                object["tool_call_id"] = .string(id)
                if let name = message.name ?? toolNames[CodePoints(id)] { object["name"] = .string(name) }
            } else if let name = message.name {
                object["name"] = .string(name)
            }
            return .object(object)
        }
    }

    private func content(_ message: ChatMessage) -> JSONValue {
        if let reasoning = message.reasoning, thoughts == .part {
            let thought: JSONValue = ["type": "thinking", "thinking": .string(reasoning)]
            return .array([thought] + message.parts.filter { !$0.isEmpty }.map(Self.part))
        }
        if !message.toolCalls.isEmpty, wantsNullContent, message.content.isEmpty { return .null }
        let isList =
            switch textForms[Slot(message)] ?? .text {
            case .text: false
            case .either: message.hasParts
            case .parts: true
            }
        return isList ? .array(message.parts.map(Self.part)) : .string(message.content)
    }

    private static func part(_ text: String) -> JSONValue { ["type": "text", "text": .string(text)] }

    private func json(_ call: ToolCall) -> JSONValue {
        let arguments = JSONValue.object(call.arguments)
        var object = JSONObject()
        if let id = call.id { object["id"] = .string(id) }
        object["type"] = "function"
        object["function"] = [
            "name": .string(call.name),
            "arguments": wantsArgumentText ? .string(arguments.text(.spaced)) : arguments,
        ]
        return .object(object)
    }
}
