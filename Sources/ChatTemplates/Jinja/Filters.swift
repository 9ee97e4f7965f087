/// The filters of Jinja (`x | trim`), with transformers' `tojson`, and `from_json`, which some published templates use.
enum JinjaFilter: String {
    case abs, attr, batch, capitalize, center, `default`, dictsort, escape, filesizeformat, first, float, forceescape
    case format, groupby, indent, int, items, join, last, length, list, lower, map, max, min, pprint, random, reject
    case rejectattr, replace, reverse, round, safe, select, selectattr, slice, sort, string, striptags, sum, title
    case tojson, trim, truncate, unique, upper, urlencode, wordcount, wordwrap, xmlattr
    case fromJSON = "from_json"

    private static let otherNames: [String: JinjaFilter] = ["count": .length, "d": .default, "e": .escape]

    init?(named name: String) {
        guard let filter = JinjaFilter(rawValue: name) ?? Self.otherNames[name] else { return nil }
        self = filter
    }
}

extension Evaluator {
    @inline(never)
    func apply(
        filter name: String, to value: JinjaValue, _ arguments: Arguments
    ) throws(TemplateError) -> JinjaValue {
        guard let filter = JinjaFilter(named: name) else {
            throw TemplateError(.syntax, "No filter named '\(name)'.")
        }
        switch filter {
        case .default:
            let bound = try arguments.bound(to: ["default_value", "boolean"], in: name)
            let isMissing = value.isUndefined || (bound[1]?.isTrue ?? false) && !value.isTrue
            return isMissing ? bound[0] ?? .string("") : value
        case .attr:
            let key = try arguments.bound(to: ["name"], required: 1, in: name)[0] ?? .none
            // Attributes only: unlike `value.name` never an element of a dictionary.
            let found = try attribute(try text(of: key), of: value)
            if case .dictionary(let dictionary) = value, method(try text(of: key), of: dictionary) == nil {
                return .undefined(.attribute(try text(of: key), ofType: value.describedType))
            }
            return found
        case .tojson: return try toJSON(value, arguments)
        case .fromJSON:
            guard let text = value.text else {
                throw TemplateError(.type, "the JSON object must be str, not \(value.typeName)")
            }
            try charge(text.utf8.count &* 16)
            do {
                return JinjaValue(try JSONValue(parsing: text))
            } catch {
                throw TemplateError(.value, "from_json: \(error)")
            }
        case .abs, .float, .int, .round, .filesizeformat: return try applyNumeric(filter, value, arguments)
        case .batch, .dictsort, .first, .groupby, .items, .join, .last, .length, .list, .map, .max, .min, .random,
            .reject, .rejectattr, .reverse, .select, .selectattr, .slice, .sort, .sum, .unique:
            return try applyToCollection(filter, value, arguments)
        default: return try applyToText(filter, value, arguments)
        }
    }

    /// transformers' `tojson`: Python's `json.dumps` with `ensure_ascii` off by default.
    private func toJSON(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(
            to: ["ensure_ascii", "indent", "separators", "sort_keys"], in: "tojson")
        var style = JSONStyle.spaced
        style.asciiOnly = bound[0]?.isTrue ?? false
        if let indent = bound[1], !indent.isNone {
            if let text = indent.text {
                style.indent = text
            } else {
                let width = max(0, indent.integer ?? 0)
                guard width <= 1000 else { throw TemplateError(.limit, "tojson: indent larger than 1000") }
                style.indent = String(repeating: " ", count: width)
            }
            style.itemSeparator = ","
        }
        if let separators = bound[2], !separators.isNone {
            let pair = try elements(of: separators)
            guard pair.count == 2, let item = pair[0].text, let key = pair[1].text else {
                throw TemplateError(.value, "tojson: separators must be a pair of strings")
            }
            (style.itemSeparator, style.keySeparator) = (item, key)
        }
        style.sortedKeys = bound[3]?.isTrue ?? false
        let json = try json(value)
        // White space is what a nested value can blow up: count it before it is written.
        try charge(layoutBytes(json, style, level: 1))
        let text = json.text(style)
        try charge(text.utf8.count)
        return .string(text)
    }

    private func layoutBytes(_ value: JSONValue, _ style: JSONStyle, level: Int) throws(TemplateError) -> Int {
        let perElement =
            style.itemSeparator.utf8.count + style.keySeparator.utf8.count + 1 + level * (style.indent?.utf8.count ?? 0)
        var children: [JSONValue] = []
        switch value {
        case .array(let elements): children = elements
        case .object(let object): children = object.values
        default: return 0
        }
        var total = (children.count + 1) * perElement
        try charge(total)
        for child in children { total += try layoutBytes(child, style, level: level + 1) }
        return total
    }

    // MARK: Numbers

