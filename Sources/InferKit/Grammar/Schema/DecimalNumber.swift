import ChatTemplates

/// A number in decimal digits, exactly as a schema has it.
struct DecimalNumber: Hashable, Sendable {
    var isNegative = false
    /// Without leading zeros; empty for numbers below one.
    var integer: [UInt8] = []
    /// Without trailing zeros.
    var fraction: [UInt8] = []

    /// Digits of a number beyond which a schema is refused.
    static let longest = 400

    var isZero: Bool { integer.isEmpty && fraction.isEmpty }

    /// nil: not a number, or one of too many digits.
    init?(_ value: JSONValue) {
        let text: String
        switch value {
        case .int(let value): text = String(value)
        case .bigInt(let digits): text = digits
        case .double(let value): text = value.description
        default: return nil
        }
        let parts = text.split(whereSeparator: { $0 == "e" || $0 == "E" })
        guard let mantissa = parts.first, let exponent = parts.count > 1 ? Int(parts[1]) : 0,
            mantissa.utf8.count <= Self.longest, exponent.magnitude <= Self.longest
        else { return nil }
        isNegative = mantissa.hasPrefix("-")
        let halves = mantissa.drop { $0 == "-" }.split(separator: ".", omittingEmptySubsequences: false)
        integer = halves[0].utf8.map { $0 - UInt8(ascii: "0") }
        fraction = halves.count > 1 ? halves[1].utf8.map { $0 - UInt8(ascii: "0") } : []
        for _ in 0..<max(exponent, 0) { integer.append(fraction.isEmpty ? 0 : fraction.removeFirst()) }
        for _ in 0..<max(-exponent, 0) { fraction.insert(integer.popLast() ?? 0, at: 0) }
        integer = Array(integer.drop { $0 == 0 })
        while fraction.last == 0 { fraction.removeLast() }
        if isZero { isNegative = false }
    }

    var negated: DecimalNumber {
        var result = self
        result.isNegative = !isNegative && !isZero
        return result
    }

    /// As JSON.
    var text: String {
        func digits(_ values: [UInt8]) -> String { values.map { String($0) }.joined() }
        let whole = integer.isEmpty ? "0" : digits(integer)
        return (isNegative ? "-" : "") + whole + (fraction.isEmpty ? "" : "." + digits(fraction))
    }
}

extension DecimalNumber: Comparable {
    static func < (left: DecimalNumber, right: DecimalNumber) -> Bool {
        if left.isNegative != right.isNegative { return left.isNegative }
        let isSmaller: Bool
        if left.integer.count != right.integer.count {
            isSmaller = left.integer.count < right.integer.count
        } else if left.integer != right.integer {
            isSmaller = left.integer.lexicographicallyPrecedes(right.integer)
        } else {
            isSmaller = left.fraction.lexicographicallyPrecedes(right.fraction)
        }
        return left.isNegative ? !isSmaller && left != right : isSmaller
    }
}
