import ChatTemplates

/// A conversation whose texts are words that occur nowhere else.
struct MarkedConversation {
    let name: String
    var conversation: Conversation
    /// In the order of the conversation.
    var words: [String] = []
    /// Words of thoughts, which a template may leave out.
    var thoughts: [String] = []

    init(_ name: String, tools: Int = 0, _ messages: (inout Self) -> [ChatMessage]) {
        self.name = name
        conversation = Conversation(messages: [])
        conversation.messages = messages(&self)
        conversation.tools = ["look_up", "open_file"].prefix(tools).map { name in
            [
                "type": "function",
                "function": [
                    "name": .string(name), "description": "Does it.",
                    "parameters": [
                        "type": "object", "properties": ["key": ["type": "string", "description": "What."]],
                        "required": ["key"],
                    ],
                ],
            ]
        }
    }

    /// The same with another question behind an answer.
    var nextTurn: MarkedConversation {
        var next = self
        next.conversation.messages += [ChatMessage(.assistant, next.word()), ChatMessage(.user, next.word())]
        return next
    }

    /// The same with a reminder of the system in front of the next question.
    var nextTurnWithReminder: MarkedConversation {
        var next = self
        next.conversation.messages += [
            ChatMessage(.assistant, next.word()), ChatMessage(.system, next.word()), ChatMessage(.user, next.word()),
        ]
        return next
    }

    mutating func word() -> String {
        words.append("word-\(words.count + thoughts.count)-end")
        return words[words.count - 1]
    }

    mutating func message(_ role: ChatMessage.Role) -> ChatMessage { ChatMessage(role, word()) }

    mutating func parts(_ role: ChatMessage.Role) -> ChatMessage { ChatMessage(role, parts: [word(), word()]) }

    mutating func calls(_ text: Bool, _ ids: [String], thinks: Bool = false) -> ChatMessage {
        var message = ChatMessage(.assistant, "")
        if thinks {
            thoughts.append("thought-\(words.count + thoughts.count)-end")
            message.reasoning = thoughts.last
        }
        if text { message.content = word() }
        message.toolCalls = ids.enumerated().map { index, id in
            ToolCall(
                id: id, name: index == 0 ? "look_up" : "open_file", arguments: JSONObject([("key", .string(word()))]))
        }
        return message
    }

    mutating func result(_ id: String, inParts: Bool = false) -> ChatMessage {
        var message = inParts ? parts(.tool) : message(.tool)
        message.toolCallID = id
        return message
    }

    private static let first = "call_abcdefghijkl"
    private static let second = "call_mnopqrstuvwx"

    static let all: [MarkedConversation] = [
        MarkedConversation("question") { [$0.message(.user)] },
        MarkedConversation("system") { [$0.message(.system), $0.message(.user)] },
        MarkedConversation("system alone") { [$0.message(.system)] },
        MarkedConversation("developer") { [$0.message(.developer), $0.message(.user)] },
        MarkedConversation("system, developer") { [$0.message(.system), $0.message(.developer), $0.message(.user)] },
        MarkedConversation("late system") {
            [
                $0.message(.system), $0.message(.user), $0.message(.assistant), $0.message(.system), $0.message(.user),
            ]
        },
        MarkedConversation("late developer behind a question") {
            [$0.message(.system), $0.message(.user), $0.message(.developer)]
        },
        MarkedConversation("only a late system") {
            [$0.message(.user), $0.message(.assistant), $0.message(.system), $0.message(.user)]
        },
        MarkedConversation("questions in a row") { [$0.message(.user), $0.message(.user)] },
        MarkedConversation("answers in a row") {
            [$0.message(.user), $0.message(.assistant), $0.message(.assistant), $0.message(.user)]
        },
        MarkedConversation("parts") {
            [$0.parts(.system), $0.parts(.user), $0.parts(.assistant), $0.parts(.user)]
        },
        MarkedConversation("parts of results", tools: 1) {
            [$0.message(.user), $0.calls(false, [first]), $0.result(first, inParts: true)]
        },
        MarkedConversation("call", tools: 1) { [$0.message(.user), $0.calls(false, [first]), $0.result(first)] },
        MarkedConversation("system and call", tools: 2) {
            [$0.message(.system), $0.message(.user), $0.calls(false, [first]), $0.result(first)]
        },
        MarkedConversation("text and call", tools: 1) {
            [$0.message(.user), $0.calls(true, [first]), $0.result(first)]
        },
        MarkedConversation("thought and call", tools: 1) {
            [$0.message(.user), $0.calls(false, [first], thinks: true), $0.result(first)]
        },
        MarkedConversation("thought, text and call", tools: 1) {
            [$0.message(.user), $0.calls(true, [first], thinks: true), $0.result(first)]
        },
        MarkedConversation("two calls", tools: 2) {
            [$0.message(.user), $0.calls(false, [first, second]), $0.result(first), $0.result(second)]
        },
        MarkedConversation("text and two calls", tools: 2) {
            [$0.message(.user), $0.calls(true, [first, second]), $0.result(first), $0.result(second)]
        },
        MarkedConversation("calls in turn", tools: 2) {
            [
                $0.message(.user), $0.calls(true, [first]), $0.result(first), $0.calls(true, [second]),
                $0.result(second),
            ]
        },
        MarkedConversation("answer behind a call", tools: 1) {
            [
                $0.message(.user), $0.calls(true, [first]), $0.result(first), $0.message(.assistant), $0.message(.user),
            ]
        },
        MarkedConversation("result and question", tools: 1) {
            [$0.message(.user), $0.calls(false, [first]), $0.result(first), $0.message(.user)]
        },
        MarkedConversation("two results and question", tools: 2) {
            [
                $0.message(.user), $0.calls(false, [first, second]), $0.result(first), $0.result(second),
                $0.message(.user),
            ]
        },
        MarkedConversation("result and system", tools: 1) {
            [
                $0.message(.system), $0.message(.user), $0.calls(false, [first]), $0.result(first), $0.message(.system),
                $0.message(.user),
            ]
        },
    ]
}
