/// A value during rendering, with the semantics of the Python value the reference implementation would have.
enum JinjaValue {
    /// A missing variable, attribute or element: prints as nothing, fails when used further.
    case undefined(Missing)
    case none
    case bool(Bool)
    case int(Int)
    /// Decimal digits of an integer beyond 64 bits: can be printed and compared, not calculated with.
    case bigInt(String)
    case float(Double)
    case string(String)
    /// A string from `safe` or `escape`, which escapes what is added to it.
    case markup(String)
    case sequence(JinjaSequence)
    case dictionary(JinjaDictionary)
    case object(JinjaObject)
}

/// What was not found; becomes the message of the error if the value is used.
enum Missing {
    case variable(String)
    case attribute(String, ofType: String)
    case element(String, ofType: String)
    case unsafe(String, ofType: String)
    case other(String)

    var error: TemplateError {
        switch self {
        case .variable(let name): TemplateError(.undefined, "'\(name)' is undefined")
        case .attribute(let name, let type): TemplateError(.undefined, "'\(type)' has no attribute '\(name)'")
        case .element(let index, let type): TemplateError(.undefined, "\(type) has no element \(index)")
        case .unsafe(let name, let type):
            TemplateError(.security, "access to attribute '\(name)' of '\(type)' object is unsafe.")
        case .other(let message): TemplateError(.undefined, message)
        }
    }
}

/// Lists and what behaves like them. A class, since a list keeps its identity when a template appends to it.
final class JinjaSequence {
    enum Kind {
        case list, tuple
        case range(start: Int, stop: Int, step: Int)
        /// The result of a lazy filter: can be read once and has no length.
        case generator
        case dictionaryKeys, dictionaryValues, dictionaryItems
        /// A pair of `groupby`, with attributes `grouper` and `list`.
        case group
    }

    let kind: Kind
    var elements: [JinjaValue]
    /// Containers inside each other from here on, see `JinjaValue.nesting`. Whoever adds elements later raises it.
    var nesting: Int

    init(_ kind: Kind, _ elements: [JinjaValue]) {
        self.kind = kind
        self.elements = elements
        nesting = elements.nesting + 1
    }

    var isGenerator: Bool { if case .generator = kind { true } else { false } }

    var isTuple: Bool {
        switch kind {
        case .tuple, .group: true
        default: false
        }
    }

    var isList: Bool { if case .list = kind { true } else { false } }

    var typeName: String {
        switch kind {
        case .list: "list"
        case .tuple: "tuple"
        case .range: "range"
        case .generator: "generator"
        case .dictionaryKeys: "dict_keys"
        case .dictionaryValues: "dict_values"
        case .dictionaryItems: "dict_items"
        case .group: "jinja2.filters._GroupTuple"
        }
    }

    /// Whether elements can be taken by index.
    var isIndexable: Bool {
        switch kind {
        case .list, .tuple, .range, .group: true
        default: false
        }
    }
}

/// A Python dict: keys of any hashable kind, in order of insertion.
final class JinjaDictionary {
    private(set) var keys: [JinjaValue] = []
    private(set) var values: [JinjaValue] = []
    private var places: [HashKey: Int] = [:]
    /// Containers inside each other from here on, see `JinjaValue.nesting`.
    private(set) var nesting = 1

    private static let linearSearchLimit = 8

    init() {}

    convenience init(_ object: JSONObject) {
        self.init()
        for (key, value) in object.members { append(.string(key), JinjaValue(value)) }
    }

    var count: Int { keys.count }

    private func append(_ key: JinjaValue, _ value: JinjaValue) {
        nesting = max(nesting, value.nesting + 1)
        keys.append(key)
        values.append(value)
        if keys.count > Self.linearSearchLimit { index(from: places.isEmpty ? 0 : keys.count - 1) }
    }

    private func index(from start: Int) {
        for place in start..<keys.count {
            if let key = HashKey(keys[place]) { places[key] = place }
        }
    }

    private func place(of key: HashKey) -> Int? {
        if !places.isEmpty { return places[key] }
        return keys.firstIndex { HashKey($0) == key }
    }

