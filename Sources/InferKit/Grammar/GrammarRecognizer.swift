package import ChatTemplates

/// A grammar or schema to hold whole texts against.
package struct TextGrammar: Sendable {
    private let program: GrammarProgram

    package init(schema: JSONValue) throws(GrammarError) {
        program = try GrammarProgram(try SchemaCompiler.grammar(for: schema))
    }

    package init(gbnf: String) throws(GrammarError) {
        program = try GrammarProgram(try GBNFParser.parse(gbnf))
    }

    init(_ grammar: Grammar) throws(GrammarError) { program = try GrammarProgram(grammar) }

    package func makeRecognizer() -> GrammarRecognizer { GrammarRecognizer(program) }

    /// Whether a whole text satisfies the grammar.
    package func accepts(_ text: String) throws(GrammarError) -> Bool {
        var recognizer = makeRecognizer()
        try recognizer.feed(text.utf8)
        return recognizer.isAccepting
    }
}

/// Follows a text byte by byte, without a vocabulary.
package struct GrammarRecognizer {
    private var automaton: GrammarAutomaton
    private var configuration: Int32

    fileprivate init(_ program: GrammarProgram) {
        automaton = GrammarAutomaton(program)
        configuration = automaton.start()
    }

    /// Whether the text so far is complete.
    package var isAccepting: Bool { automaton.isAccepting[Int(configuration)] }
    /// Whether the text so far is the beginning of a complete one.
    package var isAlive: Bool { configuration != GrammarAutomaton.dead }

    /// The bytes that may come next.
    mutating func nextBytes() throws(GrammarError) -> [UInt8] {
        let allowed = (UInt8.min...UInt8.max).filter { automaton.step(configuration, $0) != GrammarAutomaton.dead }
        if let failure = automaton.failure { throw failure }
        return allowed
    }

    /// - Throws: ``GrammarError/tooComplex(_:)`` where a grammar is too ambiguous.
    package mutating func feed(_ bytes: some Sequence<UInt8>) throws(GrammarError) {
        for byte in bytes {
            var next = automaton.step(configuration, byte)
            if automaton.isFull {
                configuration = automaton.compact(keeping: configuration)
                next = automaton.step(configuration, byte)
            }
            if let failure = automaton.failure { throw failure }
            configuration = next
        }
    }
}
