/// The tools of a request, as far as reading calls needs them: their names and the types of their parameters.
struct ToolSchemas: Sendable {
    private var parameters: [CodePoints: JSONValue] = [:]

    /// - Parameter tools: in OpenAI's form, `{"type": "function", "function": {…}}`, or just the functions.
    init(_ tools: [JSONValue]) {
        for tool in tools {
            let function = tool["function"] ?? tool
            guard let name = function["name"]?.stringValue else { continue }
            parameters[CodePoints(name)] = function["parameters"] ?? function["input_schema"] ?? .null
        }
    }

    var isEmpty: Bool { parameters.isEmpty }

    func contains(_ name: String) -> Bool { parameters[CodePoints(name)] != nil }

    /// The value of an argument that was written as bare text. A `string` parameter stays a string whatever it looks
    /// like; other types are read as JSON; what is not JSON stays a string too, so that nothing is lost.
    func value(of text: String, for key: String, of tool: String) -> JSONValue {
        if isText(key, of: tool) { return .string(text) }
        let types = parameters[CodePoints(tool)]?["properties"]?[key].map { Self.types(of: $0, depth: 4) } ?? []
        guard let value = Self.json(text) else { return .string(text) }
        guard types.contains("string") else { return value }
        return types.contains(Self.type(of: value)) ? value : .string(text)
    }

    /// Whether an argument is a text, whatever it looks like.
    func isText(_ key: String, of tool: String) -> Bool {
        let types = parameters[CodePoints(tool)]?["properties"]?[key].map { Self.types(of: $0, depth: 4) } ?? []
        return types == ["string"]
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

    private static func type(of value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool: "boolean"
        case .int, .bigInt: "integer"
        case .double: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    /// The JSON types a schema allows; empty if it does not say.
    private static func types(of schema: JSONValue, depth: Int) -> Set<String> {
        guard depth > 0 else { return [] }
        var types: Set<String> = []
        switch schema["type"] {
        case .string(let name): types = [name]
        case .array(let names): types = Set(names.compactMap(\.stringValue))
        default:
            for keyword in ["anyOf", "oneOf", "allOf"] {
                for branch in schema[keyword]?.arrayValue ?? [] {
                    let branchTypes = Self.types(of: branch, depth: depth - 1)
                    // A branch that allows anything makes the whole say nothing.
                    guard !branchTypes.isEmpty else { return [] }
                    types.formUnion(branchTypes)
                }
            }
            if types.isEmpty { types = Set((schema["enum"]?.arrayValue ?? []).map(Self.type)) }
            if types.isEmpty, let constant = schema["const"] { types = [Self.type(of: constant)] }
        }
        if types.contains("number") { types.insert("integer") }
        return types
    }
}
