import ChatTemplates

/// Writes the grammar of an ``OutputPattern``.
struct PatternCompiler {
    private var grammar = Grammar()
    private let vocabulary: GrammarVocabulary

    static func grammar(
        for pattern: OutputPattern, _ vocabulary: GrammarVocabulary
    ) throws(GrammarError) -> Grammar {
        var compiler = PatternCompiler(vocabulary: vocabulary)
        let body = try compiler.expression(pattern)
        compiler.grammar.root = compiler.grammar.reserve("root")
        compiler.grammar.rules[compiler.grammar.root].body = body
        return compiler.grammar
    }

    private init(vocabulary: GrammarVocabulary) { self.vocabulary = vocabulary }

    private mutating func expression(_ pattern: OutputPattern) throws(GrammarError) -> GrammarExpression {
        switch pattern {
        case .literal(let text): return literal(text)
        case .schema(let schema): return grammar.include(try SchemaCompiler.grammar(for: schema))
        case .schemaBefore(let text, let schema):
            return grammar.include(try SchemaCompiler.grammar(for: schema, in: .jsonBefore(text)))
        case .gemma(let schema):
            let quote = GemmaArguments.quoteText
            return grammar.include(
                try SchemaCompiler.grammar(for: schema, in: .gemma(quote: quote, mark: literal(quote))))
        case .gbnf(let source): return grammar.include(try GBNFParser.parse(source))
        case .space: return .choice([.empty, .text(" "), .text("\n")])
        case .digits: return .repeated(.scalars(ScalarSet([0x30...0x39])), minimum: 1, maximum: 4)
        case .textBefore(let text): return .automaton(try .textWithout(text), .plain)
        case .stringBefore(let text, let schema): return try string(schema, before: text)
        case .sequence(let parts): return .sequence(try expressions(parts))
        case .choice(let parts): return .choice(try expressions(parts))
        case .optional(let part): return .optional(try expression(part))
        case .repeated(let part, let minimum):
            guard minimum <= GrammarLimits.repetition else { throw .tooComplex("a repetition of \(minimum)") }
            return .repeated(try expression(part), minimum: max(minimum, 0), maximum: nil)
        }
    }

    private func string(_ schema: JSONValue, before end: String) throws(GrammarError) -> GrammarExpression {
        var reader = SchemaReader(SchemaDocument(schema))
        var choices: [GrammarExpression] = []
        for shape in try reader.shapes(of: [0]) {
            guard let automaton = try shape.string?.automaton() else { continue }
            choices.append(.automaton(try automaton.intersection(.textWithout(end)), .plain))
        }
        return choices.isEmpty ? .never : .choice(choices)
    }

    private mutating func expressions(_ patterns: [OutputPattern]) throws(GrammarError) -> [GrammarExpression] {
        var result: [GrammarExpression] = []
        for pattern in patterns { result.append(try expression(pattern)) }
        return result
    }

    /// A text, with tokens that stand for themselves where their text comes up.
    private func literal(_ text: String) -> GrammarExpression {
        var parts: [GrammarExpression] = []
        var plain: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.first {
            if let marker = vocabulary.longestMarker(startingIn: rest) {
                if !plain.isEmpty { parts.append(.bytes(plain)) }
                plain = []
                parts.append(.marker(marker))
                rest = rest.dropFirst(marker.utf8.count)
            } else {
                plain.append(byte)
                rest = rest.dropFirst()
            }
        }
        if !plain.isEmpty { parts.append(.bytes(plain)) }
        return parts.isEmpty ? .empty : .sequence(parts)
    }
}

extension ScalarAutomaton {
    /// Texts in which another one does not occur: the states of Knuth, Morris and Pratt's search.
    static func textWithout(_ text: String) throws(GrammarError) -> ScalarAutomaton {
        let pattern = text.unicodeScalars.map(\.value)
        guard !pattern.isEmpty else { return ScalarAutomaton(states: [State(accepts: true)]) }
        guard pattern.count <= 1000 else { throw .tooComplex("a mark of more than 1000 characters") }
        let letters = Set(pattern).sorted()
        let others = ScalarSet(letters.map { $0...$0 }).complement
        return try exploring(from: 0) { matched in
            var transitions: [(ScalarSet, Int)] = others.isEmpty ? [] : [(others, 0)]
            for letter in letters {
                let seen = pattern[..<matched] + [letter]
                let next =
                    (0...min(seen.count, pattern.count)).last { seen.suffix($0).elementsEqual(pattern.prefix($0)) } ?? 0
                if next < pattern.count { transitions.append((ScalarSet(letter), next)) }
            }
            return (transitions, true)
        }
    }
}

extension Grammar {
    /// Takes over the rules of another grammar; gives its root.
    mutating func include(_ other: Grammar) -> GrammarExpression {
        let offset = rules.count
        rules += other.rules.map { Rule(name: $0.name, body: $0.body.renumbered(by: offset)) }
        return .rule(other.root + offset)
    }
}

extension GrammarExpression {
    fileprivate func renumbered(by offset: Int) -> GrammarExpression {
        switch self {
        case .empty, .never, .bytes, .byteRange, .scalars, .automaton, .marker: self
        case .sequence(let parts): .sequence(parts.map { $0.renumbered(by: offset) })
        case .choice(let parts): .choice(parts.map { $0.renumbered(by: offset) })
        case .repeated(let item, let minimum, let maximum):
            .repeated(item.renumbered(by: offset), minimum: minimum, maximum: maximum)
        case .rule(let rule): .rule(rule + offset)
        }
    }
}

extension OutputPattern {
    /// Different for different patterns, the order of keys in schemas included.
    var cacheKey: String {
        func list(_ name: String, _ parts: [OutputPattern]) -> String {
            "\(name)(" + parts.map(\.cacheKey).joined(separator: ",") + ")"
        }
        func quoted(_ text: String) -> String { JSONValue.string(text).text() }
        return switch self {
        case .literal(let text): "literal" + quoted(text)
        case .schema(let schema): "schema" + quoted(schema.text())
        case .schemaBefore(let text, let schema): "schema before" + quoted(text) + quoted(schema.text())
        case .gemma(let schema): "gemma" + quoted(schema.text())
        case .gbnf(let source): "gbnf" + quoted(source)
        case .space: "space"
        case .digits: "digits"
        case .textBefore(let text): "before" + quoted(text)
        case .stringBefore(let text, let schema): "string" + quoted(text) + quoted(schema.text())
        case .sequence(let parts): list("sequence", parts)
        case .choice(let parts): list("choice", parts)
        case .optional(let part): list("optional", [part])
        case .repeated(let part, let minimum): list("repeated\(minimum)", [part])
        }
    }
}
