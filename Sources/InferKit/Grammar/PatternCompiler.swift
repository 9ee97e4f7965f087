import ChatTemplates

/// Writes the grammar of an ``OutputPattern``.
struct PatternCompiler {
    private var grammar = Grammar()
    private var notEnding: [ValueEnd: ScalarAutomaton] = [:]
    private var freeTexts: [ValueKey: GrammarExpression] = [:]
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
        case .jsonValue(let form, let end):
            return grammar.include(try SchemaCompiler.grammar(for: form, in: .jsonWithin(try texts(within: end))))
        case .gemma(let schema):
            let quote = GemmaArguments.quoteText
            return grammar.include(
                try SchemaCompiler.grammar(for: schema, in: .gemma(quote: quote, mark: literal(quote))))
        case .python(let schema): return grammar.include(try SchemaCompiler.grammar(for: schema, in: .python))
        case .gbnf(let source): return grammar.include(try GBNFParser.parse(source))
        case .space: return .choice([.empty, .text(" "), .text("\n")])
        case .layout: return .repeated(.scalars(ScalarSet(of: " \n")), minimum: 0, maximum: 4)
        case .digits: return .repeated(.scalars(ScalarSet([0x30...0x39])), minimum: 1, maximum: 4)
        case .textBefore(let text): return .automaton(try .textWithout(text), .plain)
        case .textValue(let form, let end, let layout): return try text(form, before: end, layout)
        case .name(let end, let others): return try name(before: end, except: others)
        case .rest: return .automaton(.anything, .plain)
        case .sequence(let parts): return .sequence(try expressions(parts))
        case .choice(let parts): return .choice(try expressions(parts))
        case .optional(let part): return .optional(try expression(part))
        case .repeated(let part, let minimum):
            guard minimum <= GrammarLimits.repetition else { throw .tooComplex("a repetition of \(minimum)") }
            return .repeated(try expression(part), minimum: max(minimum, 0), maximum: nil)
        }
    }

    /// Texts that do not hold the end of a value.
    private mutating func texts(within end: ValueEnd) throws(GrammarError) -> ScalarAutomaton {
        if let known = notEnding[end] { return known }
        var texts = try ValueAutomaton.notEnding(end)
        // Where a tag ends an unclosed value anywhere, a closing mark in a string could close that value too.
        if !end.startsLine, let close = end.ownMarks.first { texts = try texts.intersection(.textWithout(close)) }
        notEnding[end] = texts
        return texts
    }

    private struct ValueKey: Hashable {
        var end: ValueEnd
        var layout: ValueLayout
    }

    private mutating func text(
        _ form: ValueForm, before end: ValueEnd, _ layout: ValueLayout
    ) throws(GrammarError) -> GrammarExpression {
        var reader = SchemaReader(SchemaDocument(form.root))
        let goal = try reader.goal(form.references)
        var choices: [GrammarExpression] = []
        for shape in try reader.shapes(of: goal) {
            guard let string = shape.string else { continue }
            let key = ValueKey(end: end, layout: layout)
            // Long counts and the places where a value may end are too much together.
            if string.isFree || max(string.minimum, string.maximum ?? 0) > 300 {
                choices.append(try freeText(key))
                continue
            }
            guard let texts = try string.automaton() else { continue }
            do throws(GrammarError) {
                let automaton = try ValueAutomaton.make(texts, before: end, layout, vocabulary)
                choices.append(.automaton(automaton, .plain))
            } catch .tooComplex {
                choices.append(try freeText(key))
            }
        }
        return choices.isEmpty ? .never : .choice(choices)
    }

    /// Shared, since most parameters are plain texts.
    private mutating func freeText(_ key: ValueKey) throws(GrammarError) -> GrammarExpression {
        if let known = freeTexts[key] { return known }
        let automaton = try ValueAutomaton.make(.anything, before: key.end, key.layout, vocabulary)
        let rule = grammar.add("text", .automaton(automaton, .plain))
        freeTexts[key] = rule
        return rule
    }

    private func name(before end: String, except others: [String]) throws(GrammarError) -> GrammarExpression {
        var names = try ScalarAutomaton.length(minimum: 1, maximum: 64).intersection(.textWithout(end))
        if !others.isEmpty { names = try names.intersection(ScalarAutomaton(texts: others).complement) }
        return .automaton(names, .plain)
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
        case .jsonValue(let form, let end): "json" + form.cacheKey + end.cacheKey
        case .gemma(let schema): "gemma" + quoted(schema.text())
        case .python(let schema): "python" + quoted(schema.text())
        case .gbnf(let source): "gbnf" + quoted(source)
        case .space: "space"
        case .layout: "layout"
        case .digits: "digits"
        case .textBefore(let text): "before" + quoted(text)
        case .textValue(let form, let end, let layout):
            "text\(layout.hasFirst)\(layout.hasLast)\(layout.needsLast)" + form.cacheKey + end.cacheKey
        case .name(let end, let others): "name" + JSONValue.array(([end] + others).map { .string($0) }).text()
        case .rest: "rest"
        case .sequence(let parts): list("sequence", parts)
        case .choice(let parts): list("choice", parts)
        case .optional(let part): list("optional", [part])
        case .repeated(let part, let minimum): list("repeated\(minimum)", [part])
        }
    }
}

extension ValueForm {
    fileprivate var cacheKey: String {
        JSONValue.array([root, .array(references.map { .string($0) })]).text()
    }
}
