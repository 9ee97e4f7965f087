/// A piece of template source.
struct Token: Sendable {
    enum Kind: Sendable, Equatable {
        /// Literal text between tags.
        case data
        case blockStart, blockEnd
        case variableStart, variableEnd
        case name, string, integer, float
        case symbol
        case end
    }

    var kind: Kind
    /// Text as written; for strings the value without quotes and escapes.
    var text: String
    var line: Int
}

/// Splits a template into literal text and the tokens inside tags, with the white space rules of transformers'
/// environment: `trim_blocks` (a newline after a block or comment goes), `lstrip_blocks` (blanks before one at the
/// start of a line go), `-` strips all white space on its side, `+` switches the automatic stripping off. One newline
/// at the very end of the source goes, and `\r\n` and `\r` count as newlines. (Jinja2 3.1 documentation, "Whitespace
/// Control"; order of the rules as in `jinja2/lexer.py`.)
struct Lexer {
    private let source: [UInt8]
    private var position = 0
    private var line = 1
    private var tokens: [Token] = []
    /// Whether the last consumed tag ended with a newline, or nothing was consumed yet.
    private var atLineStart = true

    static func tokens(of source: String) throws(TemplateError) -> [Token] {
        var lexer = Lexer(source)
        try lexer.run()
        return lexer.tokens
    }

    private init(_ text: String) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var afterReturn = false
        for byte in text.utf8 {
            if byte == 0x0D { bytes.append(0x0A) } else if byte != 0x0A || !afterReturn { bytes.append(byte) }
            afterReturn = byte == 0x0D
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        source = bytes
    }

    private func error(_ message: String) -> TemplateError { TemplateError(.syntax, message, line: line) }

    private func byte(at place: Int) -> UInt8? { place < source.count ? source[place] : nil }

    private func matches(_ text: StaticString, at place: Int) -> Bool {
        guard place + text.utf8CodeUnitCount <= source.count else { return false }
        for offset in 0..<text.utf8CodeUnitCount where source[place + offset] != text.utf8Start[offset] { return false }
        return true
    }

    /// Moves on, counting lines.
    private mutating func advance(to end: Int) {
        for byte in source[position..<end] where byte == 0x0A { line += 1 }
        position = end
    }

    private func endOfWhitespace(from start: Int) -> Int {
        var place = start
        while place < source.count {
            let length = utf8WhitespaceLength(source, at: place)
            guard length > 0 else { break }
            place += length
        }
        return place
    }

    private mutating func add(_ kind: Token.Kind, _ bytes: some Sequence<UInt8>) {
        tokens.append(Token(kind: kind, text: String(decoding: Array(bytes), as: UTF8.self), line: line))
    }

    // MARK: Between tags

    private mutating func run() throws(TemplateError) {
        while position < source.count {
            var place = position
            while place + 1 < source.count, !isTagStart(place) { place += 1 }
            guard place + 1 < source.count else {
                addData(source[position...])
                position = source.count
                break
            }
            let tag = source[place + 1]
            let sign = byte(at: place + 2)
            addData(stripped(position..<place, sign: sign, isVariable: tag == UInt8(ascii: "{")))
            advance(to: place)
            let hasSign = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
            let inside = place + (hasSign ? 3 : 2)
            switch tag {
            case UInt8(ascii: "#"): try comment(from: inside)
            case UInt8(ascii: "{"): try tokensOfTag(from: inside, start: .variableStart, end: .variableEnd)
            default:
                if let raw = endOfRawTag(from: inside) {
                    try rawBlock(from: raw)
                } else {
                    try tokensOfTag(from: inside, start: .blockStart, end: .blockEnd)
                }
            }
        }
        tokens.append(Token(kind: .end, text: "", line: line))
    }

    private func isTagStart(_ place: Int) -> Bool {
        guard source[place] == UInt8(ascii: "{") else { return false }
        let next = source[place + 1]
        return next == UInt8(ascii: "%") || next == UInt8(ascii: "{") || next == UInt8(ascii: "#")
    }

    private mutating func addData(_ bytes: ArraySlice<UInt8>) {
        if !bytes.isEmpty { add(.data, bytes) }
    }

    /// Text before a tag after the stripping that the tag's sign and `lstrip_blocks` ask for.
    private func stripped(_ range: Range<Int>, sign: UInt8?, isVariable: Bool) -> ArraySlice<UInt8> {
        let text = source[range]
        if sign == UInt8(ascii: "-") { return trimmingTrailingWhitespace(text) }
        guard sign != UInt8(ascii: "+"), !isVariable else { return text }
        let lineStart = text.lastIndex(of: 0x0A).map { $0 + 1 } ?? text.startIndex
        guard lineStart > text.startIndex || atLineStart else { return text }
        return endOfWhitespace(from: lineStart) >= text.endIndex ? text[..<lineStart] : text
    }

