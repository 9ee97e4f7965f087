import Foundation

/// What is at the other end of the standard streams, and how to write there.
///
/// The answer goes to standard output, everything else to standard error. Nothing is buffered: a word appears when
/// it is there.
enum Terminal {
    static var isInputInteractive: Bool { isatty(STDIN_FILENO) == 1 }

    /// Whether messages are read on a terminal that understands escape sequences.
    static var isMessageInteractive: Bool {
        isatty(STDERR_FILENO) == 1 && environment("TERM") != "dumb"
    }

    /// See no-color.org.
    static var usesColor: Bool { isMessageInteractive && environment("NO_COLOR").isEmpty }

    /// Columns of the terminal.
    static var width: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// A reader that goes away ends the program without a word, as with other commands.
    static func endQuietlyOnBrokenPipe() { signal(SIGPIPE, SIG_DFL) }

    static func writeAnswer(_ text: String) { write(text, to: STDOUT_FILENO) }

    static func writeMessage(_ text: String) { write(text, to: STDERR_FILENO) }

    /// Fainter than the answer, where color is wanted.
    static func writeHint(_ text: String) {
        writeMessage(usesColor ? "\u{1b}[2m\(text)\u{1b}[0m\n" : text + "\n")
    }

    /// What is written as messages from here on is fainter, where color is wanted.
    static func startFaint() { if usesColor { writeMessage("\u{1b}[2m") } }

    static func endFaint() { if usesColor { writeMessage("\u{1b}[0m") } }

    private static func environment(_ name: String) -> String {
        ProcessInfo.processInfo.environment[name] ?? ""
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
                if count > 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } else if errno == EAGAIN {
                    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&wait, 1, -1)
                } else if errno != EINTR {
                    return
                }
            }
        }
    }
}
