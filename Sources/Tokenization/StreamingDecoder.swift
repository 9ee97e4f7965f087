/// Text from token ids as they come. A character whose bytes are spread over tokens appears when it is complete.
///
/// The pieces joined are the whole text, whatever the tokens: bytes that can no longer become a character appear as
/// U+FFFD, just as in the text decoded at once.
package struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let renderSpecial: Bool
    /// A leading space is still to be dropped.
    private var dropsSpace: Bool
    /// The beginning of a character: at most three bytes.
    private var pending: [UInt8] = []

    /// - Parameters:
    ///   - renderSpecial: Whether control tokens show their text.
    ///   - atStart: Whether the ids begin a text, so that a space which encoding put in front is dropped. Not so for
    ///     the answer to a prompt.
    package init(_ tokenizer: Tokenizer, renderSpecial: Bool = false, atStart: Bool = false) {
        self.tokenizer = tokenizer
        self.renderSpecial = renderSpecial
        dropsSpace = atStart && tokenizer.addsSpacePrefix
    }

    /// The characters that the token completes; often none.
    package mutating func append(_ id: Int32) -> String {
        var bytes = tokenizer.bytes(of: id, renderSpecial: renderSpecial)
        guard let first = bytes.first else { return "" }
        if first == 0x20, dropsSpace || tokenizer.joinsPunctuation && Self.isPunctuation(bytes) { bytes.removeFirst() }
        dropsSpace = false
        pending += bytes
        let complete = pending.count - Self.unfinished(pending)
        let text = String(decoding: pending[..<complete], as: UTF8.self)
        pending.removeFirst(complete)
        return text
    }

    /// What is left at the end of the ids: U+FFFD for a character that was never completed.
    package mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// A space and one of the marks that follow a word without one.
    private static func isPunctuation(_ bytes: [UInt8]) -> Bool {
        bytes.count == 2 && ".,?!".utf8.contains(bytes[1])
    }

    /// Bytes at the end that are the beginning of a character (Unicode standard, table 3-7), 0 to 3.
    private static func unfinished(_ bytes: [UInt8]) -> Int {
        for count in 1...3 where count <= bytes.count {
            let lead = bytes[bytes.count - count]
            if lead & 0xc0 == 0x80 { continue }
            guard (0xc2...0xf4).contains(lead), utf8Length(lead: lead) > count else { return 0 }
            guard count > 1 else { return count }
            let second = bytes[bytes.count - count + 1]
            let isPossible =
                switch lead {
                case 0xe0: second >= 0xa0
                case 0xed: second <= 0x9f
                case 0xf0: second >= 0x90
                case 0xf4: second <= 0x8f
                default: true
                }
            return isPossible ? count : 0
        }
        return 0
    }
}
