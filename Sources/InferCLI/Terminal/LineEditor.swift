import Foundation

/// Reads lines from a terminal: cursor keys, a history, pasted text with line breaks.
///
/// The keys are those of every shell: arrows, Home and End, Ctrl-A, E, K, U, W, L, D and C.
struct LineEditor {
    enum Input: Equatable {
        case line(String)
        /// Ctrl-C on a line with or without text.
        case interrupted(wasEmpty: Bool)
        /// Ctrl-D on an empty line, or the terminal went away.
        case end
    }

    private var history: [String] = []
    private var keys = KeyReader()

    mutating func read(prompt: String) -> Input {
        guard let original = RawMode.enter() else { return readPlainly(prompt) }
        defer { RawMode.leave(original) }
        var line = EditedLine()
        // What the line was before the history was called up, and which entry is shown.
        var draft: [Character] = []
        var position = history.count
        redraw(line, prompt)
        while true {
            switch keys.next() {
            case .text(let text): line.insert(text)
            case .enter:
                finish(line, prompt)
                let text = String(line.characters)
                if !text.isEmpty, history.last != text { history.append(text) }
                return .line(text)
            case .interrupt:
                finish(line, prompt)
                return .interrupted(wasEmpty: line.characters.isEmpty)
            case .end:
                guard line.characters.isEmpty else {
                    line.deleteForward()
                    break
                }
                Terminal.writeMessage("\n")
                return .end
            case .closed:
                Terminal.writeMessage("\n")
                return .end
            case .previous:
                guard position > 0 else { break }
                if position == history.count { draft = line.characters }
                position -= 1
                line = EditedLine(Array(history[position]))
            case .following:
                guard position < history.count else { break }
                position += 1
                line = EditedLine(position == history.count ? draft : Array(history[position]))
            case .suspend:
                RawMode.leave(original)
                raise(SIGTSTP)
                _ = RawMode.enter()
            case .clearScreen: Terminal.writeMessage("\u{1b}[H\u{1b}[2J")
            case .edit(let edit): line.apply(edit)
            case .unknown: break
            }
            redraw(line, prompt)
        }
    }

    /// Without control over the terminal: whole lines as the system gives them.
    private func readPlainly(_ prompt: String) -> Input {
        Terminal.writeMessage(prompt)
        return readLine().map { .line($0) } ?? .end
    }

    private func finish(_ line: EditedLine, _ prompt: String) {
        var line = line
        line.apply(.end)
        redraw(line, prompt)
        Terminal.writeMessage("\n")
    }

    /// Shows the part of the line around the cursor that fits.
    private func redraw(_ line: EditedLine, _ prompt: String) {
        let room = max(Terminal.width - prompt.count - 1, 8)
        let (text, cursor) = line.visible(columns: room)
        let shownPrompt = Terminal.usesColor ? "\u{1b}[1m\(prompt)\u{1b}[0m" : prompt
        var output = "\r\(shownPrompt)\(text)\u{1b}[K\r"
        if prompt.count + cursor > 0 { output += "\u{1b}[\(prompt.count + cursor)C" }
        Terminal.writeMessage(output)
    }
}
