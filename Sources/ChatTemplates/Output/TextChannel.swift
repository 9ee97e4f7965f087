/// One stream of text: holds back what is not yet sure to be part of it, a character cut in the middle and white space
/// at the end.
struct TextChannel: Sendable {
    /// Whether white space before the first text is dropped.
    var dropsLeadingWhitespace = false
    /// Whether no text has been given out yet.
    private(set) var isEmpty = true
    private var held: [UInt8] = []

    /// White space that comes before the next text.
    var heldWhitespace: String {
        guard !(isEmpty && dropsLeadingWhitespace) else { return "" }
        return String(decoding: held[..<(held.count - incompleteLength)], as: UTF8.self)
    }

    /// Adds text and returns what can be given out.
    mutating func add(_ bytes: some Sequence<UInt8>) -> String {
        held += bytes
        var end = held.count - incompleteLength
        while end > 0, CallReader.isWhitespace(held[end - 1]) { end -= 1 }
        guard end > 0 else { return "" }
        return take(end)
    }

    /// The rest; a character that was never completed becomes U+FFFD.
    mutating func finish(keepsTrailingWhitespace: Bool) -> String {
        var end = held.count
        if !keepsTrailingWhitespace || isEmpty && dropsLeadingWhitespace {
            while end > 0, CallReader.isWhitespace(held[end - 1]) { end -= 1 }
        }
        defer { held = [] }
        return end > 0 ? take(end) : ""
    }

    private mutating func take(_ end: Int) -> String {
        var start = 0
        if isEmpty, dropsLeadingWhitespace {
            while start < end, CallReader.isWhitespace(held[start]) { start += 1 }
        }
        isEmpty = false
        defer { held.removeFirst(end) }
        return String(decoding: held[start..<end], as: UTF8.self)
    }

    /// Bytes at the end that are the beginning of a character.
    private var incompleteLength: Int {
        for length in 1...3 where length <= held.count {
            let byte = held[held.count - length]
            if byte & 0xC0 == 0x80 { continue }
            let expected = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return expected > length ? length : 0
        }
        return 0
    }
}
