/// A conversation: who said what, in order. It can be stored and continued later.
public struct Transcript: Sendable, Equatable, Codable {
    /// One contribution.
    public enum Entry: Sendable, Equatable {
        /// What the model is told before everything else.
        case instructions(String)
        /// What the user said.
        case prompt(String)
        /// What the model answered.
        case response(String)

        /// The text of the contribution.
        public var text: String {
            switch self {
            case .instructions(let text), .prompt(let text), .response(let text): text
            }
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
    private enum Key: String, CodingKey { case role, text }
    private enum Role: String, Codable { case instructions, prompt, response }

    /// Reads `{"role": …, "text": …}`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let text = try container.decode(String.self, forKey: .text)
        switch try container.decode(Role.self, forKey: .role) {
        case .instructions: self = .instructions(text)
        case .prompt: self = .prompt(text)
        case .response: self = .response(text)
        }
    }

    /// Writes `{"role": …, "text": …}`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        let role: Role =
            switch self {
            case .instructions: .instructions
            case .prompt: .prompt
            case .response: .response
            }
        try container.encode(role, forKey: .role)
        try container.encode(text, forKey: .text)
    }
}