    private func applyNumeric(
        _ filter: JinjaFilter, _ value: JinjaValue, _ arguments: Arguments
    ) throws(TemplateError) -> JinjaValue {
        let name = filter.rawValue
        switch filter {
        case .abs:
            if case .undefined(let missing) = value { throw missing.error }
            if case .float(let number) = value { return .float(number.magnitude) }
            if case .bigInt(let digits) = value { return digits.hasPrefix("-") ? try negated(value) : value }
            guard let number = value.integer else {
                throw TemplateError(.type, "bad operand type for abs(): '\(value.typeName)'")
            }
            return number < 0 ? try negated(.int(number)) : .int(number)
        case .float:
            let standard = try arguments.bound(to: ["default"], in: name)[0] ?? .float(0)
            if let number = value.double { return .float(number) }
            return value.text.flatMap(floatingPoint).map(JinjaValue.float) ?? standard
        case .int:
            let bound = try arguments.bound(to: ["default", "base"], in: name)
            return integer(value, base: bound[1]?.integer ?? 10) ?? bound[0] ?? .int(0)
        case .round: return try rounded(value, arguments)
        default: return .string(try fileSize(value, arguments))
        }
    }

    /// Python's `float(text)`.
    private func floatingPoint(_ text: String) -> Double? {
        let trimmed = stripped(text)
        switch trimmed.lowercased() {
        case "inf", "+inf", "infinity", "+infinity": return .infinity
        case "-inf", "-infinity": return -.infinity
        case "nan", "+nan", "-nan": return .nan
        default: break
        }
        // Swift also reads hexadecimal floating point, which Python does not.
        let allowed = trimmed.utf8.allSatisfy {
            0x30...0x39 ~= $0 || [0x2B, 0x2D, 0x2E, 0x45, 0x5F, 0x65].contains($0)
        }
        guard allowed, let number = Double(String(decoding: trimmed.utf8.filter { $0 != 0x5F }, as: UTF8.self)) else {
            return nil
        }
        return number
    }

    private func integer(_ value: JinjaValue, base: Int) -> JinjaValue? {
        if let number = value.integer { return .int(number) }
        if case .bigInt = value { return value }
        guard let text = value.text else {
            return value.double.flatMap { Int(exactly: $0.rounded(.towardZero)) }.map(JinjaValue.int)
        }
        var digits = String(decoding: stripped(text).utf8.filter { $0 != 0x5F }, as: UTF8.self).lowercased()
        let isNegative = digits.hasPrefix("-")
        if isNegative || digits.hasPrefix("+") { digits.removeFirst() }
        if let prefix = [16: "0x", 8: "0o", 2: "0b"][base], digits.hasPrefix(prefix) { digits.removeFirst(2) }
        if 2...36 ~= base, !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 0x30 }),
            let number = Int((isNegative ? "-" : "") + digits, radix: base)
        {
            return .int(number)
        }
        guard base == 10, let number = floatingPoint(text) else { return nil }
        return Int(exactly: number.rounded(.towardZero)).map(JinjaValue.int)
    }

    private func rounded(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["precision", "method"], in: "round")
        let precision = bound[0]?.integer ?? 0
        let method = bound[1]?.text ?? "common"
        guard ["common", "ceil", "floor"].contains(method) else {
            throw TemplateError(.value, "method must be common, ceil or floor")
        }
        if case .undefined(let missing) = value { throw missing.error }
        guard let number = value.double else {
            throw TemplateError(.type, "type \(value.typeName) doesn't define __round__ method")
        }
        guard number.isFinite, -300...300 ~= precision else { return value }
        if method == "common" {
            if case .float = value, precision >= 0 {
                return .float(Double(floatText(number, style: "f", precision: precision)) ?? number)
            }
            if let whole = value.integer, precision >= 0 { return .int(whole) }
        }
        let factor = floatPower(10, Double(precision))
        let scaled = number * factor
        let result =
            switch method {
            case "ceil": scaled.rounded(.up)
            case "floor": scaled.rounded(.down)
            default: scaled.rounded(.toNearestOrEven)
            }
        if method == "common", value.integer != nil, let whole = Int(exactly: result / factor) { return .int(whole) }
        return .float(result / factor)
    }

    private func fileSize(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> String {
        let isBinary = try arguments.bound(to: ["binary"], in: "filesizeformat")[0]?.isTrue ?? false
        guard let bytes = value.double ?? value.text.flatMap(floatingPoint) else {
            throw TemplateError(.value, "filesizeformat: '\(value.typeName)' is not a number")
        }
        if bytes == 1 { return "1 Byte" }
        let base: Double = isBinary ? 1024 : 1000
        if bytes < base { return "\(Int(exactly: bytes.rounded(.towardZero)) ?? 0) Bytes" }
        var unit = base
        let letters = ["k", "M", "G", "T", "P", "E", "Z", "Y"]
        for (place, letter) in letters.enumerated() {
            unit *= base
            if bytes < unit || place == letters.count - 1 {
                let name = isBinary ? letter.uppercased() + "iB" : letter + "B"
                return floatText(base * bytes / unit, style: "f", precision: 1) + " " + name
            }
        }
        return ""
    }
}
