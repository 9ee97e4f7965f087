import ChatTemplates

/// How the values that a schema describes are written.
enum ValueNotation: Sendable {
    case json
    /// JSON between tags: strings are such that no reader takes one for the end of the value.
    case jsonWithin(ScalarAutomaton)
    /// Gemma's arguments: bare keys, no white space, and strings without escapes between marks; `quote` is the text of
    /// the mark, `mark` how it is read.
    case gemma(quote: String, mark: GrammarExpression)
    /// The outermost object as the arguments of a Python call, `(key="text", list=[1, True])`; strings as in JSON.
    case python

    func string(_ automaton: ScalarAutomaton) throws(GrammarError) -> GrammarExpression {
        switch self {
        case .json, .python: return .sequence([.text("\""), .automaton(automaton, .jsonString), .text("\"")])
        case .jsonWithin(let texts):
            do throws(GrammarError) {
                return try Self.json.string(automaton.intersection(texts))
            } catch .tooComplex {
                // Lengths of thousands; that a string of them holds the end of a value is less likely than that it has
                // the wrong length.
                return try Self.json.string(automaton)
            }
        case .gemma(let quote, let mark):
            return .sequence([mark, .automaton(try automaton.intersection(.textWithout(quote)), .plain), mark])
        }
    }

    func word(_ value: Bool?) -> GrammarExpression {
        if case .python = self { return .text(value.map { $0 ? "True" : "False" } ?? "None") }
        return .text(value.map { $0 ? "true" : "false" } ?? "null")
    }

    /// Around the members of an object.
    func brackets(level: Int) -> (open: GrammarExpression, close: GrammarExpression) {
        if case .python = self, level == 0 { return (.text("("), .text(")")) }
        return (.text("{"), .text("}"))
    }

    /// Behind the name of a member.
    func colon(level: Int) -> GrammarExpression {
        switch self {
        case .json, .jsonWithin: .sequence([.text(":"), .optional(.text(" "))])
        case .gemma: .text(":")
        case .python: level == 0 ? .text("=") : .sequence([.text(":"), .optional(.text(" "))])
        }
    }

    /// The name of a member that the schema does not name.
    func key(_ names: ScalarAutomaton, level: Int) throws(GrammarError) -> GrammarExpression {
        guard case .python = self, level == 0 else { return try string(names) }
        let letter = ScalarSet([0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
        let words = ScalarAutomaton(states: [
            .init(transitions: [.init(scalars: letter, target: 1)]),
            .init(transitions: [.init(scalars: letter.union(ScalarSet([0x30...0x39])), target: 1)], accepts: true),
        ])
        return .automaton(try names.intersection(words), .plain)
    }

    /// The name of a member that the schema names.
    func key(_ name: String, level: Int) throws(GrammarError) -> GrammarExpression {
        switch self {
        case .python where level == 0: return .text(name)
        case .json, .jsonWithin, .python: return .bytes(JSONValue.string(name).utf8())
        case .gemma:
            let isBare = !name.isEmpty && name.unicodeScalars.allSatisfy { Self.bareKeyScalars.contains($0.value) }
            return isBare ? .text(name) : try string(ScalarAutomaton(texts: [name]))
        }
    }

    /// Characters that end neither a key nor an object.
    private static let bareKeyScalars = ScalarSet(of: " \t\n\r,:{}[]<>|\"").complement

    /// Between brackets and what is in them, and after commas: nothing, one blank, or a line break with the indentation
    /// of a level, which is so many times two blanks, four blanks or a tab.
    func space(level: Int) -> GrammarExpression {
        switch self {
        case .json, .jsonWithin:
            let indentations = ["  ", "    ", "\t"].map { "\n" + String(repeating: $0, count: level) }
            return .choice([.empty, .text(" ")] + indentations.map { .text($0) })
        case .gemma: return .empty
        case .python: return .optional(.text(" "))
        }
    }
}
