/// How one field of a format string is written: Python's format specification, of which `%` formatting is a part.
private struct FormatSpecification {
    enum Alignment { case left, right, center, afterSign }

    var fill: Unicode.Scalar = " "
    var alignment: Alignment?
    /// `+`, `-` or blank.
    var sign: Unicode.Scalar = "-"
    var isAlternate = false
    var width = 0
    /// `,` or `_` between groups of three digits.
    var grouping: Unicode.Scalar?
    var precision: Int?
    var type: Unicode.Scalar?
}

/// Reads scalars of a format string one by one.
private struct ScalarReader {
    let scalars: [Unicode.Scalar]
    var position = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    var current: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    mutating func next() -> Unicode.Scalar? {
        guard let scalar = current else { return nil }
        position += 1
        return scalar
    }

    mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        guard current == scalar else { return false }
        position += 1
        return true
    }

    /// Decimal digits; nil if there are none.
    mutating func number() throws(TemplateError) -> Int? {
        var value: Int?
        while let scalar = current, "0"..."9" ~= scalar {
            let soFar = value ?? 0
            guard soFar < 1 << 40 else {
                throw TemplateError(.value, "Too many decimal digits in format string")
            }
            value = soFar * 10 + Int(scalar.value - 0x30)
            position += 1
        }
        return value
    }
}

extension Evaluator {
    // MARK: %

