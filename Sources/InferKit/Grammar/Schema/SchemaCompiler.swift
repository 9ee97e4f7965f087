import ChatTemplates

/// Writes the grammar of the JSON texts that satisfy a schema. `docs/structured-output.md` states the subset.
///
/// Properties come in the order of the schema. Behind `{`, `[`, `,`, `:` and before `}` and `]` there may be one blank,
/// or a line feed with up to 64 blanks or tabs.
struct SchemaCompiler {
    private var grammar = Grammar()
    private var reader: SchemaReader
    private var ruleOfGoal: [SchemaGoal: Int] = [:]
    /// Goals whose rules have no body yet.
    private var pending: [(goal: SchemaGoal, rule: Int)] = []
    private let space: GrammarExpression

    /// - Throws: What is wrong with the schema, or what has no grammar.
    static func grammar(for schema: JSONValue) throws(GrammarError) -> Grammar {
        var compiler = SchemaCompiler(schema)
        guard case .rule(let root) = compiler.value([0]) else { return compiler.grammar }
        while let (goal, rule) = compiler.pending.popLast() {
            guard compiler.grammar.rules.count < GrammarLimits.rules else {
                throw .tooComplex("more than \(GrammarLimits.rules) rules")
            }
            compiler.grammar.rules[rule].body = try compiler.body(of: goal)
        }
        compiler.grammar.root = root
        return compiler.grammar
    }

    private init(_ schema: JSONValue) {
        reader = SchemaReader(SchemaDocument(schema))
        let indent = GrammarExpression.repeated(.scalars(ScalarSet(of: " \t")), minimum: 0, maximum: 64)
        space = grammar.add("space", .choice([.empty, .text(" "), .sequence([.text("\n"), indent])]))
    }

    // MARK: Values

    /// A value for which all schemas of the goal hold.
    private mutating func value(_ goal: SchemaGoal) -> GrammarExpression {
        if let rule = ruleOfGoal[goal] { return .rule(rule) }
        let rule = grammar.reserve("value \(goal)")
        ruleOfGoal[goal] = rule
        pending.append((goal, rule))
        return .rule(rule)
    }

    private mutating func body(of goal: SchemaGoal) throws(GrammarError) -> GrammarExpression {
        var choices: [GrammarExpression] = []
        for shape in try reader.shapes(of: goal) {
            if shape.null { choices.append(.text("null")) }
            if shape.booleans.contains(false) { choices.append(.text("false")) }
            if shape.booleans.contains(true) { choices.append(.text("true")) }
            if let number = try shape.number?.automaton() { choices.append(.automaton(number, .plain)) }
            if let string = try shape.string?.automaton() { choices.append(Self.quoted(string)) }
            if let array = shape.array { choices.append(try self.array(array)) }
            if let object = shape.object { choices.append(try self.object(object)) }
        }
        return choices.isEmpty ? .never : .choice(choices)
    }

    private static func quoted(_ automaton: ScalarAutomaton) -> GrammarExpression {
        .sequence([.text("\""), .automaton(automaton, .jsonString), .text("\"")])
    }

    // MARK: Arrays

    private mutating func array(_ shape: ArrayShape) throws(GrammarError) -> GrammarExpression {
        if let maximum = shape.maximum, maximum < shape.minimum { return .never }
        let separator = GrammarExpression.sequence([.text(","), space])
        let last = min(shape.prefix.count, shape.maximum ?? .max)
        // Written from the back: what may follow so many items.
        let minimum = max(0, shape.minimum - shape.prefix.count)
        var tail = GrammarExpression.empty
        if shape.maximum.map({ $0 > shape.prefix.count }) ?? true {
            let item = value(shape.rest)
            let maximum = shape.maximum.map { $0 - shape.prefix.count }
            if shape.prefix.isEmpty {
                let others = GrammarExpression.repeated(
                    .sequence([separator, item]), minimum: max(0, minimum - 1), maximum: maximum.map { $0 - 1 })
                tail = .sequence([item, others, space])
                if minimum == 0 { tail = .optional(tail) }
            } else {
                tail = .repeated(.sequence([separator, item]), minimum: minimum, maximum: maximum)
                tail = .sequence([tail, space])
            }
        } else if last > 0 {
            tail = space
        }
        for place in (0..<last).reversed() {
            let item = value(shape.prefix[place])
            tail = .sequence([place > 0 ? .sequence([separator, item]) : item, grammar.add("items", tail)])
            if place >= shape.minimum { tail = .choice([tail, place > 0 ? space : .empty]) }
        }
        return .sequence([.text("["), space, tail, .text("]")])
    }

    // MARK: Objects

    /// Members that are not declared: their names and what holds for their values.
    private struct OtherMembers {
        var names: ScalarAutomaton
        var goal: SchemaGoal
    }

