/// One message of a conversation, in the terms of OpenAI's chat interface, which templates are written for.
package struct ChatMessage: Sendable, Equatable {
    package enum Role: String, Sendable {
        case system, user, assistant, tool
        /// OpenAI's newer name for `system`; templates that do not know it are given that.
        case developer
    }

    package var role: Role
    /// The text: one, or that of the parts it came in.
    private var texts: [String]
    /// Whether the text came in parts; templates may write these in another way than one text.
    package private(set) var hasParts: Bool
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
        (texts, hasParts) = ([content], false)
    }

    /// - Parameter parts: pieces of one text, with nothing between them that is not in them.
    package init(_ role: Role, parts: [String]) {
        self.role = role
        (texts, hasParts) = (parts, !parts.isEmpty)
    }

    /// The whole text. What is set is one text and has no parts.
    package var content: String {
        get { texts.joined() }
        set { (texts, hasParts) = ([newValue], false) }
    }

    /// The pieces of the text, or the one that it is.
    package var parts: [String] { texts }

    /// Changes every piece of the text and leaves it in as many as there were.
    mutating func changeTexts(_ change: (String) -> String) { texts = texts.map(change) }
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
