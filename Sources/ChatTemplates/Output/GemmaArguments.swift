/// Arguments as Gemma 4 writes them: `{key:<|"|>text<|"|>,list:[1,true],nested:{a:null}}`, with bare keys and strings
/// between marks of their own that need no escapes. (Read off the model's chat template.)
package struct GemmaArguments {
    /// Around strings.
    package static let quoteText = "<|\"|>"
    static let quote = Array(quoteText.utf8)

    private let bytes: [UInt8]
    private var position: Int

    /// Follows the notation byte by byte to the end of the object.
    struct Scanner {
        private var depth = 0
        private var isInString = false
        private var matchedQuote = 0

        mutating func read(_ byte: UInt8) -> JSONScanner.Progress {
            if byte == GemmaArguments.quote[matchedQuote] {
                matchedQuote += 1
                if matchedQuote == GemmaArguments.quote.count {
                    isInString.toggle()
                    matchedQuote = 0
                }
                return .needsMore
            }
            matchedQuote = byte == GemmaArguments.quote[0] ? 1 : 0
            guard !isInString else { return .needsMore }
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                return depth == 0 ? .complete : depth < 0 ? .invalid : .needsMore
            default: if depth == 0, byte > 0x20 { return .invalid }
            }
            return depth <= 256 ? .needsMore : .invalid
        }
    }

    /// The arguments; nil if the text is not in this notation.
    static func parse(_ bytes: [UInt8]) -> JSONObject? {
        var parser = GemmaArguments(bytes: bytes, position: 0)
        guard case .object(let object)? = parser.value(depth: 256) else { return nil }
        parser.skipWhitespace()
        return parser.position == bytes.count ? object : nil
    }

    private init(bytes: [UInt8], position: Int) {
        self.bytes = bytes
        self.position = position
    }

    private mutating func skipWhitespace() {
        while position < bytes.count, bytes[position] <= 0x20 { position += 1 }
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        skipWhitespace()
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func string() -> String? {
        skipWhitespace()
        guard bytes[position...].starts(with: Self.quote) else { return nil }
        let start = position + Self.quote.count
        var end = start
        while end < bytes.count {
            if bytes[end...].starts(with: Self.quote) {
                position = end + Self.quote.count
                return String(decoding: bytes[start..<end], as: UTF8.self)
            }
            end += 1
        }
        return nil
    }

    /// Bytes up to one of `,:]}`.
    private mutating func bareText() -> ArraySlice<UInt8> {
        skipWhitespace()
        let start = position
        while position < bytes.count, !",:]}".utf8.contains(bytes[position]) { position += 1 }
        return bytes[start..<position]
    }

    private mutating func value(depth: Int) -> JSONValue? {
        guard depth > 0 else { return nil }
        if skip(UInt8(ascii: "{")) {
            var object = JSONObject()
            if skip(UInt8(ascii: "}")) { return .object(object) }
            repeat {
                let key = string() ?? String(decoding: bareText(), as: UTF8.self)
                guard !key.isEmpty, skip(UInt8(ascii: ":")), let value = value(depth: depth - 1) else { return nil }
                object[key] = value
            } while skip(UInt8(ascii: ","))
            return skip(UInt8(ascii: "}")) ? .object(object) : nil
        }
        if skip(UInt8(ascii: "[")) {
            var elements: [JSONValue] = []
            if skip(UInt8(ascii: "]")) { return .array(elements) }
            repeat {
                guard let value = value(depth: depth - 1) else { return nil }
                elements.append(value)
            } while skip(UInt8(ascii: ","))
            return skip(UInt8(ascii: "]")) ? .array(elements) : nil
        }
        if let string = string() { return .string(string) }
        return try? JSONValue(parsing: Array(bareText()))
    }
}