    /// Ends a tag whose closing mark starts at `place` with `length` bytes, and what goes with it.
    private mutating func finishTag(at place: Int, length: Int, sign: UInt8?, trimsNewline: Bool) {
        var end = place + length
        if sign == UInt8(ascii: "-") {
            end = endOfWhitespace(from: end)
        } else if trimsNewline, sign != UInt8(ascii: "+"), byte(at: end) == 0x0A {
            end += 1
        }
        advance(to: end)
        atLineStart = source[end - 1] == 0x0A
    }

    private mutating func comment(from start: Int) throws(TemplateError) {
        var place = start
        while place < source.count, !matches("#}", at: place) { place += 1 }
        guard place < source.count else { throw error("Missing end of comment tag") }
        let sign = place > start ? source[place - 1] : nil
        finishTag(at: place, length: 2, sign: sign, trimsNewline: true)
    }

    /// Where the text of a raw block starts, if `{% raw %}` is what follows.
    private func endOfRawTag(from start: Int) -> Int? {
        var place = endOfWhitespace(from: start)
        guard matches("raw", at: place) else { return nil }
        place = endOfWhitespace(from: place + 3)
        if matches("-%}", at: place) { return endOfWhitespace(from: place + 3) }
        return matches("%}", at: place) ? place + 2 : nil
    }

    private mutating func rawBlock(from start: Int) throws(TemplateError) {
        atLineStart = source[start - 1] == 0x0A
        advance(to: start)
        var place = start
        while place < source.count {
            defer { place += 1 }
            guard matches("{%", at: place) else { continue }
            var inside = place + 2
            let sign = byte(at: inside)
            if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { inside += 1 }
            inside = endOfWhitespace(from: inside)
            guard matches("endraw", at: inside) else { continue }
            inside = endOfWhitespace(from: inside + 6)
            let endSign = byte(at: inside)
            if endSign == UInt8(ascii: "-") || endSign == UInt8(ascii: "+") { inside += 1 }
            guard matches("%}", at: inside) else { continue }
            addData(stripped(start..<place, sign: sign, isVariable: false))
            finishTag(at: inside, length: 2, sign: endSign, trimsNewline: true)
            return
        }
        throw error("Missing end of raw directive")
    }

    // MARK: Inside tags

