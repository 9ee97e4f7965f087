import ChatTemplates

/// The subschemas of a JSON Schema by number, found through their JSON pointers (RFC 6901).
struct SchemaDocument {
    private(set) var schemas: [(value: JSONValue, path: String)]
    private var numberOfPath: [CodePoints: Int] = [CodePoints(""): 0]

    init(_ root: JSONValue) { schemas = [(root, "")] }

    var root: JSONValue { schemas[0].value }

    /// - Parameter path: where it stands, or a name of its own for one that stands nowhere.
    mutating func number(of value: JSONValue, at path: String) throws(GrammarError) -> Int {
        if let known = numberOfPath[CodePoints(path)] { return known }
        guard schemas.count < GrammarLimits.rules else {
            throw .tooComplex("more than \(GrammarLimits.rules) subschemas")
        }
        schemas.append((value, path))
        numberOfPath[CodePoints(path)] = schemas.count - 1
        return schemas.count - 1
    }

    /// The schema that a `$ref` names.
    mutating func number(ofReference reference: String, at path: String) throws(GrammarError) -> Int {
        let target: (value: JSONValue, pointer: String)
        do throws(SchemaReference.Failure) {
            target = try SchemaReference.resolve(reference, in: root)
        } catch {
            switch error {
            case .unsupported:
                throw .unsupportedKeyword("$ref to '\(reference)' (only '#' and '#/…')", path: path)
            case .pointsToNothing:
                throw .invalidSchema(message: "$ref '\(reference)' points to nothing", path: path)
            }
        }
        return try number(of: target.value, at: target.pointer)
    }

    static func escaped(_ key: String) -> String { SchemaReference.escaped(key) }
}
