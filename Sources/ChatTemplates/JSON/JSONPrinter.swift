/// How `JSONValue.text(_:)` writes a value; the default is compact.
package struct JSONStyle: Sendable {
    package var itemSeparator = ","
    package var keySeparator = ":"
    /// Written once per level at the start of each line; nil keeps all on one line.
    package var indent: String?
    package var sortedKeys = false
    package var asciiOnly = false

    package init() {}

    package static let compact = JSONStyle()

    /// A blank after `,` and `:`, as Python's `json.dumps` writes and as models see in their prompts.
    package static let spaced: JSONStyle = {
        var style = JSONStyle()
        style.itemSeparator = ", "
        style.keySeparator = ": "
        return style
    }()
}

extension JSONValue {
    /// The value as JSON text. Floating point is written as the shortest decimal that reads back the same; infinities
    /// and NaN, which JSON has no word for, as `null`.
    package func text(_ style: JSONStyle = .compact) -> String {
        String(decoding: utf8(style), as: UTF8.self)
    }

    /// `text(_:)` as UTF-8 bytes.
    package func utf8(_ style: JSONStyle = .compact) -> [UInt8] {
        var printer = JSONPrinter(style: style)
        printer.write(self, level: 0)
        return printer.output
    }
}

private struct JSONPrinter {
    let style: JSONStyle
    var output: [UInt8] = []

    init(style: JSONStyle) { self.style = style }

    mutating func write(_ value: JSONValue, level: Int) {
        switch value {
        case .null: output += "null".utf8
        case .bool(let value): output += (value ? "true" : "false").utf8
        case .int(let value): output += String(value).utf8
        case .bigInt(let digits): output += digits.utf8
        case .double(let value): output += (value.isFinite ? pythonFloatText(value) : "null").utf8
        case .string(let string): writeJSONString(string, asciiOnly: style.asciiOnly, into: &output)
        case .array(let elements):
            guard !elements.isEmpty else { return output += "[]".utf8 }
            output.append(UInt8(ascii: "["))
            for (place, element) in elements.enumerated() {
                if place > 0 { output += style.itemSeparator.utf8 }
                newLine(level + 1)
                write(element, level: level + 1)
            }
            newLine(level)
            output.append(UInt8(ascii: "]"))
        case .object(let object):
            guard !object.isEmpty else { return output += "{}".utf8 }
            output.append(UInt8(ascii: "{"))
            var places = Array(0..<object.count)
            if style.sortedKeys {
                places.sort { object.keys[$0].utf8.lexicographicallyPrecedes(object.keys[$1].utf8) }
            }
            for (number, place) in places.enumerated() {
                if number > 0 { output += style.itemSeparator.utf8 }
                newLine(level + 1)
                writeJSONString(object.keys[place], asciiOnly: style.asciiOnly, into: &output)
                output += style.keySeparator.utf8
                write(object.values[place], level: level + 1)
            }
            newLine(level)
            output.append(UInt8(ascii: "}"))
        }
    }

    private mutating func newLine(_ level: Int) {
        guard let indent = style.indent else { return }
        output.append(0x0A)
        for _ in 0..<level { output += indent.utf8 }
    }
}

/// Writes a string in quotes with the escapes of Python's `json.dumps`.
func writeJSONString(_ string: String, asciiOnly: Bool, into output: inout [UInt8]) {
    func hexadecimal(_ code: UInt16) {
        output += "\\u".utf8
        for shift in [12, 8, 4, 0] as [UInt16] {
            let digit = UInt8(code >> shift & 15)
            output.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
    output.append(UInt8(ascii: "\""))
    if asciiOnly {
        for unit in string.utf16 {
            if unit < 0x7F { writeEscaped(UInt8(unit)) } else { hexadecimal(unit) }
        }
    } else {
        for byte in string.utf8 { writeEscaped(byte) }
    }
    output.append(UInt8(ascii: "\""))

    func writeEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): output += "\\\"".utf8
        case UInt8(ascii: "\\"): output += "\\\\".utf8
        case 0x08: output += "\\b".utf8
        case 0x09: output += "\\t".utf8
        case 0x0A: output += "\\n".utf8
        case 0x0C: output += "\\f".utf8
        case 0x0D: output += "\\r".utf8
        case 0..<0x20: hexadecimal(UInt16(byte))
        default: output.append(byte)
        }
    }
}

/// A floating-point number as Python's `repr` writes it: the shortest digits that read back the same, with an exponent
/// below 1e-4 and from 1e16 on.
func pythonFloatText(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    guard value != 0 else { return value.sign == .minus ? "-0.0" : "0.0" }
    // Swift prints the same shortest digits but switches to an exponent elsewhere: take digits and exponent apart.
    var digits: [UInt8] = []
    var pointPlace: Int?
    var exponent = 0
    let text = Array(value.magnitude.description.utf8)
    for (place, byte) in text.enumerated() {
        if byte == UInt8(ascii: ".") {
            pointPlace = digits.count
        } else if byte == UInt8(ascii: "e") {
            exponent = Int(String(decoding: text[(place + 1)...], as: UTF8.self)) ?? 0
            break
        } else {
            digits.append(byte)
        }
    }
    exponent += pointPlace ?? digits.count
    let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
    digits.removeFirst(leadingZeros)
    exponent -= leadingZeros
    while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }

    // The value is 0.DIGITS × 10^exponent.
    let sign = value < 0 ? "-" : ""
    let zero = UInt8(ascii: "0")
    var body: [UInt8] = []
    if exponent > 16 || exponent <= -4 {
        body.append(digits[0])
        if digits.count > 1 { body += [UInt8(ascii: ".")] + digits[1...] }
        let scientific = exponent - 1
        body += "e\(scientific < 0 ? "-" : "+")\(scientific.magnitude < 10 ? "0" : "")\(scientific.magnitude)".utf8
    } else if exponent <= 0 {
        body += "0.".utf8
        body += Array(repeating: zero, count: -exponent) + digits
    } else {
        for place in 0..<max(exponent, digits.count) {
            if place == exponent { body.append(UInt8(ascii: ".")) }
            body.append(place < digits.count ? digits[place] : zero)
        }
        if digits.count <= exponent { body += ".0".utf8 }
    }
    return sign + String(decoding: body, as: UTF8.self)
}
