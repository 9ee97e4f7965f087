/// One line on a terminal that says how far something is; nothing where no terminal is.
struct ProgressLine {
    private let isShown = Terminal.isMessageInteractive
    private var isVisible = false

    mutating func show(_ text: String) {
        guard isShown else { return }
        Terminal.writeMessage("\r\u{1b}[K" + text.prefix(Terminal.width - 1))
        isVisible = true
    }

    mutating func clear() {
        guard isVisible else { return }
        Terminal.writeMessage("\r\u{1b}[K")
        isVisible = false
    }
}