    private mutating func tokensOfTag(
        from start: Int, start startKind: Token.Kind, end endKind: Token.Kind
    ) throws(TemplateError) {
        add(startKind, [])
        advance(to: start)
        var brackets: [UInt8] = []
        while true {
            advance(to: endOfWhitespace(from: position))
            guard let byte = byte(at: position) else {
                // The parser words the error: it knows what it expected.
                return
            }
            if brackets.isEmpty, finishTagIfClosed(endKind) { return }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"): try string(quote: byte)
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number()
            case _ where isNameByte(byte): name()
            default:
                let length = try symbolLength()
                let symbol = source[position..<position + length]
                try balance(byte, &brackets)
                add(.symbol, symbol)
                advance(to: position + length)
            }
        }
    }

    private mutating func finishTagIfClosed(_ kind: Token.Kind) -> Bool {
        let mark: StaticString = kind == .variableEnd ? "}}" : "%}"
        var place = position
        var sign: UInt8?
        let current = source[position]
        if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") && kind == .blockEnd {
            sign = current
            place += 1
        }
        guard matches(mark, at: place) else { return false }
        add(kind, [])
        finishTag(at: place, length: 2, sign: sign, trimsNewline: kind == .blockEnd)
        return true
    }

    private func balance(_ byte: UInt8, _ brackets: inout [UInt8]) throws(TemplateError) {
        let closing: [UInt8: UInt8] = [0x28: 0x29, 0x5B: 0x5D, 0x7B: 0x7D]
        if let close = closing[byte] {
            brackets.append(close)
        } else if closing.values.contains(byte) {
            let found = Unicode.Scalar(byte)
            guard let expected = brackets.popLast() else { throw error("unexpected '\(found)'") }
            guard expected == byte else {
                throw error("unexpected '\(found)', expected '\(Unicode.Scalar(expected))'")
            }
        }
    }

    private func symbolLength() throws(TemplateError) -> Int {
        for symbol in ["**", "//", "==", "!=", "<=", ">="] as [StaticString] where matches(symbol, at: position) {
            return 2
        }
        switch source[position] {
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: "*"), UInt8(ascii: "%"),
            UInt8(ascii: "~"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "("), UInt8(ascii: ")"),
            UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "="),
            UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "|"), UInt8(ascii: ","), UInt8(ascii: ";"):
            return 1
        default:
            throw error("unexpected char '\(String(decoding: source[position...].prefix(1), as: UTF8.self))'")
        }
    }

    private func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
        default: byte >= 0x80
        }
    }

    private mutating func name() {
        var end = position
        while let byte = byte(at: end), isNameByte(byte) || 0x30...0x39 ~= byte {
            if byte >= 0x80, utf8WhitespaceLength(source, at: end) > 0 { break }
            end += 1
        }
        add(.name, source[position..<end])
        position = end
    }

    // MARK: Literals

    private mutating func number() {
        func digits(from start: Int, _ isDigit: (UInt8) -> Bool = { 0x30...0x39 ~= $0 }) -> Int {
            var place = start
            while let byte = byte(at: place) {
                if isDigit(byte) {
                    place += 1
                } else if byte == UInt8(ascii: "_"), place > start, let next = self.byte(at: place + 1), isDigit(next) {
                    place += 2
                } else {
                    break
                }
            }
            return place
        }
        func finish(_ kind: Token.Kind, _ end: Int) {
            add(kind, source[position..<end].filter { $0 != UInt8(ascii: "_") })
            position = end
        }
        let isHexadecimal: (UInt8) -> Bool = { Unicode.Scalar($0).hexadecimalValue != nil }
        if source[position] == UInt8(ascii: "0"), let base = byte(at: position + 1).map({ $0 | 0x20 }) {
            let isDigit: ((UInt8) -> Bool)? =
                switch base {
                case UInt8(ascii: "x"): isHexadecimal
                case UInt8(ascii: "o"): { 0x30...0x37 ~= $0 }
                case UInt8(ascii: "b"): { 0x30...0x31 ~= $0 }
                default: nil
                }
            if let isDigit, case let end = digits(from: position + 2, isDigit), end > position + 2 {
                return finish(.integer, end)
            }
        }
        let whole = digits(from: position)
        var end = whole
        let followsDot = position > 0 && source[position - 1] == UInt8(ascii: ".")
        if !followsDot {
            if byte(at: end) == UInt8(ascii: "."), case let fraction = digits(from: end + 1), fraction > end + 1 {
                end = fraction
            }
            if let mark = byte(at: end), mark | 0x20 == UInt8(ascii: "e") {
                var start = end + 1
                if let sign = byte(at: start), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { start += 1 }
                let exponent = digits(from: start)
                if exponent > start { end = exponent }
            }
        }
        finish(end > whole ? .float : .integer, end)
    }

    /// Escapes as in Python string literals; an unknown escape stays as it is.
    private mutating func string(quote: UInt8) throws(TemplateError) {
        let start = position
        var value: [UInt8] = []
        var place = position + 1
        while let byte = byte(at: place) {
            if byte == quote {
                add(.string, value)
                return advance(to: place + 1)
            }
            guard byte == UInt8(ascii: "\\"), let kind = self.byte(at: place + 1) else {
                value.append(byte)
                place += 1
                continue
            }
            place += 2
            switch kind {
            case UInt8(ascii: "n"): value.append(0x0A)
            case UInt8(ascii: "t"): value.append(0x09)
            case UInt8(ascii: "r"): value.append(0x0D)
            case UInt8(ascii: "a"): value.append(0x07)
            case UInt8(ascii: "b"): value.append(0x08)
            case UInt8(ascii: "f"): value.append(0x0C)
            case UInt8(ascii: "v"): value.append(0x0B)
            case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): value.append(kind)
            case 0x0A: break
            case UInt8(ascii: "x"): try scalar(&place, digits: 2, base: 16, into: &value)
            case UInt8(ascii: "u"): try scalar(&place, digits: 4, base: 16, into: &value)
            case UInt8(ascii: "U"): try scalar(&place, digits: 8, base: 16, into: &value)
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                place -= 1
                try scalar(&place, digits: 3, base: 8, into: &value)
            default: value += [UInt8(ascii: "\\"), kind]
            }
        }
        throw error("unexpected char '\(Unicode.Scalar(quote))' at \(start)")
    }

    private func scalar(
        _ place: inout Int, digits: Int, base: UInt32, into value: inout [UInt8]
    ) throws(TemplateError) {
        var code: UInt32 = 0
        var count = 0
        while count < digits, let byte = byte(at: place), let digit = Unicode.Scalar(byte).hexadecimalValue,
            digit < base
        {
            code = code &* base &+ UInt32(digit)
            count += 1
            place += 1
        }
        guard base == 8 || count == digits else { throw error("truncated escape in a string") }
        guard let scalar = Unicode.Scalar(code) ?? (0xD800..<0xE000 ~= code ? "\u{FFFD}" : nil) else {
            throw error("illegal Unicode character in a string")
        }
        value += String(scalar).utf8
    }
}
