/// One message of a conversation, in the terms of OpenAI's chat interface, which templates are written for.
package struct ChatMessage: Sendable, Equatable {
    package enum Role: String, Sendable {
        case system, user, assistant, tool
        /// OpenAI's newer name for `system`; templates that do not know it are given that.
        case developer
    }

    package var role: Role
    package var content: String
    /// An assistant's thoughts.
    package var reasoning: String?
    /// What an assistant called.
    package var toolCalls: [ToolCall] = []
    /// Which call the result of a tool belongs to.
    package var toolCallID: String?
    /// The tool that a result comes from; found by ``toolCallID`` if it is missing.
    package var name: String?

    package init(_ role: Role, _ content: String) {
        self.role = role
        self.content = content
    }
}

/// All that a template makes a prompt of.
package struct Conversation: Sendable {
    package var messages: [ChatMessage]
    /// In OpenAI's form, `{"type": "function", "function": {"name": …, "description": …, "parameters": {…}}}`.
    package var tools: [JSONValue] = []
    package var reasoning = ReasoningOptions()
    /// Further variables of the template; they win over everything else.
    package var variables = JSONObject()
    /// The last message, an assistant's, is to be continued instead of followed by a new one.
    package var continuesLastMessage = false

    package init(messages: [ChatMessage], tools: [JSONValue] = []) {
        self.messages = messages
        self.tools = tools
    }
}
