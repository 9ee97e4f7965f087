import Synchronization

/// A grammar ready for any number of answers at the same time.
///
/// What answers find out about the grammar is kept for those that come after them.
package final class CompiledGrammar: Sendable {
    let vocabulary: GrammarVocabulary
    private let program: GrammarProgram
    private let idle = Mutex<[TokenFinder]>([])

    private static let keptFinders = 2

    init(_ program: GrammarProgram, _ vocabulary: GrammarVocabulary) {
        self.program = program
        self.vocabulary = vocabulary
    }

    func takeFinder() -> TokenFinder {
        idle.withLock { $0.popLast() } ?? TokenFinder(program, vocabulary)
    }

    func giveBack(_ finder: TokenFinder) {
        idle.withLock { if $0.count < Self.keptFinders { $0.append(finder) } }
    }

    /// The state of one answer.
    package func makeConstraint() -> GrammarConstraint { GrammarConstraint(self) }
}

/// Keeps one answer to a grammar: says which tokens may come next and follows those that come. One owner at a time.
package final class GrammarConstraint: TokenConstraint {
    private let grammar: CompiledGrammar
    private var finder: TokenFinder
    private var configuration: Int32

    fileprivate init(_ grammar: CompiledGrammar) {
        self.grammar = grammar
        finder = grammar.takeFinder()
        configuration = finder.start()
    }

    deinit {
        // One that failed is of no use to others.
        if finder.isReusable { grammar.giveBack(finder) }
    }

    /// Whether the text so far is complete.
    package var isAccepting: Bool { finder.isAccepting(configuration) }

    /// Whether the text is complete and nothing can follow.
    package var isFinished: Bool { isAccepting && finder.isOver(configuration) }

    /// Makes `mask` the set of tokens that may come next. Those that end the generation are in it where the text is
    /// complete, other tokens without a text never.
    ///
    /// - Throws: ``GrammarError/noTokenFits`` where the vocabulary lacks the characters that must follow, and
    ///   ``GrammarError/tooComplex(_:)`` where a grammar is too ambiguous.
    package func mask(into mask: inout TokenMask) throws(GrammarError) {
        mask = try finder.mask(&configuration)
        if isAccepting {
            for token in grammar.vocabulary.endOfGeneration { mask.insert(token) }
        } else if mask.isEmpty {
            throw .noTokenFits
        }
    }

    /// Whether one token may come next; cheaper than all of them.
    package func allows(_ token: Int32) -> Bool {
        if grammar.vocabulary.isEndOfGeneration(token) { return isAccepting }
        let bytes = grammar.vocabulary.bytes(of: token)
        guard !bytes.isEmpty, let next = try? finder.advance(&configuration, over: bytes) else { return false }
        return next != GrammarAutomaton.dead
    }

    /// Goes on behind `token`. One that ends the generation changes nothing.
    ///
    /// - Throws: ``GrammarError/tokenRejected(_:)`` for a token that may not come here.
    package func accept(_ token: Int32) throws(GrammarError) {
        if grammar.vocabulary.isEndOfGeneration(token) {
            guard isAccepting else { throw .tokenRejected(token) }
            return
        }
        let bytes = grammar.vocabulary.bytes(of: token)
        guard !bytes.isEmpty, let next = try finder.advance(&configuration, over: bytes) else {
            throw .tokenRejected(token)
        }
        configuration = next
    }
}