    private mutating func object(_ shape: ObjectShape) throws(GrammarError) -> GrammarExpression {
        if let maximum = shape.maximum, maximum < shape.minimum { return .never }
        let others = try otherMembers(shape)
        let members = try self.members(shape, others)
        return .sequence([.text("{"), space, members, .text("}")])
    }

    private mutating func otherMembers(_ shape: ObjectShape) throws(GrammarError) -> [OtherMembers] {
        guard shape.takesOthers else { return [] }
        let hasPatterns = shape.parts.contains { !$0.patterns.isEmpty }
        let isSaid =
            shape.parts.contains { $0.additional != nil }
            || shape.parts.allSatisfy { $0.properties.isEmpty && $0.patterns.isEmpty }
        guard var names = try shape.names.automaton() else { return [] }
        let declared = shape.declared
        if !declared.isEmpty {
            guard let rest = try names.intersection(ScalarAutomaton(texts: declared).complement).trimmed else {
                return []
            }
            names = rest
        }
        // Split by the patterns that a name fits.
        var classes: [(names: ScalarAutomaton, matched: [[Int]])] = [(names, shape.parts.map { _ in [] })]
        guard hasPatterns else {
            return [
                OtherMembers(names: names, goal: shape.parts.reduce([]) { union($0, $1.additional.map { [$0] } ?? []) })
            ]
        }
        for (place, part) in shape.parts.enumerated() {
            for (automaton, schema) in part.patterns {
                var split: [(names: ScalarAutomaton, matched: [[Int]])] = []
                for (names, matched) in classes {
                    if let inside = try names.intersection(automaton).trimmed {
                        var more = matched
                        more[place].append(schema)
                        split.append((inside, more))
                    }
                    if let outside = try names.intersection(automaton.complement).trimmed {
                        split.append((outside, matched))
                    }
                }
                guard split.count <= 32 else { throw .tooComplex("patternProperties that overlap in many ways") }
                classes = split
            }
        }
        return classes.compactMap { names, matched in
            guard isSaid || matched.contains(where: { !$0.isEmpty }) else { return nil }
            var goal: SchemaGoal = []
            for (part, schemas) in zip(shape.parts, matched) {
                goal = union(goal, schemas.isEmpty ? part.additional.map { [$0] } ?? [] : schemas)
            }
            return OtherMembers(names: names, goal: goal)
        }
    }

    /// The members with white space behind them: a rule for what may follow after each declared name and each count of
    /// members that makes a difference.
    private mutating func members(
        _ shape: ObjectShape, _ others: [OtherMembers]
    ) throws(GrammarError) -> GrammarExpression {
        let declared = shape.declared
        let required = Set(shape.required.map(CodePoints.init))
        // A count beyond the minimum, or beyond the first member, only matters up to a maximum.
        let counts = shape.maximum ?? max(shape.minimum, 1)
        guard (declared.count + 1) * (counts + 1) <= GrammarLimits.rules / 4 else {
            throw .tooComplex("counts of many properties")
        }
        let separator = GrammarExpression.sequence([.text(","), space])
        let colon = GrammarExpression.sequence([.text(":"), space])
        let other = GrammarExpression.choice(others.map { .sequence([Self.quoted($0.names), colon, value($0.goal)]) })
        let otherRule = others.isEmpty ? .never : grammar.add("other member", other)

        /// After all declared names.
        func end(_ count: Int) -> GrammarExpression {
            let minimum = max(0, shape.minimum - count)
            let maximum = shape.maximum.map { $0 - count }
            if others.isEmpty || maximum == 0 { return minimum > 0 ? .never : count > 0 ? space : .empty }
            let following = GrammarExpression.sequence([separator, otherRule])
            guard count == 0 else {
                return .sequence([.repeated(following, minimum: minimum, maximum: maximum), space])
            }
            let more = GrammarExpression.repeated(
                following, minimum: max(0, minimum - 1), maximum: maximum.map { $0 - 1 })
            let some = GrammarExpression.sequence([otherRule, more, space])
            return minimum == 0 ? .optional(some) : some
        }
        var following = (0...counts).map { grammar.add("members", end($0)) }
        for name in declared.reversed() {
            let key = JSONValue.string(name).utf8()
            let member = GrammarExpression.sequence([.bytes(key), colon, value(shape.goal(name))])
            let isRequired = required.contains(CodePoints(name))
            following = (0...counts).map { count in
                let isFull = shape.maximum.map { count >= $0 } ?? false
                let written = GrammarExpression.sequence([
                    count > 0 ? separator : .empty, member, following[min(count + 1, counts)],
                ])
                var choices = isFull ? [] : [written]
                if !isRequired { choices.append(following[count]) }
                return grammar.add("members", .choice(choices))
            }
        }
        return following[0]
    }
}
