import ChatTemplates

/// The members of a request's JSON object. `null` is the same as absent, unknown members are ignored, and a wrong type
/// is an error that names the member, what was found and what was expected.
struct Fields {
    let object: JSONObject
    /// Put before member names in errors.
    let path: String

    init(_ object: JSONObject, path: String = "") {
        self.object = object
        self.path = path
    }

    init(_ value: JSONValue, path: String) throws(APIError) {
        guard let object = value.objectValue else {
            throw .invalid("\(path) is \(value.kind), expected an object", param: path)
        }
        self.init(object, path: path + ".")
    }

    /// Reads a whole body.
    init(body: [UInt8]) throws(APIError) {
        // Some editors put a byte-order mark in front.
        let body = body.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(body.dropFirst(3)) : body
        guard !body.isEmpty else { throw .invalid("the request body is empty, expected a JSON object") }
        do {
            let value = try JSONValue(parsing: body)
            guard let object = value.objectValue else {
                throw APIError.invalid("the request body is \(value.kind), expected a JSON object")
            }
            self.init(object)
        } catch let error as APIError {
            throw error
        } catch {
            let first = body.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } ?? 0
            // Other text than JSON is told as such, not as a misspelt `null` or `true`.
            guard "{[\"".utf8.contains(first) else {
                let found = 0x21...0x7E ~= first ? "'\(Character(Unicode.Scalar(first)))'" : "the byte \(first)"
                throw .invalid("the request body is not JSON: it begins with \(found), expected a JSON object")
            }
            throw .invalid("the request body is not JSON: \(error)")
        }
    }

    /// nil for an absent member and for null.
    subscript(name: String) -> JSONValue? {
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    func wrong(_ name: String, _ value: JSONValue, _ expected: String) -> APIError {
        .invalid("\(path)\(name) is \(value.kind), expected \(expected)", param: path + name)
    }

    func string(_ name: String) throws(APIError) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.stringValue else { throw wrong(name, value, "a string") }
        return text
    }

    func bool(_ name: String) throws(APIError) -> Bool? {
        guard let value = self[name] else { return nil }
        guard let flag = value.boolValue else { throw wrong(name, value, "true or false") }
        return flag
    }

    func int(_ name: String, in range: ClosedRange<Int>? = nil) throws(APIError) -> Int? {
        guard let value = self[name] else { return nil }
        guard let number = value.intValue ?? value.doubleValue.flatMap({ Int(exactly: $0) }) else {
            throw wrong(name, value, "a whole number")
        }
        if let range, !range.contains(number) {
            throw .invalid(
                "\(path)\(name) is \(number), expected \(range.lowerBound) to \(range.upperBound)", param: path + name)
        }
        return number
    }

    /// A number of 64 bits; -1 means "any" to many clients and is nil. Smaller ones are read as bit patterns.
    func seed(_ name: String) throws(APIError) -> UInt64? {
        guard let value = self[name] else { return nil }
        switch value {
        case .int(-1): return nil
        case .int(let number): return UInt64(bitPattern: Int64(number))
        case .bigInt(let digits): if let seed = UInt64(digits) { return seed }
        case .double(let number):
            if number == -1 { return nil }
            if let seed = UInt64(exactly: number) ?? Int64(exactly: number).map({ UInt64(bitPattern: $0) }) {
                return seed
            }
        default: throw wrong(name, value, "a whole number")
        }
        throw .invalid(
            "\(path)\(name) is \(value.text()), expected a whole number up to \(UInt64.max)", param: path + name)
    }

    func number(_ name: String) throws(APIError) -> Double? {
        guard let value = self[name] else { return nil }
        guard let number = value.doubleValue else { throw wrong(name, value, "a number") }
        return number
    }

    func array(_ name: String) throws(APIError) -> [JSONValue]? {
        guard let value = self[name] else { return nil }
        guard let elements = value.arrayValue else { throw wrong(name, value, "an array") }
        return elements
    }

    func objectValue(_ name: String) throws(APIError) -> JSONObject? {
        guard let value = self[name] else { return nil }
        guard let object = value.objectValue else { throw wrong(name, value, "an object") }
        return object
    }

    /// A string or an array of strings.
    func strings(_ name: String) throws(APIError) -> [String]? {
        guard let value = self[name] else { return nil }
        if let text = value.stringValue { return [text] }
        guard let elements = value.arrayValue else { throw wrong(name, value, "a string or an array of strings") }
        return try elements.map { element throws(APIError) in
            guard let text = element.stringValue else { throw wrong(name, element, "an array of strings") }
            return text
        }
    }

    func required(_ name: String) throws(APIError) -> JSONValue {
        guard let value = self[name] else { throw .invalid("\(path)\(name) is missing", param: path + name) }
        return value
    }
}

extension JSONValue {
    /// What kind of value this is, in words.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a truth value"
        case .int, .bigInt, .double: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// nil becomes null.
    init(_ text: String?) { self = text.map { .string($0) } ?? .null }
}