    /// Python's `format % value`.
    func percentFormatted(_ format: String, _ value: JinjaValue) throws(TemplateError) -> String {
        var rest = [value]
        var isTuple = false
        if case .sequence(let sequence) = value, sequence.isTuple {
            rest = sequence.elements
            isTuple = true
        }
        rest.reverse()
        var reader = ScalarReader(format)
        var result = ""
        var usedName = false
        while let scalar = reader.next() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            var named: JinjaValue?
            if reader.skip("(") {
                named = try mappingValue(&reader, value)
                usedName = true
            }
            func nextValue() throws(TemplateError) -> JinjaValue {
                if let named { return named }
                guard let value = rest.popLast() else {
                    throw TemplateError(.type, "not enough arguments for format string")
                }
                return value
            }
            let specification = try percentSpecification(&reader) { () throws(TemplateError) in
                guard let number = try nextValue().integer else { throw TemplateError(.type, "* wants int") }
                return number
            }
            guard let type = reader.next() else { throw TemplateError(.value, "incomplete format") }
            if type == "%" {
                result += "%"
            } else {
                result += try percentField(try nextValue(), type, specification)
            }
        }
        if !usedName, !rest.isEmpty {
            var isMapping = false
            switch value {
            case .dictionary: isMapping = true
            case .sequence: isMapping = !isTuple
            default: break
            }
            guard isMapping else {
                throw TemplateError(.type, "not all arguments converted during string formatting")
            }
        }
        return result
    }

    private func mappingValue(_ reader: inout ScalarReader, _ value: JinjaValue) throws(TemplateError) -> JinjaValue {
        guard case .dictionary(let dictionary) = value else {
            throw TemplateError(.type, "format requires a mapping")
        }
        var name = String.UnicodeScalarView()
        while let scalar = reader.next() {
            if scalar == ")" {
                guard let value = dictionary[String(name)] else {
                    throw TemplateError(.value, "key '\(String(name))' not found")
                }
                return value
            }
            name.append(scalar)
        }
        throw TemplateError(.value, "incomplete format key")
    }

    private func percentSpecification(
        _ reader: inout ScalarReader, _ star: () throws(TemplateError) -> Int
    ) throws(TemplateError) -> FormatSpecification {
        var specification = FormatSpecification()
        specification.alignment = .right
        var hasZero = false
        flags: while let flag = reader.current {
            switch flag {
            case "-": specification.alignment = .left
            case "+": specification.sign = "+"
            case " ": if specification.sign == "-" { specification.sign = " " }
            case "#": specification.isAlternate = true
            case "0": hasZero = true
            default: break flags
            }
            reader.position += 1
        }
        if reader.skip("*") {
            let width = try star()
            if width < 0 { specification.alignment = .left }
            specification.width = Int(clamping: width.magnitude)
        } else {
            specification.width = try reader.number() ?? 0
        }
        if reader.skip(".") {
            specification.precision = reader.skip("*") ? max(0, try star()) : try reader.number() ?? 0
        }
        while let modifier = reader.current, "hlL".unicodeScalars.contains(modifier) { reader.position += 1 }
        if hasZero, specification.alignment != .left {
            specification.alignment = .afterSign
            specification.fill = "0"
        }
        return specification
    }

    private func percentField(
        _ value: JinjaValue, _ type: Unicode.Scalar, _ specification: FormatSpecification
    ) throws(TemplateError) -> String {
        var specification = specification
        specification.type = type
        switch type {
        case "s", "r", "a":
            if specification.alignment == .afterSign {
                specification.alignment = .right
                specification.fill = " "
            }
            let text = type == "s" ? try text(of: value) : try representation(of: value)
            specification.type = "s"
            return try formatted(text, specification)
        case "c":
            guard let code = value.integer else {
                guard let text = value.text, text.unicodeScalars.count == 1 else {
                    throw TemplateError(.type, "%c requires int or char")
                }
                specification.type = "s"
                return try formatted(text, specification)
            }
            specification.type = "s"
            return try formatted(try character(code), specification)
        case "d", "i", "u", "o", "x", "X":
            guard let number = value.double else {
                throw TemplateError(
                    .type, "%\(type) format: a real number is required, not \(value.typeName)")
            }
            specification.type = type == "i" || type == "u" ? "d" : type
            if case .bigInt = value { return try formatted(value, specification) }
            guard case .float = value else { return try formatted(.int(value.integer ?? 0), specification) }
            guard specification.type == "d" else {
                throw TemplateError(.type, "%\(type) format: an integer is required, not float")
            }
            guard let whole = Int(exactly: number.rounded(.towardZero)) else {
                throw TemplateError(.overflow, "cannot convert float to integer")
            }
            return try formatted(.int(whole), specification)
        case "e", "E", "f", "F", "g", "G":
            guard let number = value.double else {
                throw TemplateError(.type, "must be real number, not \(value.typeName)")
            }
            return try formatted(.float(number), specification)
        default:
            throw TemplateError(.value, "unsupported format character '\(type)'")
        }
    }

    private func character(_ code: Int) throws(TemplateError) -> String {
        guard let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init) else {
            throw TemplateError(.overflow, "%c arg not in range(0x110000)")
        }
        return String(scalar)
    }

    // MARK: str.format

    /// Python's `text.format(…)`.
    func braceFormatted(_ format: String, _ arguments: Arguments) throws(TemplateError) -> String {
        var automatic = 0
        return try braceFormatted(format, arguments, &automatic, level: 2)
    }

    private func braceFormatted(
        _ format: String, _ arguments: Arguments, _ automatic: inout Int, level: Int
    ) throws(TemplateError) -> String {
        guard level > 0 else { throw TemplateError(.value, "Max string recursion exceeded") }
        var reader = ScalarReader(format)
        var result = ""
        while let scalar = reader.next() {
            switch scalar {
            case "{" where reader.skip("{"): result += "{"
            case "{": result += try replacementField(&reader, arguments, &automatic, level: level)
            case "}":
                guard reader.skip("}") else {
                    throw TemplateError(.value, "Single '}' encountered in format string")
                }
                result += "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// After the opening brace.
    private func replacementField(
        _ reader: inout ScalarReader, _ arguments: Arguments, _ automatic: inout Int, level: Int
    ) throws(TemplateError) -> String {
        var name = String.UnicodeScalarView()
        while let scalar = reader.current, scalar != "}", scalar != ":", scalar != "!" {
            name.append(scalar)
            reader.position += 1
        }
        var conversion: Unicode.Scalar?
        if reader.skip("!") { conversion = reader.next() }
        var specification = String.UnicodeScalarView()
        if reader.skip(":") {
            var depth = 0
            while let scalar = reader.current, scalar != "}" || depth > 0 {
                depth += scalar == "{" ? 1 : scalar == "}" ? -1 : 0
                specification.append(scalar)
                reader.position += 1
            }
        }
        guard reader.skip("}") else { throw TemplateError(.value, "expected '}' before end of string") }
        var value = try field(String(name), arguments, &automatic)
        switch conversion {
        case nil: break
        case "s": value = .string(try text(of: value))
        case "r", "a": value = .string(try representation(of: value))
        case let other?: throw TemplateError(.value, "Unknown conversion specifier \(other)")
        }
        let text = try braceFormatted(String(specification), arguments, &automatic, level: level - 1)
        guard text.isEmpty || value.text != nil || value.double != nil else {
            throw TemplateError(.type, "unsupported format string passed to \(value.typeName).__format__")
        }
        let result = try formatted(value, try parse(text, for: value))
        try charge(result.utf8.count)
        return result
    }

    private func field(
        _ path: String, _ arguments: Arguments, _ automatic: inout Int
    ) throws(TemplateError) -> JinjaValue {
        var reader = ScalarReader(path)
        func part(_ ends: Set<Unicode.Scalar>) -> String {
            var view = String.UnicodeScalarView()
            while let scalar = reader.current, !ends.contains(scalar) {
                view.append(scalar)
                reader.position += 1
            }
            return String(view)
        }
        let first = part([".", "["])
        var value: JinjaValue
        if first.isEmpty || Int(first) != nil {
            let index = Int(first) ?? automatic
            if first.isEmpty { automatic += 1 }
            guard arguments.positional.indices.contains(index) else {
                throw TemplateError(.value, "Replacement index \(index) out of range for positional args tuple")
            }
            value = arguments.positional[index]
        } else {
            guard let named = arguments.keyword.last(where: { $0.name == first }) else {
                throw TemplateError(.value, "key '\(first)' not found")
            }
            value = named.value
        }
        while let mark = reader.next() {
            if mark == "." {
                value = try attribute(part([".", "["]), of: value)
            } else {
                let key = part(["]"])
                guard reader.skip("]") else { throw TemplateError(.value, "Missing ']' in format string") }
                value = try item(Int(key).map(JinjaValue.int) ?? .string(key), of: value)
            }
        }
        return value
    }

    private func parse(_ text: String, for value: JinjaValue) throws(TemplateError) -> FormatSpecification {
        var specification = FormatSpecification()
        var reader = ScalarReader(text)
        func alignment(_ scalar: Unicode.Scalar) -> FormatSpecification.Alignment? {
            switch scalar {
            case "<": .left
            case ">": .right
            case "^": .center
            case "=": .afterSign
            default: nil
            }
        }
        if reader.scalars.count > 1, let found = alignment(reader.scalars[1]) {
            specification.fill = reader.scalars[0]
            specification.alignment = found
            reader.position = 2
        } else if let first = reader.current, let found = alignment(first) {
            specification.alignment = found
            reader.position = 1
        }
        if let sign = reader.current, sign == "+" || sign == "-" || sign == " " {
            specification.sign = sign
            reader.position += 1
        }
        _ = reader.skip("z")
        specification.isAlternate = reader.skip("#")
        if reader.skip("0"), specification.alignment == nil {
            specification.fill = "0"
            specification.alignment = value.text == nil ? .afterSign : .left
        }
        specification.width = try reader.number() ?? 0
        if let grouping = reader.current, grouping == "," || grouping == "_" {
            specification.grouping = grouping
            reader.position += 1
        }
        if reader.skip(".") {
            guard let precision = try reader.number() else {
                throw TemplateError(.value, "Format specifier missing precision")
            }
            specification.precision = precision
        }
        specification.type = reader.next()
        guard reader.current == nil else { throw TemplateError(.value, "Invalid format specifier '\(text)'") }
        return specification
    }

    // MARK: Fields

    private func formatted(
        _ value: JinjaValue, _ specification: FormatSpecification
    ) throws(TemplateError) -> String {
        switch value {
        case .float(let number): return try formatted(number, specification)
        case .int, .bool, .bigInt:
            switch specification.type {
            case "e", "E", "f", "F", "g", "G", "%": return try formatted(value.double ?? 0, specification)
            case "c": return try formatted(try character(value.integer ?? -1), specification)
            case nil where isBoolean(value) && specification.width == 0: return try text(of: value)
            case nil, "d", "n", "b", "o", "x", "X": return try formatted(integer: value, specification)
            default: break
            }
        default:
            if specification.type == nil || specification.type == "s" {
                return try formatted(try text(of: value), specification)
            }
        }
        throw TemplateError(
            .value,
            "Unknown format code '\(specification.type.map { String($0) } ?? "")' for object of type '\(value.typeName)'"
        )
    }

    private func isBoolean(_ value: JinjaValue) -> Bool { if case .bool = value { true } else { false } }

    private func formatted(_ text: String, _ specification: FormatSpecification) throws(TemplateError) -> String {
        var text = text
        if let precision = specification.precision { text = String(text.unicodeScalars.prefix(precision)) }
        return try aligned(text, specification, .left)
    }

    private func formatted(
        integer value: JinjaValue, _ specification: FormatSpecification
    ) throws(TemplateError) -> String {
        var digits: String
        var isNegative: Bool
        var prefix = ""
        if case .bigInt(let text) = value {
            isNegative = text.hasPrefix("-")
            digits = isNegative ? String(text.dropFirst()) : text
            guard specification.type == nil || specification.type == "d" else {
                throw TemplateError(.overflow, "integer does not fit 64 bits")
            }
        } else {
            let number = value.integer ?? 0
            isNegative = number < 0
            switch specification.type {
            case "x": (digits, prefix) = (String(number.magnitude, radix: 16), "0x")
            case "X": (digits, prefix) = (String(number.magnitude, radix: 16, uppercase: true), "0X")
            case "o": (digits, prefix) = (String(number.magnitude, radix: 8), "0o")
            case "b": (digits, prefix) = (String(number.magnitude, radix: 2), "0b")
            default: digits = String(number.magnitude)
            }
        }
        if let precision = specification.precision {
            // Only `%` formatting lets a precision through to integers: the least number of digits.
            let missing = try padding(for: digits, to: precision)
            digits = String(repeating: "0", count: missing) + digits
        }
        return try signed(
            digits, isNegative: isNegative, prefix: specification.isAlternate ? prefix : "", specification)
    }

    private func formatted(_ number: Double, _ specification: FormatSpecification) throws(TemplateError) -> String {
        let precision = specification.precision ?? 6
        guard precision <= maximumFloatPrecision else {
            throw TemplateError(.limit, "precision larger than \(maximumFloatPrecision)")
        }
        let magnitude = number.magnitude
        let isNegative = number.sign == .minus && !number.isNaN
        var digits: String
        switch specification.type {
        case "e", "E", "f", "F", "g", "G":
            digits = floatText(
                magnitude, style: specification.type.map { Character($0) } ?? "f", precision: precision,
                alternate: specification.isAlternate)
        case "%": digits = floatText(magnitude * 100, style: "f", precision: precision) + "%"
        case nil, "n":
            if specification.precision == nil {
                digits = pythonFloatText(magnitude)
            } else {
                digits = floatText(magnitude, style: "g", precision: max(precision, 1))
                if !digits.contains("."), !digits.contains("e"), magnitude.isFinite { digits += ".0" }
            }
        case let type?:
            throw TemplateError(.value, "Unknown format code '\(type)' for object of type 'float'")
        }
        return try signed(digits, isNegative: isNegative, prefix: "", specification)
    }

    private func signed(
        _ digits: String, isNegative: Bool, prefix: String, _ specification: FormatSpecification
    ) throws(TemplateError) -> String {
        var digits = digits
        if let grouping = specification.grouping {
            let whole = digits.prefix { $0.isNumber }
            var grouped = ""
            for (place, digit) in whole.enumerated() {
                if place > 0, (whole.count - place) % 3 == 0 { grouped.unicodeScalars.append(grouping) }
                grouped.append(digit)
            }
            digits = grouped + digits.dropFirst(whole.count)
        }
        let sign = isNegative ? "-" : specification.sign == "-" ? "" : String(specification.sign)
        let head = sign + prefix
        if specification.alignment == .afterSign {
            let fill = String(specification.fill)
            let missing = try padding(for: head + digits, to: specification.width, fill: fill)
            return head + String(repeating: fill, count: missing) + digits
        }
        return try aligned(head + digits, specification, .right)
    }

    private func aligned(
        _ text: String, _ specification: FormatSpecification, _ standard: FormatSpecification.Alignment
    ) throws(TemplateError) -> String {
        let fill = String(specification.fill)
        let missing = try padding(for: text, to: specification.width, fill: fill)
        switch specification.alignment ?? standard {
        case .left: return text + String(repeating: fill, count: missing)
        case .right, .afterSign: return String(repeating: fill, count: missing) + text
        case .center:
            return String(repeating: fill, count: missing / 2) + text
                + String(repeating: fill, count: missing - missing / 2)
        }
    }
}
