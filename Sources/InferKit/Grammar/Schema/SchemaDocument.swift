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
        guard reference.hasPrefix("#"), reference == "#" || reference.hasPrefix("#/"),
            let pointer = reference.dropFirst().removingPercentEncoding
        else { throw .unsupportedKeyword("$ref to '\(reference)' (only '#' and '#/…')", path: path) }
        var value = root
        var canonical = ""
        for part in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let key = Self.unescaped(part)
            if let member = value[key] {
                value = member
            } else if let index = Int(key), let element = value[index] {
                value = element
            } else {
                throw .invalidSchema(message: "$ref '\(reference)' points to nothing", path: path)
            }
            canonical += "/" + Self.escaped(key)
        }
        return try number(of: value, at: canonical)
    }

    static func escaped(_ key: String) -> String {
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

    private static func unescaped(_ part: Substring) -> String {
        var result = ""
        var isEscape = false
        for scalar in part.unicodeScalars {
            if isEscape {
                result += scalar == "0" ? "~" : scalar == "1" ? "/" : "~" + String(scalar)
                isEscape = false
            } else if scalar == "~" {
                isEscape = true
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return isEscape ? result + "~" : result
    }
}

extension Substring {
    /// Percent-encoding of a URI fragment taken away; nil where it is malformed.
    fileprivate var removingPercentEncoding: String? {
        var bytes: [UInt8] = []
        var rest = Array(utf8)[...]
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
        return String(validating: bytes, as: UTF8.self)
    }
}
