/// How schemas point to other places of their document: JSON pointers (RFC 6901) in the fragment of a URI.
package enum SchemaReference {
    package enum Failure: Error {
        /// Another document, or a name that is no pointer.
        case unsupported
        case pointsToNothing
    }

    /// What a `$ref` names.
    /// - Returns: the value, and the pointer to it in one spelling.
    package static func resolve(
        _ reference: String, in root: JSONValue
    ) throws(Failure) -> (value: JSONValue, pointer: String) {
        guard let keys = keys(of: reference) else { throw .unsupported }
        var value = root
        var pointer = ""
        for key in keys {
            if let member = value[key] {
                value = member
            } else if let index = Int(key), let element = value[index] {
                value = element
            } else {
                throw .pointsToNothing
            }
            pointer += "/" + escaped(key)
        }
        return (value, pointer)
    }

    /// A key as a part of a pointer.
    package static func escaped(_ key: String) -> String {
        var result = ""
        for scalar in key.unicodeScalars {
            switch scalar {
            case "~": result += "~0"
            case "/": result += "~1"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The same as a part of the fragment.
    static func encoded(_ key: String) -> String {
        var result = ""
        for scalar in escaped(key).unicodeScalars {
            if scalar == "%" { result += "%25" } else { result.unicodeScalars.append(scalar) }
        }
        return result
    }

    private static func keys(of reference: String) -> [String]? {
        let bytes = Array(reference.utf8)
        guard bytes.first == UInt8(ascii: "#"), let pointer = decoded(bytes[1...]) else { return nil }
        if pointer.isEmpty { return [] }
        guard pointer.first == UInt8(ascii: "/") else { return nil }
        return pointer.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(unescaped)
    }

    private static func unescaped(_ part: ArraySlice<UInt8>) -> String {
        var result: [UInt8] = []
        var rest = part
        while let byte = rest.popFirst() {
            let next = rest.first
            if byte == UInt8(ascii: "~"), next == UInt8(ascii: "0") || next == UInt8(ascii: "1") {
                result.append(next == UInt8(ascii: "0") ? UInt8(ascii: "~") : UInt8(ascii: "/"))
                rest = rest.dropFirst()
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Without percent-encoding; nil where it is malformed.
    private static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self) == nil ? nil : bytes
    }
}

/// What keywords say about types, for everyone who reads schemas.
package enum SchemaKeywords {
    /// A schema with keywords of one type and no `type` is meant for that type.
    package static let typeOfKeyword: [String: String] = [
        "properties": "object", "required": "object", "additionalProperties": "object", "patternProperties": "object",
        "propertyNames": "object", "minProperties": "object", "maxProperties": "object", "items": "array",
        "prefixItems": "array", "additionalItems": "array", "minItems": "array", "maxItems": "array",
        "uniqueItems": "array", "minLength": "string", "maxLength": "string", "pattern": "string", "format": "string",
        "minimum": "number", "maximum": "number", "exclusiveMinimum": "number", "exclusiveMaximum": "number",
        "multipleOf": "number",
    ]
}
