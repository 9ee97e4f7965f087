import ChatTemplates
import TestSupport

/// Draws schemas of the supported subset, and values that satisfy them, in the spelling that a generator keeps to:
/// declared properties first and in order, no exponents.
struct RandomSchema {
    var random: SeededRandom
    /// Schemas inside each other that are left to draw.
    private var depth = 3

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }
    private mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    // MARK: Schemas

    mutating func schema() -> JSONValue {
        guard chance(30) else { return inner() }
        // One that may refer to a part of itself.
        var object = inner().objectValue ?? JSONObject()
        let leaf = inner()
        object["$defs"] = ["leaf": leaf]
        guard object["type"] == "object", object["properties"] != nil else { return .object(object) }
        var properties = object["properties"]?.objectValue ?? JSONObject()
        properties["r"] = ["$ref": "#/$defs/leaf"]
        object["properties"] = .object(properties)
        return .object(object)
    }

    private mutating func inner() -> JSONValue {
        depth -= 1
        defer { depth += 1 }
        switch below(depth > 0 ? 11 : 6) {
        case 0: return ["type": .string(["null", "boolean"][below(2)])]
        case 1, 2: return number()
        case 3: return string()
        case 4: return ["enum": .array((0...below(4)).map { _ in literal() })]
        case 5: return ["const": literal()]
        case 6, 7: return object()
        case 8: return array()
        case 9: return ["anyOf": .array((0...below(3)).map { _ in inner() })]
        default:
            let first = number()
            return chance(50) ? ["allOf": [first, number()]] : ["type": ["integer", "string", "null"]]
        }
    }

    private mutating func number() -> JSONValue {
        let isInteger = chance(60)
        var keywords = JSONObject([("type", isInteger ? "integer" : "number")])
        let low = below(400) - 200
        // In quarters, which binary floating point has exactly.
        func bound(_ value: Int) -> JSONValue {
            isInteger || value % 4 == 0 ? .int(value / 4) : .double(Double(value) / 4)
        }
        if chance(50) { keywords[chance(70) ? "minimum" : "exclusiveMinimum"] = bound(low) }
        if chance(50) { keywords[chance(70) ? "maximum" : "exclusiveMaximum"] = bound(low + 4 + below(300)) }
        if isInteger, chance(30) { keywords["multipleOf"] = .int(1 + below(12)) }
        return .object(keywords)
    }

    private mutating func string() -> JSONValue {
        var keywords = JSONObject([("type", "string")])
        count("Length", below: 4, spread: 5, &keywords)
        return .object(keywords)
    }

    /// Perhaps `minLength` and `maxLength`, or `minItems` and `maxItems`.
    private mutating func count(_ things: String, below most: Int, spread: Int, _ keywords: inout JSONObject) {
        let low = below(most)
        if chance(40) { keywords["min" + things] = .int(low) }
        if chance(40) { keywords["max" + things] = .int(low + below(spread)) }
    }

    private mutating func array() -> JSONValue {
        var keywords = JSONObject([("type", "array")])
        if chance(40) { keywords["prefixItems"] = .array((0...below(2)).map { _ in inner() }) }
        if chance(80) { keywords["items"] = chance(10) ? false : inner() }
        count("Items", below: 3, spread: 4, &keywords)
        return .object(keywords)
    }

    private mutating func object() -> JSONValue {
        var keywords = JSONObject([("type", "object")])
        let names = ["a", "b", "c d", "é", "a\"b", "ab"].shuffled(using: &random).prefix(below(5))
        if chance(80) { keywords["properties"] = .object(JSONObject(names.map { ($0, inner()) })) }
        if chance(60) { keywords["required"] = .array(names.filter { _ in chance(60) }.map { .string($0) }) }
        if chance(60) { keywords["additionalProperties"] = chance(50) ? false : inner() }
        // No more than one: members without declared names may repeat.
        if chance(20) { keywords["minProperties"] = .int(below(2)) }
        if chance(20) { keywords["maxProperties"] = .int(2 + below(3)) }
        return .object(keywords)
    }

    private mutating func literal() -> JSONValue {
        switch below(8) {
        case 0: nil
        case 1: .bool(chance(50))
        case 2, 3: .int(below(40) - 20)
        case 4: .double(Double(below(40)) / 4 + 0.125)
        case 5: [.int(below(3)), .string(text())]
        case 6: ["k": .int(below(3))]
        default: .string(text())
        }
    }

    mutating func text() -> String {
        let characters: [Character] = ["a", "b", "é", "🦙", "\"", "\\", "\n", " ", "/", "1"]
        return String((0..<below(5)).map { _ in characters[below(characters.count)] })
    }

    // MARK: Values

    /// A value that may satisfy the schema: often it does.
    mutating func value(for schema: JSONValue, root: JSONValue, depth: Int = 6) -> JSONValue {
        guard depth > 0, let keywords = schema.objectValue else { return nil }
        if let values = keywords["enum"]?.arrayValue { return values[below(values.count)] }
        if let value = keywords["const"] { return value }
        if keywords["$ref"] != nil { return value(for: root["$defs"]?["leaf"] ?? true, root: root, depth: depth - 1) }
        for list in ["anyOf", "allOf"] {
            if let branches = keywords[list]?.arrayValue {
                return value(for: branches[below(branches.count)], root: root, depth: depth - 1)
            }
        }
        switch keywords["type"] {
        case "null": return nil
        case "boolean": return .bool(chance(50))
        case "integer": return .int(below(120) - 50)
        case "number":
            let quarters = below(480) - 200
            // A whole number is written without a fraction.
            return quarters % 4 == 0 ? .int(quarters / 4) : .double(Double(quarters) / 4)
        case "string": return .string(text())
        case "array":
            let prefix = keywords["prefixItems"]?.arrayValue ?? []
            let count = (keywords["minItems"]?.intValue ?? 0) + below(3)
            return .array(
                (0..<count).map { place in
                    value(
                        for: place < prefix.count ? prefix[place] : keywords["items"] ?? ["type": "null"], root: root,
                        depth: depth - 1)
                })
        case "object":
            var object = JSONObject()
            let required = keywords["required"]?.arrayValue ?? []
            for (key, member) in keywords["properties"]?.objectValue?.members ?? JSONObject().members
            where required.contains(.string(key)) || chance(60) {
                object[key] = value(for: member, root: root, depth: depth - 1)
            }
            // What is required without being declared is written next, then what else there may be.
            for key in required.compactMap(\.stringValue) where object[key] == nil {
                object[key] = value(for: keywords["additionalProperties"] ?? true, root: root, depth: depth - 1)
            }
            let takesOthers = keywords["properties"] == nil || keywords["additionalProperties"] != nil
            if takesOthers, chance(40) {
                object["zz"] = value(for: keywords["additionalProperties"] ?? true, root: root, depth: depth - 1)
            }
            return .object(object)
        default: return .int(below(9))
        }
    }

    /// A value that is a little different.
    mutating func mutation(of value: JSONValue) -> JSONValue {
        if chance(25) { return literal() }
        switch value {
        case .int(let number): return .int(number + [-100, -1, 1, 7, 100][below(5)])
        case .double(let number): return .double(number + [-0.25, 0.5, 50][below(3)])
        case .string(let text): return .string(text + self.text())
        case .array(var elements):
            if elements.isEmpty || chance(30) { return .array(elements + [literal()]) }
            let place = below(elements.count)
            if chance(30) { elements.remove(at: place) } else { elements[place] = mutation(of: elements[place]) }
            return .array(elements)
        case .object(let object):
            var members = object.members.map { ($0, $1) }
            if members.isEmpty || chance(20) { return .object(JSONObject(members + [("new", literal())])) }
            let place = below(members.count)
            if chance(30) { members.remove(at: place) } else { members[place].1 = mutation(of: members[place].1) }
            return .object(JSONObject(members))
        default: return literal()
        }
    }
}
