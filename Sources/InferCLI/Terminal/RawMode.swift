import Foundation

/// Keys one by one instead of lines, and pasted text marked as such.
enum RawMode {
    /// - Returns: the settings to go back to; nil when standard input is no terminal or messages are not shown on one.
    static func enter() -> termios? {
        var settings = termios()
        guard Terminal.isMessageInteractive, tcgetattr(STDIN_FILENO, &settings) == 0 else { return nil }
        let original = settings
        cfmakeraw(&settings)
        // Output stays as it is: a line break still returns the carriage.
        settings.c_oflag = original.c_oflag
        guard tcsetattr(STDIN_FILENO, TCSADRAIN, &settings) == 0 else { return nil }
        Terminal.writeMessage("\u{1b}[?2004h")
        return original
    }

    static func leave(_ original: termios) {
        var original = original
        Terminal.writeMessage("\u{1b}[?2004l")
        tcsetattr(STDIN_FILENO, TCSADRAIN, &original)
    }
}
