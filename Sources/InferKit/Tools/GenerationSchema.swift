package import ChatTemplates

/// The form of a value that a model writes: a JSON Schema.
///
/// Made of parts, or from the text of a schema:
/// ```swift
/// let city = GenerationSchema.object(["name": .string(description: "in English"), "population": .integer()])
/// let other = try GenerationSchema(json: #"{"type": "array", "items": {"enum": ["red", "green"]}}"#)
/// ```
/// Which keywords are supported is decided when it is used: another one is an error that names it.
public struct GenerationSchema: Sendable, Equatable {
    package let json: JSONValue

    package init(_ json: JSONValue) { self.json = json }

    /// A schema as JSON text.
    /// - Throws: ``GeneratedContent/InvalidJSON``.
    public init(json text: String) throws { json = try GeneratedContent(json: text).json }

    /// The schema as JSON text.
    public var jsonString: String { json.text() }

    /// A text; one of `anyOf`, if any are given.
    public static func string(description: String? = nil, anyOf choices: [String] = []) -> GenerationSchema {
        simple("string", description, choices.isEmpty ? [] : [("enum", .array(choices.map { .string($0) }))])
    }

    /// A number without fraction.
    public static func integer(description: String? = nil, in range: ClosedRange<Int>? = nil) -> GenerationSchema {
        let bounds = range.map { [("minimum", JSONValue.int($0.lowerBound)), ("maximum", .int($0.upperBound))] }
        return simple("integer", description, bounds ?? [])
    }

    /// Any number.
    public static func number(description: String? = nil) -> GenerationSchema { simple("number", description) }

    /// True or false.
    public static func boolean(description: String? = nil) -> GenerationSchema { simple("boolean", description) }

    /// A list of values of one form.
    public static func array(of element: GenerationSchema, description: String? = nil) -> GenerationSchema {
        simple("array", description, [("items", element.json)])
    }

    /// Members with their forms, in this order, and no others.
    /// - Parameter optional: the names of members that may be missing.
    public static func object(
        _ properties: KeyValuePairs<String, GenerationSchema>, optional: Set<String> = [], description: String? = nil
    ) -> GenerationSchema {
        let required = properties.map(\.key).filter { !optional.contains($0) }
        return simple(
            "object", description,
            [
                ("properties", .object(JSONObject(properties.map { ($0.key, $0.value.json) }))),
                ("required", .array(required.map { .string($0) })), ("additionalProperties", false),
            ])
    }

    private static func simple(
        _ type: String, _ description: String?, _ more: [(String, JSONValue)] = []
    ) -> GenerationSchema {
        let words = description.map { [("description", JSONValue.string($0))] } ?? []
        return GenerationSchema(.object(JSONObject([("type", .string(type))] + words + more)))
    }
}
