/// The types of JSON values.
package struct ValueTypes: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    static let null = ValueTypes(rawValue: 1)
    static let boolean = ValueTypes(rawValue: 2)
    static let integer = ValueTypes(rawValue: 4)
    /// Numbers that are not written as integers.
    static let fraction = ValueTypes(rawValue: 8)
    static let string = ValueTypes(rawValue: 16)
    static let array = ValueTypes(rawValue: 32)
    static let object = ValueTypes(rawValue: 64)
    static let all = ValueTypes(rawValue: 127)

    init(of value: JSONValue) {
        self =
            switch value {
            case .null: .null
            case .bool: .boolean
            case .int, .bigInt: .integer
            case .double: .fraction
            case .string: .string
            case .array: .array
            case .object: .object
            }
    }

    /// Nil for a word that is no type.
    init?(name: String) {
        switch name {
        case "null": self = .null
        case "boolean": self = .boolean
        case "integer": self = .integer
        case "number": self = [.integer, .fraction]
        case "string": self = .string
        case "array": self = .array
        case "object": self = .object
        default: return nil
        }
    }
}

/// What a value may be that a model writes as bare text between tags. Both the reader of calls and the grammar that
/// holds a call to its form ask here, so that what one writes is what the other reads.
package struct ValueForm: Sendable, Equatable {
    /// The document that the schemas stand in.
    package var root: JSONValue
    /// References to the schemas that all hold for the value.
    package var references: [String]
    /// What the schemas allow.
    package var types: ValueTypes

    /// How such a value is written.
    package enum Spelling: Sendable {
        /// As it is, whatever it looks like.
        case text
        case json
        /// As a text, or as JSON of another type.
        case either
    }

    package var spelling: Spelling { types == .string ? .text : types.contains(.string) ? .either : .json }

    static let anything = ValueForm(root: true, references: ["#"], types: .all)

    /// The value of a bare text. A string stays a string whatever it looks like, other types are read as JSON, and what
    /// is not JSON stays a string too, so that nothing is lost.
    func value(of text: String) -> JSONValue {
        guard spelling != .text, let value = Self.json(text) else { return .string(text) }
        // Quotation marks are part of a text, unless nothing says that it is one.
        if case .string = value, spelling == .either, types != .all { return .string(text) }
        return spelling == .json || types.contains(ValueTypes(of: value)) ? value : .string(text)
    }

    /// JSON, or one of Python's words for the same.
    private static func json(_ text: String) -> JSONValue? {
        switch text {
        case "True": true
        case "False": false
        case "None": .null
        default: try? JSONValue(parsing: text)
        }
    }
}

/// Finds what types a schema allows, behind references and alternatives. Bounded, whatever the schema says.
struct TypeFinder {
    let root: JSONValue
    private var work = 0
    /// References that are being followed.
    private var open: Set<CodePoints> = []

    private static let mostWork = 1000

    init(root: JSONValue) { self.root = root }

    /// All types where the schema says nothing, or nothing that can be found out.
    mutating func types(of references: [String]) -> ValueTypes {
        work = 0
        let types = references.reduce(ValueTypes.all) { $0.intersection(self.types(behind: $1)) }
        return types.isEmpty ? .all : types
    }

    private mutating func types(behind reference: String) -> ValueTypes {
        guard let target = try? SchemaReference.resolve(reference, in: root),
            open.insert(CodePoints(target.pointer)).inserted
        else { return .all }
        defer { open.remove(CodePoints(target.pointer)) }
        return types(of: target.value)
    }

    private mutating func types(of schema: JSONValue) -> ValueTypes {
        work += 1
        guard work <= Self.mostWork, open.count < 50 else { return .all }
        guard let keywords = schema.objectValue else { return schema == false ? [] : .all }
        var types = ValueTypes.all
        let names = keywords["type"]?.arrayValue ?? keywords["type"].map { [$0] } ?? []
        let named = names.compactMap { $0.stringValue.flatMap(ValueTypes.init(name:)) }
        if !named.isEmpty {
            types = named.reduce([]) { $0.union($1) }
        } else if keywords["enum"] == nil, keywords["const"] == nil {
            let implied = Set(keywords.keys.compactMap { SchemaKeywords.typeOfKeyword[$0] })
            if implied.count == 1, let type = implied.first.flatMap(ValueTypes.init(name:)) { types = type }
        }
        if let reference = keywords["$ref"]?.stringValue { types.formIntersection(self.types(behind: reference)) }
        for branch in keywords["allOf"]?.arrayValue ?? [] { types.formIntersection(self.types(of: branch)) }
        for keyword in ["anyOf", "oneOf"] {
            guard let branches = keywords[keyword]?.arrayValue, !branches.isEmpty else { continue }
            var alternatives: ValueTypes = []
            for branch in branches { alternatives.formUnion(self.types(of: branch)) }
            types.formIntersection(alternatives)
        }
        if let values = keywords["enum"]?.arrayValue {
            types.formIntersection(values.reduce([]) { $0.union(ValueTypes(of: $1)) })
        }
        if let value = keywords["const"] { types.formIntersection(ValueTypes(of: value)) }
        if let excluded = keywords["not"]?["type"], keywords["not"]?.objectValue?.count == 1 {
            for name in excluded.arrayValue ?? [excluded] {
                if let type = name.stringValue.flatMap(ValueTypes.init(name:)) { types.subtract(type) }
            }
        }
        return types
    }
}
