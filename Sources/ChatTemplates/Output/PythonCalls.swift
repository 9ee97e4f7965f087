/// Calls as LFM2 writes them: a list of Python calls, `[get_weather(city="Köln", days=3)]`.
struct PythonCalls {
    private let bytes: [UInt8]
    private var position = 0

    private static let maximumDepth = 256

    /// Follows the notation byte by byte to the end of the list.
    struct Scanner {
        private var depth = 0
        private var quote: UInt8?
        private var isEscaped = false

        mutating func read(_ byte: UInt8) -> JSONScanner.Progress {
            if let quote {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == quote {
                    self.quote = nil
                }
                return .needsMore
            }
            switch byte {
            case UInt8(ascii: "["), UInt8(ascii: "("), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: ")"), UInt8(ascii: "}"):
                depth -= 1
                return depth == 0 ? .complete : depth < 0 ? .invalid : .needsMore
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                guard depth > 0 else { return .invalid }
                quote = byte
            default: if depth == 0, !CallReader.isWhitespace(byte) { return .invalid }
            }
            return depth <= PythonCalls.maximumDepth ? .needsMore : .invalid
        }
    }

    /// - Parameter bytes: the whole list.
    static func parse(_ bytes: [UInt8]) throws(CallError) -> [ToolCall] {
        var parser = PythonCalls(bytes: bytes)
        let calls = try parser.calls()
        parser.skipWhitespace()
        guard parser.position == bytes.count, !calls.isEmpty else { throw CallError("expected a list of calls") }
        return calls
    }

    /// The same notation, as a template's history wants it.
    static func text(_ calls: [ToolCall]) -> String {
        let written = calls.map { call in
            call.name + "(" + call.arguments.members.map { "\($0)=\(text($1))" }.joined(separator: ", ") + ")"
        }
        return "[" + written.joined(separator: ", ") + "]"
    }

    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: "None"
        case .bool(let value): value ? "True" : "False"
        case .array(let elements): "[" + elements.map(text).joined(separator: ", ") + "]"
        case .object(let object):
            "{" + object.members.map { JSONValue.string($0).text() + ": " + text($1) }.joined(separator: ", ") + "}"
        default: value.text()
        }
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func skipWhitespace() {
        while position < bytes.count, CallReader.isWhitespace(bytes[position]) { position += 1 }
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        skipWhitespace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(CallError) {
        guard skip(character) else { throw CallError("expected '\(character)'") }
    }

    /// The bytes up to one that ends words.
    private mutating func word() -> String {
        skipWhitespace()
        let start = position
        while position < bytes.count, !CallReader.isWhitespace(bytes[position]),
            !"()[]{},=:\"'".utf8.contains(bytes[position])
        {
            position += 1
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func calls() throws(CallError) -> [ToolCall] {
        try expect("[")
        var calls: [ToolCall] = []
        while !skip("]") {
            if !calls.isEmpty {
                try expect(",")
                if skip("]") { break }
            }
            skipWhitespace()
            if position < bytes.count, bytes[position] == UInt8(ascii: "{") {
                calls.append(try ToolCall.reading(try value(depth: Self.maximumDepth)))
            } else {
                calls.append(try call())
            }
        }
        return calls
    }

    private mutating func call() throws(CallError) -> ToolCall {
        let name = word()
        guard !name.isEmpty else { throw CallError("expected a name") }
        try expect("(")
        var arguments = JSONObject()
        while !skip(")") {
            if !arguments.isEmpty {
                try expect(",")
                if skip(")") { break }
            }
            let key = word()
            guard !key.isEmpty, skip("=") else { throw CallError("expected a named argument") }
            arguments[key] = try value(depth: Self.maximumDepth)
        }
        return ToolCall(name: name, arguments: arguments)
    }

    private mutating func value(depth: Int) throws(CallError) -> JSONValue {
        guard depth > 0 else { throw CallError("the arguments are nested too deep") }
        if let text = try string() { return .string(text) }
        for (open, close) in [("[", "]"), ("(", ")")] as [(Unicode.Scalar, Unicode.Scalar)] where skip(open) {
            var elements: [JSONValue] = []
            while !skip(close) {
                if !elements.isEmpty {
                    try expect(",")
                    if skip(close) { break }
                }
                elements.append(try value(depth: depth - 1))
            }
            return .array(elements)
        }
        if skip("{") {
            var object = JSONObject()
            while !skip("}") {
                if !object.isEmpty {
                    try expect(",")
                    if skip("}") { break }
                }
                guard let key = try string() else { throw CallError("expected a key in quotation marks") }
                try expect(":")
                object[key] = try value(depth: depth - 1)
            }
            return .object(object)
        }
        let word = word()
        switch word {
        case "True": return true
        case "False": return false
        case "None": return .null
        default:
            guard let value = try? JSONValue(parsing: word) else { throw CallError("'\(word)' is no value") }
            return value
        }
    }

    // MARK: Strings

    /// Strings that follow each other are one, as in Python.
    private mutating func string() throws(CallError) -> String? {
        var text: [UInt8] = []
        var isString = false
        while true {
            skipWhitespace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") || bytes[position] == UInt8(ascii: "'")
            else { break }
            isString = true
            try readString(&text)
        }
        return isString ? String(decoding: text, as: UTF8.self) : nil
    }

    private mutating func readString(_ text: inout [UInt8]) throws(CallError) {
        let quote = bytes[position]
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == quote { return }
            guard byte == UInt8(ascii: "\\"), position < bytes.count else {
                text.append(byte)
                continue
            }
            let letter = bytes[position]
            position += 1
            switch letter {
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "/"): text.append(letter)
            case 0x0A: break
            case UInt8(ascii: "x"): append(try code(2), &text)
            case UInt8(ascii: "U"): append(try code(8), &text)
            case UInt8(ascii: "u"):
                var scalar = try code(4)
                // JSON writes characters beyond the first plane as two.
                if 0xD800..<0xDC00 ~= scalar, bytes[position...].starts(with: "\\u".utf8) {
                    position += 2
                    scalar = 0x10000 + (scalar - 0xD800) << 10 + (try code(4) & 0x3FF)
                }
                append(scalar, &text)
            default: text += [UInt8(ascii: "\\"), letter]
            }
        }
        throw CallError("a string has no end")
    }

    private func append(_ code: UInt32, _ text: inout [UInt8]) {
        text += String(Character(Unicode.Scalar(code) ?? "\u{FFFD}")).utf8
    }

    private mutating func code(_ digits: Int) throws(CallError) -> UInt32 {
        let part = bytes[position...].prefix(digits)
        guard part.count == digits, let code = UInt32(String(decoding: part, as: UTF8.self), radix: 16) else {
            throw CallError("an escape has too few digits")
        }
        position += digits
        return code
    }
}
