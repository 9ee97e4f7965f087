package import ChatTemplates
import Synchronization
package import Tokenization

/// Makes constraints from schemas and grammars for one vocabulary, and keeps the last ones it made. Thread-safe.
package final class GrammarCompiler: Sendable {
    private let tokenizer: Tokenizer
    private let vocabulary = Mutex<GrammarVocabulary?>(nil)
    private let cache = Mutex(Cache())

    private enum Key: Hashable {
        case schema(CodePoints)
        case gbnf(CodePoints)
        case pattern(CodePoints)
    }

    private struct Cache {
        static let capacity = 32
        var grammars: [Key: CompiledGrammar] = [:]
        /// The latest used last.
        var order: [Key] = []

        mutating func find(_ key: Key) -> CompiledGrammar? {
            guard let found = grammars[key] else { return nil }
            order.removeAll { $0 == key }
            order.append(key)
            return found
        }

        mutating func insert(_ grammar: CompiledGrammar, _ key: Key) {
            if grammars[key] == nil { order.append(key) }
            grammars[key] = grammar
            if order.count > Self.capacity { grammars[order.removeFirst()] = nil }
        }
    }

    /// Nothing is computed yet: the vocabulary is arranged when the first grammar comes.
    package init(tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    /// Answers are JSON texts that satisfy a schema.
    ///
    /// - Throws: What is wrong with the schema, or the keyword that is not supported and where it stands.
    package func constraint(forSchema schema: JSONValue) throws(GrammarError) -> GrammarConstraint {
        try constraint(.schema(CodePoints(schema.text()))) { () throws(GrammarError) in
            try SchemaCompiler.grammar(for: schema)
        }
    }

    /// Answers are texts of a grammar in GBNF.
    package func constraint(forGBNF source: String) throws(GrammarError) -> GrammarConstraint {
        try constraint(.gbnf(CodePoints(source))) { () throws(GrammarError) in try GBNFParser.parse(source) }
    }

    /// Answers have a form of fixed text and pieces with forms of their own, such as tool calls. Where a fixed text holds
    /// the text of a control token, that token is meant.
    package func constraint(for pattern: OutputPattern) throws(GrammarError) -> GrammarConstraint {
        let vocabulary = arrangedVocabulary()
        return try constraint(.pattern(CodePoints(pattern.cacheKey))) { () throws(GrammarError) in
            try PatternCompiler.grammar(for: pattern, vocabulary)
        }
    }

    private func constraint(
        _ key: Key, _ make: () throws(GrammarError) -> Grammar
    ) throws(GrammarError) -> GrammarConstraint {
        if let known = cache.withLock({ $0.find(key) }) { return known.makeConstraint() }
        let compiled = CompiledGrammar(try GrammarProgram(try make()), arrangedVocabulary())
        cache.withLock { $0.insert(compiled, key) }
        return compiled.makeConstraint()
    }

    private func arrangedVocabulary() -> GrammarVocabulary {
        vocabulary.withLock { vocabulary in
            let arranged = vocabulary ?? GrammarVocabulary(tokenizer)
            vocabulary = arranged
            return arranged
        }
    }
}
