/// A conversation: who said what, in order. It can be stored and continued later.
public struct Transcript: Sendable, Equatable, Codable {
    /// One contribution.
    public enum Entry: Sendable, Equatable {
        /// What the model is told before everything else.
        case instructions(String)
        /// What the user said.
        case prompt(String)
        /// What the model thought before the response or the calls that come next.
        case reasoning(String)
        /// Tools that the model called at once.
        case toolCalls([ToolCall])
        /// What a tool said.
        case toolOutput(ToolOutput)
        /// What the model answered.
        case response(String)

        /// The text of the contribution; of calls, one line for each.
        public var text: String {
            switch self {
            case .instructions(let text), .prompt(let text), .reasoning(let text), .response(let text): text
            case .toolCalls(let calls): calls.map(\.description).joined(separator: "\n")
            case .toolOutput(let output): output.text
            }
        }
    }

    /// The model calls a tool.
    public struct ToolCall: Sendable, Equatable, Codable, CustomStringConvertible {
        /// Tells the calls of a conversation apart.
        public let id: String
        /// The tool.
        public let toolName: String
        /// What it is given: an object.
        public let arguments: GeneratedContent

        /// A call.
        public init(id: String, toolName: String, arguments: GeneratedContent) {
            self.id = id
            self.toolName = toolName
            self.arguments = arguments
        }

        /// Name and arguments on one line.
        public var description: String { "\(toolName)(\(arguments.jsonString))" }
    }

    /// What a tool said to a call.
    public struct ToolOutput: Sendable, Equatable, Codable {
        /// That of the call.
        public let id: String
        /// The tool.
        public let toolName: String
        /// What the model is told.
        public let text: String

        /// An output.
        public init(id: String, toolName: String, text: String) {
            self.id = id
            self.toolName = toolName
            self.text = text
        }
    }

    /// All contributions, oldest first.
    public var entries: [Entry]

    /// A conversation of these contributions.
    public init(entries: [Entry] = []) { self.entries = entries }
}

extension Transcript: RandomAccessCollection {
    /// Always 0.
    public var startIndex: Int { 0 }
    /// The number of entries.
    public var endIndex: Int { entries.count }
    /// The entry at a position.
    public subscript(position: Int) -> Entry { entries[position] }
}

extension Transcript.Entry: Codable {
    private enum Key: String, CodingKey { case role, text, calls, id, name }
    private enum Role: String, Codable {
        case instructions, prompt, reasoning, response
        case toolCalls = "tool_calls"
        case toolOutput = "tool_output"
    }

    /// Reads `{"role": …, "text": …}`; calls have `calls` instead, outputs `id` and `name` too.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        func text() throws -> String { try container.decode(String.self, forKey: .text) }
        switch try container.decode(Role.self, forKey: .role) {
        case .instructions: self = .instructions(try text())
        case .prompt: self = .prompt(try text())
        case .reasoning: self = .reasoning(try text())
        case .response: self = .response(try text())
        case .toolCalls: self = .toolCalls(try container.decode([Transcript.ToolCall].self, forKey: .calls))
        case .toolOutput:
            self = .toolOutput(
                Transcript.ToolOutput(
                    id: try container.decode(String.self, forKey: .id),
                    toolName: try container.decode(String.self, forKey: .name), text: try text()))
        }
    }

    /// Writes `{"role": …, "text": …}`; calls have `calls` instead, outputs `id` and `name` too.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        func write(_ role: Role, _ text: String) throws {
            try container.encode(role, forKey: .role)
            try container.encode(text, forKey: .text)
        }
        switch self {
        case .instructions(let text): try write(.instructions, text)
        case .prompt(let text): try write(.prompt, text)
        case .reasoning(let text): try write(.reasoning, text)
        case .response(let text): try write(.response, text)
        case .toolCalls(let calls):
            try container.encode(Role.toolCalls, forKey: .role)
            try container.encode(calls, forKey: .calls)
        case .toolOutput(let output):
            try write(.toolOutput, output.text)
            try container.encode(output.id, forKey: .id)
            try container.encode(output.toolName, forKey: .name)
        }
    }
}
