import Foundation

/// What is at the other end of the standard streams, and how to write there.
///
/// The answer goes to standard output (``StandardOutput``), everything else to standard error.
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

    /// Signals work as a terminal's user expects, whatever the program was started by: a parent passes on which signals
    /// it ignores or blocks, and threads of Swift programs block most of them.
    ///
    /// A reader that goes away ends the program without a word, as with other commands.
    static func takeSignals() {
        signal(SIGPIPE, SIG_DFL)
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    /// The program's end where the signal did not come, because a library has set it aside.
    static func endLikeBrokenPipe() {
        takeSignals()
        raise(SIGPIPE)
    }

    /// Messages are a courtesy: one that cannot be written stops nothing.
    static func writeMessage(_ text: String) { _ = StandardOutput.write(text, to: STDERR_FILENO) }

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
}
