import ChatTemplates

/// How the values that a schema describes are written.
enum ValueNotation: Sendable {
    case json
    /// JSON between tags: no string holds the closing tag, behind which a reader would take the value to have ended.
    case jsonBefore(String)
    /// Gemma's arguments: bare keys, no white space, and strings without escapes between marks; `quote` is the text of
    /// the mark, `mark` how it is read.
    case gemma(quote: String, mark: GrammarExpression)

    func string(_ automaton: ScalarAutomaton) throws(GrammarError) -> GrammarExpression {
        switch self {
        case .json: return .sequence([.text("\""), .automaton(automaton, .jsonString), .text("\"")])
        case .jsonBefore(let tag): return try Self.json.string(automaton.intersection(.textWithout(tag)))
        case .gemma(let quote, let mark):
            return .sequence([mark, .automaton(try automaton.intersection(.textWithout(quote)), .plain), mark])
        }
    }

    /// The name of a member that the schema names.
    func key(_ name: String) throws(GrammarError) -> GrammarExpression {
        switch self {
        case .json, .jsonBefore: return .bytes(JSONValue.string(name).utf8())
        case .gemma:
            let isBare = !name.isEmpty && name.unicodeScalars.allSatisfy { Self.bareKeyScalars.contains($0.value) }
            return isBare ? .text(name) : try string(ScalarAutomaton(texts: [name]))
        }
    }

    /// Characters that end neither a key nor an object.
    private static let bareKeyScalars = ScalarSet(of: " \t\n\r,:{}[]<>|\"").complement

    /// After a colon.
    var afterColon: GrammarExpression {
        switch self {
        case .json, .jsonBefore: .optional(.text(" "))
        case .gemma: .empty
        }
    }

    /// Between brackets and what is in them, and after commas: nothing, one blank, or a line break with the indentation
    /// of a level, which is so many times two blanks, four blanks or a tab.
    func space(level: Int) -> GrammarExpression {
        switch self {
        case .json, .jsonBefore:
            let indentations = ["  ", "    ", "\t"].map { "\n" + String(repeating: $0, count: level) }
            return .choice([.empty, .text(" ")] + indentations.map { .text($0) })
        case .gemma: return .empty
        }
    }
}
