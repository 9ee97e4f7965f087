extension TextGrammar {
    /// A text of the grammar, byte by byte at random: for tests of grammars.
    ///
    /// - Parameters:
    ///   - length: bytes after which the text is brought to an end where it can be.
    ///   - pieces: texts that are tried as a whole, such as marks that end a free text.
    /// - Returns: nil if no end was found.
    package func sample(
        length: Int = 60, pieces: [String] = [], using random: inout some RandomNumberGenerator
    ) throws(GrammarError) -> [UInt8]? {
        var recognizer = makeRecognizer()
        var text: [UInt8] = []
        while text.count < 40 * length {
            let isLate = text.count >= length
            if recognizer.isAccepting, isLate || Int.random(in: 0..<4, using: &random) == 0 { return text }
            if isLate || Int.random(in: 0..<8, using: &random) == 0, let piece = pieces.randomElement(using: &random) {
                var ahead = recognizer
                try ahead.feed(piece.utf8)
                if ahead.isAlive {
                    recognizer = ahead
                    text += piece.utf8
                    continue
                }
            }
            let allowed = try recognizer.nextBytes()
            guard !allowed.isEmpty else { return recognizer.isAccepting ? text : nil }
            // Anything at all makes long strings of rare characters, and nothing else.
            let ends = allowed.filter { "\"]}>".utf8.contains($0) }
            let common = allowed.filter { 0x20..<0x7F ~= $0 }
            let draw = Int.random(in: 0..<10, using: &random)
            let choices = !ends.isEmpty && (isLate || draw < 3) ? ends : common.isEmpty || draw == 9 ? allowed : common
            guard let byte = choices.randomElement(using: &random) else { return nil }
            try recognizer.feed(CollectionOfOne(byte))
            text.append(byte)
        }
        return nil
    }
}
