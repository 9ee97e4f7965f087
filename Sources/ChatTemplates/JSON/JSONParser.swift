/// Why a text is not JSON, and where.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    package var message: String
    /// Bytes before the fault in the UTF-8 text.
    package var offset: Int

    package var description: String { "\(message) at byte \(offset)" }
}

extension JSONValue {
    /// Parses exactly one value with nothing but white space around it (RFC 8259; no comments, no trailing commas).
    ///
    /// - A repeated key keeps its first place and takes the last value.
    /// - An escaped surrogate without its partner becomes U+FFFD, since no Swift string can hold it.
    /// - Numbers beyond the range of `Double` are refused.
    /// - Parameter maximumDepth: nesting of arrays and objects beyond which the text is refused.
    package init(parsing text: String, maximumDepth: Int = 256) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), maximumDepth: maximumDepth)
    }

    /// As `init(parsing:)` for UTF-8 bytes from outside, which need not be valid UTF-8.
    package init(parsing bytes: [UInt8], maximumDepth: Int = 256) throws(JSONError) {
        var parser = JSONParser(bytes: bytes, maximumDepth: maximumDepth)
        self = try parser.document()
    }
}

private struct JSONParser {
    let bytes: [UInt8]
    let maximumDepth: Int
    var position = 0
    var depth = 0

    init(bytes: [UInt8], maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let result = try value()
        skipWhitespace()
        guard position == bytes.count else { throw error("text after the value") }
        return result
    }

    private func error(_ message: String) -> JSONError { JSONError(message: message, offset: position) }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipWhitespace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        skipWhitespace()
        switch current {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case let byte? where byte == UInt8(ascii: "-") || 0x30...0x39 ~= byte: return try number()
        case nil: throw error("unexpected end of text, expected a value")
        default: throw error("expected a value")
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let end = position + word.utf8CodeUnitCount
        guard end <= bytes.count else { throw error("expected '\(word)'") }
        for place in 0..<word.utf8CodeUnitCount where bytes[position + place] != word.utf8Start[place] {
            throw error("expected '\(word)'")
        }
        position = end
        return value
    }

    private mutating func enter() throws(JSONError) {
        depth += 1
        guard depth <= maximumDepth else { throw error("nested deeper than \(maximumDepth) levels") }
        position += 1
        skipWhitespace()
    }

    private mutating func object() throws(JSONError) -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var object = JSONObject()
        if current == UInt8(ascii: "}") {
            position += 1
            return .object(object)
        }
        while true {
            skipWhitespace()
            guard current == UInt8(ascii: "\"") else { throw error("expected a key in quotes") }
            let key = try string()
            skipWhitespace()
            guard current == UInt8(ascii: ":") else { throw error("expected ':'") }
            position += 1
            object[key] = try value()
            skipWhitespace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return .object(object)
            default: throw error("expected ',' or '}'")
            }
        }
    }

    private mutating func array() throws(JSONError) -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var elements: [JSONValue] = []
        if current == UInt8(ascii: "]") {
            position += 1
            return .array(elements)
        }
        while true {
            elements.append(try value())
            skipWhitespace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return .array(elements)
            default: throw error("expected ',' or ']'")
            }
        }
    }

    /// At the opening quote.
    private mutating func string() throws(JSONError) -> String {
        position += 1
        var unescaped: [UInt8] = []
        var start = position
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                let end = position
                position += 1
                if unescaped.isEmpty { return try validated(bytes[start..<end]) }
                unescaped += bytes[start..<end]
                return try validated(unescaped[...])
            case UInt8(ascii: "\\"):
                unescaped += bytes[start..<position]
                position += 1
                try escape(into: &unescaped)
                start = position
            case 0..<0x20: throw error("unescaped control character in a string")
            default: position += 1
            }
        }
        throw error("unterminated string")
    }

    private func validated(_ slice: ArraySlice<UInt8>) throws(JSONError) -> String {
        guard let string = String(validating: slice, as: UTF8.self) else { throw error("invalid UTF-8 in a string") }
        return string
    }

    /// After the backslash.
    private mutating func escape(into output: inout [UInt8]) throws(JSONError) {
        guard let kind = current else { throw error("unterminated string") }
        position += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(kind)
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0C)
        case UInt8(ascii: "n"): output.append(0x0A)
        case UInt8(ascii: "r"): output.append(0x0D)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if 0xD800..<0xDC00 ~= code, current == UInt8(ascii: "\\"), position + 1 < bytes.count,
                bytes[position + 1] == UInt8(ascii: "u")
            {
                let afterFirst = position
                position += 2
                let low = try hexadecimal()
                if 0xDC00..<0xE000 ~= low {
                    code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                } else {
                    position = afterFirst
                }
            }
            output += String(Unicode.Scalar(code) ?? "\u{FFFD}").utf8
        default:
            position -= 1
            throw error("unknown escape in a string")
        }
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Unicode.Scalar(byte).hexadecimalValue else {
                throw error("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    private mutating func digits() throws(JSONError) {
        let start = position
        while let byte = current, 0x30...0x39 ~= byte { position += 1 }
        guard position > start else { throw error("expected a digit") }
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        var isInteger = true
        if current == UInt8(ascii: "-") { position += 1 }
        if current == UInt8(ascii: "0") { position += 1 } else { try digits() }
        if current == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            try digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger { return Int(text).map(JSONValue.int) ?? .bigInt(text) }
        guard let value = Double(text), value.isFinite else { throw error("number out of range") }
        return .double(value)
    }
}

extension Unicode.Scalar {
    /// 0…15 for an ASCII hexadecimal digit.
    var hexadecimalValue: UInt8? {
        switch self {
        case "0"..."9": UInt8(value - 0x30)
        case "a"..."f": UInt8(value - 0x61 + 10)
        case "A"..."F": UInt8(value - 0x41 + 10)
        default: nil
        }
    }
}
