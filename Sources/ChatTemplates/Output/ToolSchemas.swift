/// The tools of a request, as far as reading calls needs them: their names and what their parameters may be.
struct ToolSchemas: Sendable {
    private var tools: [CodePoints: ToolParameters] = [:]

    /// - Parameter tools: in OpenAI's form, `{"type": "function", "function": {…}}`, or just the functions.
    init(_ tools: [JSONValue]) {
        for tool in tools {
            let function = tool["function"] ?? tool
            guard let name = function["name"]?.stringValue else { continue }
            self.tools[CodePoints(name)] = ToolParameters(
                function["parameters"] ?? function["input_schema"] ?? .null)
        }
    }

    var isEmpty: Bool { tools.isEmpty }

    func contains(_ name: String) -> Bool { tools[CodePoints(name)] != nil }

    /// What an argument may be.
    func form(of key: String, of tool: String) -> ValueForm {
        let parameters = tools[CodePoints(tool)]
        return parameters?.named.first { $0.key.sameCodePoints(as: key) }?.form ?? parameters?.others ?? .anything
    }

    /// The declared parameters of a tool.
    func keys(of tool: String) -> [String] { tools[CodePoints(tool)]?.named.map(\.key) ?? [] }
}

/// The parameters of one tool, found behind references and alternatives.
struct ToolParameters: Sendable {
    struct Parameter: Sendable {
        var key: String
        var isRequired = false
        var form: ValueForm
    }

    /// In the order of the schema.
    private(set) var named: [Parameter] = []
    /// What parameters of other names may be; nil if there are none. As in objects elsewhere, a schema that names its
    /// properties and says nothing about others has no others.
    private(set) var others: ValueForm?

    private static let mostParts = 100
    private static let mostParameters = 2000

    /// - Parameter schema: of the object of arguments.
    init(_ schema: JSONValue) {
        guard schema.objectValue != nil else {
            others = .anything
            return
        }
        var collector = Collector(root: schema)
        collector.collect(schema, "#", isCertain: true)
        var types = TypeFinder(root: schema)
        let required = Set(collector.required.map(CodePoints.init))
        for (key, references) in zip(collector.keys, collector.references) {
            named.append(
                Parameter(
                    key: key, isRequired: required.contains(CodePoints(key)),
                    form: Self.form(references, schema, &types)))
        }
        if !collector.additional.isEmpty {
            others = collector.refusesOthers ? nil : Self.form(collector.additional, schema, &types)
        } else if named.isEmpty, !collector.refusesOthers {
            others = .anything
        }
    }

    private static func form(_ references: [String], _ root: JSONValue, _ finder: inout TypeFinder) -> ValueForm {
        let types = finder.types(of: references)
        // A schema that leads nowhere else stands for itself.
        if references.count == 1, let schema = try? SchemaReference.resolve(references[0], in: root).value,
            !refersElsewhere(schema)
        {
            return ValueForm(root: schema, references: ["#"], types: types)
        }
        return ValueForm(root: root, references: references, types: types)
    }

    /// A schema too large to look through is taken to.
    private static func refersElsewhere(_ schema: JSONValue) -> Bool {
        var open = [schema]
        var left = 10_000
        while let value = open.popLast() {
            left -= 1
            guard left > 0 else { return true }
            switch value {
            case .object(let object):
                if object["$ref"] != nil { return true }
                open += object.values
            case .array(let elements): open += elements
            default: break
            }
        }
        return false
    }

    /// Walks through the parts of a schema that speak of the same object.
    private struct Collector {
        let root: JSONValue
        var keys: [String] = []
        /// For each key, where its schemas are.
        var references: [[String]] = []
        var required: [String] = []
        var additional: [String] = []
        var refusesOthers = false
        private var placeOf: [CodePoints: Int] = [:]
        private var visited: Set<CodePoints> = []

        init(root: JSONValue) { self.root = root }

        /// - Parameter isCertain: whether the part holds for every call, and not just for one of several alternatives.
        mutating func collect(_ schema: JSONValue, _ reference: String, isCertain: Bool) {
            guard let keywords = schema.objectValue, visited.count < ToolParameters.mostParts,
                visited.insert(CodePoints(reference)).inserted
            else { return }
            for (key, value) in (keywords["properties"]?.objectValue ?? JSONObject()).members {
                guard keys.count < ToolParameters.mostParameters else { break }
                // A property that is `false` is none.
                if value == false { continue }
                let place = placeOf[CodePoints(key)] ?? keys.count
                if place == keys.count {
                    placeOf[CodePoints(key)] = place
                    keys.append(key)
                    references.append([])
                }
                references[place].append("\(reference)/properties/\(SchemaReference.encoded(key))")
            }
            if isCertain { required += keywords["required"]?.arrayValue?.compactMap(\.stringValue) ?? [] }
            if let others = keywords["additionalProperties"] {
                if others == false {
                    refusesOthers = true
                } else {
                    additional.append("\(reference)/additionalProperties")
                }
            }
            if let target = keywords["$ref"]?.stringValue, let found = try? SchemaReference.resolve(target, in: root) {
                collect(found.value, target, isCertain: isCertain)
            }
            for keyword in ["allOf", "anyOf", "oneOf"] {
                for (place, branch) in (keywords[keyword]?.arrayValue ?? []).enumerated() {
                    collect(
                        branch, "\(reference)/\(keyword)/\(place)", isCertain: isCertain && keyword == "allOf")
                }
            }
        }
    }
}
