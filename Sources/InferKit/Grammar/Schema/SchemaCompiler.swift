import ChatTemplates

/// Writes the grammar of the JSON texts that satisfy a schema. `docs/structured-output.md` states the subset.
///
/// Properties come in the order of the schema. White space is what people print JSON with, see ``ValueNotation``: with
/// more, a weak model could go on with blanks for ever.
struct SchemaCompiler {
    /// A value at a level of nesting, on which the indentation depends.
    private struct Place: Hashable {
        var goal: SchemaGoal
        var level: Int
    }

    /// Values in deeper levels are indented as in this one, so that a schema that refers to itself has few rules.
    private static let deepestLevel = 8

    var grammar = Grammar()
    private var reader: SchemaReader
    let notation: ValueNotation
    private var ruleOfPlace: [Place: Int] = [:]
    /// Rules that have no body yet.
    private var pending: [(place: Place, rule: Int)] = []
    private var scalarRules: [SchemaGoal: GrammarExpression] = [:]
    private var spaceOfLevel: [GrammarExpression] = []

    /// - Throws: What is wrong with the schema, or what has no grammar.
    static func grammar(
        for schema: JSONValue, in notation: ValueNotation = .json
    ) throws(GrammarError) -> Grammar {
        var compiler = SchemaCompiler(schema, notation)
        guard case .rule(let root) = try compiler.value([0], 0) else { return compiler.grammar }
        while let (place, rule) = compiler.pending.popLast() {
            guard compiler.grammar.rules.count < GrammarLimits.rules else {
                throw .tooComplex("more than \(GrammarLimits.rules) rules")
            }
            compiler.grammar.rules[rule].body = try compiler.body(of: place)
        }
        compiler.grammar.root = root
        return compiler.grammar
    }

    private init(_ schema: JSONValue, _ notation: ValueNotation) {
        reader = SchemaReader(SchemaDocument(schema))
        self.notation = notation
        for level in 0...Self.deepestLevel {
            spaceOfLevel.append(grammar.add("space", notation.space(level: level)))
        }
    }

    func space(_ level: Int) -> GrammarExpression { spaceOfLevel[min(level, Self.deepestLevel)] }

    // MARK: Values

    /// A value for which all schemas of the goal hold.
    mutating func value(_ goal: SchemaGoal, _ level: Int) throws(GrammarError) -> GrammarExpression {
        let isNested = try reader.shapes(of: goal).contains { $0.array != nil || $0.object != nil }
        let place = Place(goal: goal, level: isNested ? min(level, Self.deepestLevel) : 0)
        if let rule = ruleOfPlace[place] { return .rule(rule) }
        let rule = grammar.reserve("value \(goal)")
        ruleOfPlace[place] = rule
        pending.append((place, rule))
        return .rule(rule)
    }

    private mutating func body(of place: Place) throws(GrammarError) -> GrammarExpression {
        let shapes = try reader.shapes(of: place.goal)
        var choices = [try scalars(place.goal, shapes)]
        for shape in shapes {
            if let array = shape.array { choices.append(try self.array(array, place.level)) }
            if let object = shape.object { choices.append(try self.object(object, place.level)) }
        }
        return .choice(choices)
    }

    /// The values of a goal that look the same at every level.
    private mutating func scalars(
        _ goal: SchemaGoal, _ shapes: [SchemaShape]
    ) throws(GrammarError) -> GrammarExpression {
        if let known = scalarRules[goal] { return known }
        var choices: [GrammarExpression] = []
        for shape in shapes {
            if shape.null { choices.append(.text("null")) }
            if shape.booleans.contains(false) { choices.append(.text("false")) }
            if shape.booleans.contains(true) { choices.append(.text("true")) }
            if let number = try shape.number?.automaton() { choices.append(.automaton(number, .plain)) }
            if let string = try shape.string?.automaton() { choices.append(try notation.string(string)) }
        }
        let rule = choices.isEmpty ? .never : grammar.add("scalar", .choice(choices))
        scalarRules[goal] = rule
        return rule
    }

    // MARK: Arrays

    /// - Parameter level: of the array; its items are one deeper.
    private mutating func array(_ shape: ArrayShape, _ level: Int) throws(GrammarError) -> GrammarExpression {
        if let maximum = shape.maximum, maximum < shape.minimum { return .never }
        let separator = GrammarExpression.sequence([.text(","), space(level + 1)])
        let end = space(level)
        let last = min(shape.prefix.count, shape.maximum ?? .max)
        // Written from the back: what may follow so many items.
        let minimum = max(0, shape.minimum - shape.prefix.count)
        var tail = GrammarExpression.empty
        if shape.maximum.map({ $0 > shape.prefix.count }) ?? true {
            let item = try value(shape.rest, level + 1)
            let maximum = shape.maximum.map { $0 - shape.prefix.count }
            if shape.prefix.isEmpty {
                let others = GrammarExpression.repeated(
                    .sequence([separator, item]), minimum: max(0, minimum - 1), maximum: maximum.map { $0 - 1 })
                tail = .sequence([space(level + 1), item, others, end])
                if minimum == 0 { tail = .optional(tail) }
            } else {
                tail = .repeated(.sequence([separator, item]), minimum: minimum, maximum: maximum)
                tail = .sequence([tail, end])
            }
        } else if last > 0 {
            tail = end
        }
        for place in (0..<last).reversed() {
            let item = try value(shape.prefix[place], level + 1)
            tail = .sequence([place > 0 ? separator : space(level + 1), item, grammar.add("items", tail)])
            if place >= shape.minimum { tail = .choice([tail, place > 0 ? end : .empty]) }
        }
        return .sequence([.text("["), tail, .text("]")])
    }

    // MARK: Objects

    /// Members that are not declared: their names and what holds for their values.
    struct OtherMembers {
        var names: ScalarAutomaton
        var goal: SchemaGoal
    }

    /// - Parameter level: of the object; its members are one deeper.
    private mutating func object(_ shape: ObjectShape, _ level: Int) throws(GrammarError) -> GrammarExpression {
        if let maximum = shape.maximum, maximum < shape.minimum { return .never }
        let others = try otherMembers(shape)
        let members = try self.members(shape, others, level)
        return .sequence([.text("{"), members, .text("}")])
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
            guard let rest = try names.intersection(ScalarAutomaton.names(like: declared).complement).trimmed else {
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
}
