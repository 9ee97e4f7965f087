import ChatTemplates

/// What one alternative of a schema allows, type by type. A type that is nil is not allowed.
///
/// A schema is a list of shapes, any of which will do: `anyOf` joins lists, `allOf` intersects each shape with each.
struct SchemaShape: Sendable {
    var null = true
    var booleans: Set<Bool> = [false, true]
    var number: NumberShape? = NumberShape()
    var string: StringShape? = StringShape()
    var array: ArrayShape? = ArrayShape()
    var object: ObjectShape? = ObjectShape()

    static let anything = SchemaShape()
    static let nothing: SchemaShape = {
        var shape = SchemaShape()
        (shape.null, shape.booleans, shape.number, shape.string, shape.array, shape.object) = (
            false, [], nil, nil, nil, nil
        )
        return shape
    }()

    var isNothing: Bool {
        !null && booleans.isEmpty && number == nil && string == nil && array == nil && object == nil
    }

    func intersection(_ other: SchemaShape) throws(GrammarError) -> SchemaShape {
        var result = SchemaShape.nothing
        result.null = null && other.null
        result.booleans = booleans.intersection(other.booleans)
        if let left = number, let right = other.number {
            guard let both = left.intersection(right) else { throw .tooComplex("multiples of two numbers") }
            result.number = both
        }
        if let left = string, let right = other.string { result.string = left.intersection(right) }
        if let left = array, let right = other.array { result.array = left.intersection(right) }
        if let left = object, let right = other.object { result.object = left.intersection(right) }
        return result
    }
}

/// Schemas that all hold for one value, as sorted numbers of a ``SchemaDocument``. None: any value.
typealias SchemaGoal = [Int]

func union(_ left: SchemaGoal, _ right: SchemaGoal) -> SchemaGoal { left == right ? left : Set(left + right).sorted() }

struct StringShape: Sendable {
    /// Lengths in scalars.
    var minimum = 0
    var maximum: Int?
    /// What else holds, each with a key by which it is known to be the same.
    var parts: [(key: String, automaton: ScalarAutomaton)] = []

    /// Whether it is any string.
    var isFree: Bool { minimum == 0 && maximum == nil && parts.isEmpty }

    func intersection(_ other: StringShape) -> StringShape {
        var result = self
        result.minimum = max(minimum, other.minimum)
        result.maximum = [maximum, other.maximum].compactMap { $0 }.min()
        for part in other.parts where !parts.contains(where: { $0.key == part.key }) { result.parts.append(part) }
        return result
    }

    /// nil: there is no such string.
    func automaton() throws(GrammarError) -> ScalarAutomaton? {
        if let maximum, maximum < minimum { return nil }
        var result = ScalarAutomaton.anything
        var isFree = true
        for part in parts {
            result = isFree ? part.automaton : try result.intersection(part.automaton)
            isFree = false
        }
        guard minimum > 0 || maximum != nil else { return result.trimmed }
        let lengths = ScalarAutomaton.length(minimum: minimum, maximum: maximum)
        return isFree ? lengths : try result.intersection(lengths).trimmed
    }
}

struct ArrayShape: Sendable {
    /// What holds for the first items.
    var prefix: [SchemaGoal] = []
    /// What holds for the items behind them.
    var rest: SchemaGoal = []
    var minimum = 0
    var maximum: Int?

    func intersection(_ other: ArrayShape) -> ArrayShape {
        var result = ArrayShape()
        for place in 0..<max(prefix.count, other.prefix.count) {
            result.prefix.append(union(goal(place), other.goal(place)))
        }
        result.rest = union(rest, other.rest)
        result.minimum = max(minimum, other.minimum)
        result.maximum = [maximum, other.maximum].compactMap { $0 }.min()
        return result
    }

    func goal(_ place: Int) -> SchemaGoal { place < prefix.count ? prefix[place] : rest }
}

struct ObjectShape: Sendable {
    /// The keywords of one schema that speak of the same object's members.
    struct Part: Sendable {
        /// The schema's number.
        var schema: Int
        var properties: [(name: String, schema: Int)] = []
        var patterns: [(automaton: ScalarAutomaton, schema: Int)] = []
        /// For members that are neither in `properties` nor fit a pattern; nil: not said.
        var additional: Int?

        func property(_ name: String) -> Int? { placeOf[CodePoints(name)].map { properties[$0].schema } }

        /// Places in `properties`.
        var placeOf: [CodePoints: Int] = [:]

        func goal(_ name: String) -> SchemaGoal {
            let matching = patterns.filter { $0.automaton.accepts(name) }.map(\.schema)
            let own = matching + (property(name).map { [$0] } ?? [])
            return own.isEmpty ? additional.map { [$0] } ?? [] : own
        }
    }

    var parts: [Part] = []
    var required: [String] = []
    var minimum = 0
    var maximum: Int?
    /// What holds for all names.
    var names = StringShape()

    func intersection(_ other: ObjectShape) -> ObjectShape {
        var result = self
        for part in other.parts where !parts.contains(where: { $0.schema == part.schema }) { result.parts.append(part) }
        let known = Set(required.map(CodePoints.init))
        result.required += other.required.filter { !known.contains(CodePoints($0)) }
        result.minimum = max(minimum, other.minimum)
        result.maximum = [maximum, other.maximum].compactMap { $0 }.min()
        result.names = names.intersection(other.names)
        return result
    }

    /// Names in the order in which they are written: as declared, then those that are only required.
    var declared: [String] {
        var seen: Set<CodePoints> = []
        let all = parts.flatMap { $0.properties.map(\.name) } + required
        return all.filter { seen.insert(CodePoints($0)).inserted }
    }

    func goal(_ name: String) -> SchemaGoal { parts.reduce([]) { union($0, $1.goal(name)) } }

    /// Whether members that are not declared are written. A schema that names its properties and says nothing about
    /// others gets no others.
    var takesOthers: Bool {
        parts.allSatisfy { $0.properties.isEmpty } || parts.contains { $0.additional != nil || !$0.patterns.isEmpty }
    }
}