    /// The value of a string key, without the detour over `HashKey` for small dictionaries.
    subscript(name: String) -> JinjaValue? {
        if !places.isEmpty { return places[.string(CodePoints(name))].map { values[$0] } }
        for (place, key) in keys.enumerated() {
            if case .string(let text) = key, text.sameCodePoints(as: name) { return values[place] }
        }
        return nil
    }

    subscript(key: HashKey) -> JinjaValue? { place(of: key).map { values[$0] } }

    /// Python's `dict[key] = value`: a key that exists keeps its place and its first spelling.
    func set(_ key: JinjaValue, _ hash: HashKey, to value: JinjaValue) {
        guard let place = place(of: hash) else { return append(key, value) }
        nesting = max(nesting, value.nesting + 1)
        values[place] = value
    }

    func removeValue(for key: HashKey) -> JinjaValue? {
        guard let place = place(of: key) else { return nil }
        keys.remove(at: place)
        places = [:]
        if keys.count > Self.linearSearchLimit { index(from: 0) }
        return values.remove(at: place)
    }

    func removeAll() {
        keys = []
        values = []
        places = [:]
    }

    func copy() -> JinjaDictionary {
        let copy = JinjaDictionary()
        (copy.keys, copy.values, copy.places, copy.nesting) = (keys, values, places, nesting)
        return copy
    }
}

/// A value as a dictionary key; `1`, `1.0` and `true` are the same key.
enum HashKey: Hashable {
    case none
    case int(Int)
    case bigInt(String)
    case float(Double)
    case string(CodePoints)
    case tuple([HashKey])

    /// Nil for lists, dictionaries and whatever else Python does not hash.
    init?(_ value: JinjaValue) {
        switch value {
        case .none: self = .none
        case .bool(let value): self = .int(value ? 1 : 0)
        case .int(let value): self = .int(value)
        case .bigInt(let digits): self = .bigInt(digits)
        case .float(let value): self = Int(exactly: value).map(HashKey.int) ?? .float(value)
        case .string(let text), .markup(let text): self = .string(CodePoints(text))
        case .sequence(let sequence) where sequence.isTuple:
            // Tuples in keys are written by hand and flat; nested ones are not worth a depth check.
            var keys: [HashKey] = []
            for element in sequence.elements {
                if case .sequence = element { return nil }
                guard let key = HashKey(element) else { return nil }
                keys.append(key)
            }
            self = .tuple(keys)
        default: return nil
        }
    }
}

/// Anything with behaviour: functions, macros, namespaces, the loop variable.
class JinjaObject {
    var typeName: String { "object" }
    /// The name in messages about missing attributes.
    var qualifiedTypeName: String { typeName }
    var isTrue: Bool { true }
    var isCallable: Bool { false }
    var description: String { "<\(typeName)>" }
    /// Values this object keeps, apart from those that the evaluator releases itself.
    var contents: [JinjaValue] { [] }

    func attribute(_ name: String) throws(TemplateError) -> JinjaValue? { nil }

    func call(_ arguments: Arguments, _ evaluator: Evaluator) throws(TemplateError) -> JinjaValue {
        throw TemplateError(.type, "'\(typeName)' object is not callable")
    }
}

/// `namespace()`: variables that inner scopes can assign to.
final class JinjaNamespace: JinjaObject {
    var values = JinjaDictionary()

    override var typeName: String { "TemplateNamespace" }
    override func attribute(_ name: String) throws(TemplateError) -> JinjaValue? { values[name] }
}

/// A function of the environment, or a method bound to its receiver.
final class JinjaFunction: JinjaObject {
    typealias Body = (Arguments, Evaluator) throws(TemplateError) -> JinjaValue

    let name: String
    /// What the body captures, if it is a method.
    let receiver: JinjaValue
    let body: Body

    init(_ name: String, receiver: JinjaValue, _ body: @escaping Body) {
        self.name = name
        self.receiver = receiver
        self.body = body
    }

    override var contents: [JinjaValue] { [receiver] }

    override var typeName: String { "function" }
    override var isCallable: Bool { true }
    override var description: String { "<function \(name)>" }

    override func call(_ arguments: Arguments, _ evaluator: Evaluator) throws(TemplateError) -> JinjaValue {
        try body(arguments, evaluator)
    }
}

