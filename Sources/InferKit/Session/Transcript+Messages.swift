import ChatTemplates

extension Transcript {
    /// The conversation in the terms of chat templates: thoughts, text and calls of one turn are one message.
    var messages: [ChatMessage] {
        var messages: [ChatMessage] = []
        /// The assistant's message that the next part belongs to.
        var isOpen = false
        func answer(_ change: (inout ChatMessage) -> Void) {
            if !isOpen { messages.append(ChatMessage(.assistant, "")) }
            isOpen = true
            change(&messages[messages.count - 1])
        }
        for entry in entries {
            switch entry {
            case .instructions(let text):
                messages.append(ChatMessage(.system, text))
                isOpen = false
            case .prompt(let text):
                messages.append(ChatMessage(.user, text))
                isOpen = false
            case .reasoning(let text):
                answer { $0.reasoning = ($0.reasoning.map { $0 + "\n" } ?? "") + text }
            case .response(let text):
                answer { $0.content += text }
            case .toolCalls(let calls):
                answer {
                    $0.toolCalls += calls.map { call in
                        ChatTemplates.ToolCall(
                            id: call.id, name: call.toolName, arguments: call.arguments.json.objectValue ?? JSONObject()
                        )
                    }
                }
                isOpen = false
            case .toolOutput(let output):
                var message = ChatMessage(.tool, output.text)
                message.toolCallID = output.id
                message.name = output.toolName
                messages.append(message)
                isOpen = false
            }
        }
        return messages
    }
}
