import ChatTemplates

/// JSON Schema as the standard says it, for the keywords that `RandomSchema` writes: an opinion apart from the grammars'.
struct SchemaValidator {
    let root: JSONValue

    func isValid(_ value: JSONValue) -> Bool { isValid(value, root) }

    private func isValid(_ value: JSONValue, _ schema: JSONValue) -> Bool {
        if let all = schema.boolValue { return all }
        guard let keywords = schema.objectValue else { return false }
        return keywords.members.allSatisfy { holds($0, $1, value, schema) }
    }

    private func holds(_ keyword: String, _ argument: JSONValue, _ value: JSONValue, _ schema: JSONValue) -> Bool {
        let list = argument.arrayValue ?? []
        switch keyword {
        case "type": return (argument.arrayValue ?? [argument]).contains { hasType(value, $0.stringValue ?? "") }
        case "enum": return list.contains { equal($0, value) }
        case "const": return equal(argument, value)
        case "anyOf": return list.contains { isValid(value, $0) }
        case "allOf": return list.allSatisfy { isValid(value, $0) }
        case "oneOf": return list.count { isValid(value, $0) } == 1
        case "not": return !isValid(value, argument)
        case "$ref":
            let name = argument.stringValue?.split(separator: "/").last.map(String.init) ?? ""
            return isValid(value, argument == "#" ? root : root["$defs"]?[name] ?? false)
        default: break
        }
        if let number = Self.number(value), let bound = Self.number(argument) {
            switch keyword {
            case "minimum": return number >= bound
            case "maximum": return number <= bound
            case "exclusiveMinimum": return number > bound
            case "exclusiveMaximum": return number < bound
            case "multipleOf":
                // Exactly where both are whole: beyond 2^53 a Double is not.
                if let whole = value.intValue, let factor = argument.intValue { return whole % factor == 0 }
                return (number / bound).rounded() == number / bound
            default: break
            }
        }
        if let text = value.stringValue, let bound = argument.intValue {
            if keyword == "minLength" { return text.unicodeScalars.count >= bound }
            if keyword == "maxLength" { return text.unicodeScalars.count <= bound }
        }
        if let items = value.arrayValue {
            let prefix = schema["prefixItems"]?.arrayValue ?? []
            switch keyword {
            case "minItems": return items.count >= argument.intValue ?? 0
            case "maxItems": return items.count <= argument.intValue ?? 0
            case "prefixItems": return zip(items, list).allSatisfy { isValid($0, $1) }
            case "items": return items.dropFirst(prefix.count).allSatisfy { isValid($0, argument) }
            default: break
            }
        }
        if let object = value.objectValue {
            switch keyword {
            case "required": return list.allSatisfy { object[$0.stringValue ?? ""] != nil }
            case "minProperties": return object.count >= argument.intValue ?? 0
            case "maxProperties": return object.count <= argument.intValue ?? 0
            case "properties":
                return object.members.allSatisfy { key, member in argument[key].map { isValid(member, $0) } ?? true }
            case "additionalProperties":
                let declared = schema["properties"]?.objectValue ?? JSONObject()
                return object.members.allSatisfy { declared[$0] != nil || isValid($1, argument) }
            default: break
            }
        }
        return true
    }

    private func hasType(_ value: JSONValue, _ name: String) -> Bool {
        switch value {
        case .null: name == "null"
        case .bool: name == "boolean"
        case .int, .bigInt: name == "integer" || name == "number"
        case .double(let number): name == "number" || name == "integer" && number.rounded() == number
        case .string: name == "string"
        case .array: name == "array"
        case .object: name == "object"
        }
    }

    private func equal(_ left: JSONValue, _ right: JSONValue) -> Bool {
        if let a = Self.number(left), let b = Self.number(right) { return a == b }
        switch (left, right) {
        case (.array(let a), .array(let b)): return a.count == b.count && zip(a, b).allSatisfy { equal($0, $1) }
        case (.object(let a), .object(let b)):
            return a.count == b.count && a.members.allSatisfy { key, value in b[key].map { equal(value, $0) } ?? false }
        default: return left == right
        }
    }

    private static func number(_ value: JSONValue) -> Double? {
        switch value {
        case .int(let value): Double(value)
        case .bigInt(let digits): Double(digits)
        case .double(let value): value
        default: nil
        }
    }
}