/// The arguments of a call.
struct Arguments {
    var positional: [JinjaValue] = []
    var keyword: [(name: String, value: JinjaValue)] = []

    static var none: Arguments { Arguments() }

    /// The arguments in the order of `names`, nil for those not given.
    /// - Parameter required: how many of the first ones must be given.
    func bound(
        to names: [String], required: Int = 0, in function: String
    ) throws(TemplateError) -> [JinjaValue?] {
        guard positional.count <= names.count else {
            throw TemplateError(
                .type, "\(function)() takes at most \(names.count) arguments (\(positional.count) given)")
        }
        var bound: [JinjaValue?] = positional + Array(repeating: nil, count: names.count - positional.count)
        for (name, value) in keyword {
            guard let place = names.firstIndex(of: name) else {
                throw TemplateError(.type, "\(function)() got an unexpected keyword argument '\(name)'")
            }
            guard bound[place] == nil else {
                throw TemplateError(.type, "\(function)() got multiple values for argument '\(name)'")
            }
            bound[place] = value
        }
        for place in 0..<required where bound[place] == nil {
            throw TemplateError(.type, "\(function)() missing required argument '\(names[place])'")
        }
        return bound
    }
}

extension JinjaValue {
    init(_ value: JSONValue) {
        switch value {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .bigInt(let digits): self = .bigInt(digits)
        case .double(let value): self = .float(value)
        case .string(let text): self = .string(text)
        case .array(let elements): self = .list(elements.map { JinjaValue($0) })
        case .object(let object): self = .dictionary(JinjaDictionary(object))
        }
    }

    static func list(_ elements: [JinjaValue]) -> JinjaValue { .sequence(JinjaSequence(.list, elements)) }
    static func tuple(_ elements: [JinjaValue]) -> JinjaValue { .sequence(JinjaSequence(.tuple, elements)) }
    static func generator(_ elements: [JinjaValue]) -> JinjaValue { .sequence(JinjaSequence(.generator, elements)) }

    /// - Parameter receiver: what a method captures.
    static func function(
        _ name: String, of receiver: JinjaValue = .none, _ body: @escaping JinjaFunction.Body
    ) -> JinjaValue {
        .object(JinjaFunction(name, receiver: receiver, body))
    }

    /// How many containers are inside each other. Bounded, since releasing a chain of them takes stack for each link.
    /// Values that the evaluator keeps until the end and then empties one by one end a chain and count nothing.
    var nesting: Int {
        switch self {
        case .sequence(let sequence): sequence.nesting
        case .dictionary(let dictionary): dictionary.nesting
        case .object(let object): object.contents.nesting + 1
        default: 0
        }
    }

    /// Python's `type(value).__name__`.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .int, .bigInt: "int"
        case .float: "float"
        case .string: "str"
        case .markup: "Markup"
        case .sequence(let sequence): sequence.typeName
        case .dictionary: "dict"
        case .object(let object): object.typeName
        }
    }

    /// The type in messages about missing attributes.
    var describedType: String {
        switch self {
        case .none: "None"
        case .object(let object): object.qualifiedTypeName + " object"
        default: typeName + " object"
        }
    }

    /// Python's `bool(value)`.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .bigInt: true
        case .float(let value): value != 0
        case .string(let text), .markup(let text): !text.isEmpty
        case .sequence(let sequence): sequence.isGenerator || !sequence.elements.isEmpty
        case .dictionary(let dictionary): dictionary.count > 0
        case .object(let object): object.isTrue
        }
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }
    var isNone: Bool { if case .none = self { true } else { false } }

    /// The text of a string or marked-up string.
    var text: String? {
        switch self {
        case .string(let text), .markup(let text): text
        default: nil
        }
    }

    var isMarkup: Bool { if case .markup = self { true } else { false } }

    /// Integers and, as in Python, booleans.
    var integer: Int? {
        switch self {
        case .int(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    /// Any number, booleans included.
    var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .bool(let value): value ? 1 : 0
        case .bigInt(let digits): Double(digits)
        case .float(let value): value
        default: nil
        }
    }
}

extension [JinjaValue] {
    var nesting: Int {
        var deepest = 0
        for value in self { deepest = Swift.max(deepest, value.nesting) }
        return deepest
    }
}
