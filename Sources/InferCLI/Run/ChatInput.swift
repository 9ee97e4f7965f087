package import InferKit

/// What a message at the chat prompt means.
package enum ChatInput: Equatable {
    case nothing, quit, help, clear
    case save(String)
    case unknown(String)
    case message(String)

    static let helpText = """
        /clear        forget the conversation
        /save FILE    write the conversation to a file: as JSON if the name ends in .json, else as text
        /quit         leave; so does Ctrl-D
        /help         this list

        Ctrl-C stops an answer. A line that ends in \\ goes on in the next one; \"\"\" starts and ends a text
        of several lines. The up and down keys bring back what you typed.

        """

    package init(_ message: String) {
        let words = message.split(maxSplits: 1, whereSeparator: \.isWhitespace)
        // A path such as /etc/hosts is a message, a word after the slash is a command.
        guard message.hasPrefix("/"), !message.contains("\n"), let command = words.first,
            command.dropFirst().allSatisfy({ $0.isLetter })
        else {
            self = message.allSatisfy(\.isWhitespace) ? .nothing : .message(message)
            return
        }
        let rest = words.count > 1 ? String(words[1]).trimmingSpace() : ""
        switch command {
        case "/quit", "/exit", "/bye": self = .quit
        case "/help", "/": self = .help
        case "/clear", "/reset": self = .clear
        case "/save": self = .save(rest)
        default: self = .unknown(String(command))
        }
    }

    /// A conversation for people to read.
    package static func text(of transcript: Transcript) -> String {
        transcript.map { entry in
            let speaker =
                switch entry {
                case .instructions: "Instructions"
                case .prompt: "You"
                case .reasoning: "Model, thinking"
                case .response: "Model"
                case .toolCalls: "Model, calling"
                case .toolOutput(let output): output.toolName
                }
            return "\(speaker):\n\(entry.text.trimmingSpace())\n"
        }.joined(separator: "\n")
    }
}

extension String {
    fileprivate func trimmingSpace() -> String {
        var text = Substring(self)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}

/// Puts the lines of a message together: a trailing backslash continues, `"""` encloses.
package struct MessageCollector {
    private var lines: [String] = []
    private var isQuoted = false

    package init() {}

    package var isEmpty: Bool { lines.isEmpty && !isQuoted }
    package var text: String { lines.joined(separator: "\n") }

    /// - Returns: the message when the line completes it.
    package mutating func append(_ line: String) -> String? {
        var line = line
        if isEmpty, line.hasPrefix("\"\"\"") {
            isQuoted = true
            line.removeFirst(3)
            if line.isEmpty { return nil }
        }
        if isQuoted {
            guard line.hasSuffix("\"\"\"") else {
                lines.append(line)
                return nil
            }
            line.removeLast(3)
            if !line.isEmpty { lines.append(line) }
            return text
        }
        if line.hasSuffix("\\") {
            lines.append(String(line.dropLast()))
            return nil
        }
        lines.append(line)
        return text
    }
}
