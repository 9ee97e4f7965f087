/// The methods of Python strings.
enum StringMethod: String {
    case capitalize, casefold, center, count, encode, endswith, expandtabs, find, format, index, isalnum, isalpha
    case isascii, isdecimal, isdigit, islower, isnumeric, isspace, istitle, isupper, join, ljust, lower, lstrip
    case partition, removeprefix, removesuffix, replace, rfind, rindex, rjust, rpartition, rsplit, rstrip, split
    case splitlines, startswith, strip, swapcase, title, upper, zfill

    init?(named name: String) { self.init(rawValue: name) }
}

extension Evaluator {
    func bind(_ method: StringMethod, to text: String, isMarkup: Bool) -> JinjaValue {
        .function(method.rawValue) { arguments, evaluator throws(TemplateError) in
            try evaluator.charge(text.utf8.count)
            let result = try evaluator.call(method, of: text, arguments)
            if isMarkup, case .string(let text) = result { return .markup(text) }
            return result
        }
    }

    func call(_ method: StringMethod, of text: String, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        switch method {
        case .capitalize: return .string(capitalized(text))
        case .casefold, .lower: return .string(lowercased(text))
        case .upper: return .string(text.uppercased())
        case .title: return .string(titled(text))
        case .swapcase: return .string(swappedCase(text))
        case .center, .ljust, .rjust, .zfill: return .string(try padded(text, method, arguments))
        case .strip, .lstrip, .rstrip:
            let characters = try arguments.bound(to: ["chars"], in: method.rawValue)[0]
            return .string(
                stripped(
                    text, of: try optionalText(characters, method), leading: method != .rstrip,
                    trailing: method != .lstrip))
        case .split, .rsplit: return try split(text, fromEnd: method == .rsplit, arguments)
        case .splitlines:
            let keepEnds = try arguments.bound(to: ["keepends"], in: method.rawValue)[0]?.isTrue ?? false
            return try list(lines(of: text, keepEnds: keepEnds))
        case .partition, .rpartition: return try partition(text, fromEnd: method == .rpartition, arguments)
        case .startswith, .endswith: return .bool(try hasAffix(text, method, arguments))
        case .removeprefix, .removesuffix: return .string(try removingAffix(text, method, arguments))
        case .find, .rfind, .index, .rindex, .count: return .int(try search(text, method, arguments))
        case .replace:
            let bound = try arguments.bound(to: ["old", "new", "count"], required: 2, in: method.rawValue)
            let count = try bound[2].map { value throws(TemplateError) in try integer(value, method) }
            return .string(
                try replacing(
                    try requiredText(bound[0], method), with: try requiredText(bound[1], method), in: text,
                    limit: count ?? -1))
        case .join:
            let bound = try arguments.bound(to: ["iterable"], required: 1, in: method.rawValue)
            return .string(try joined(try elements(of: bound[0] ?? .none), separator: text, method))
        case .format: return .string(try braceFormatted(text, arguments))
        case .expandtabs: return .string(try expandingTabs(text, arguments))
        case .encode:
            // Bytes have no use in a prompt; templates that only ask whether they could be had get their answer.
            return .object(JinjaObject())
        case .isalnum, .isalpha, .isascii, .isdecimal, .isdigit, .islower, .isnumeric, .isspace, .istitle, .isupper:
            _ = try arguments.bound(to: [], in: method.rawValue)
            return .bool(hasNature(text, method))
        }
    }

    // MARK: Arguments

    private func requiredText(_ value: JinjaValue?, _ method: StringMethod) throws(TemplateError) -> String {
        if case .undefined(let missing) = value { throw missing.error }
        guard let text = value?.text else {
            throw TemplateError(
                .type, "\(method.rawValue)() argument must be str, not \(value?.typeName ?? "nothing")")
        }
        return text
    }

    private func optionalText(_ value: JinjaValue?, _ method: StringMethod) throws(TemplateError) -> String? {
        guard let value, !value.isNone else { return nil }
        return try requiredText(value, method)
    }

    private func integer(_ value: JinjaValue, _ method: StringMethod) throws(TemplateError) -> Int {
        guard let number = value.integer else {
            throw TemplateError(.type, "'\(value.typeName)' object cannot be interpreted as an integer")
        }
        return number
    }

    private func list(_ texts: [String]) throws(TemplateError) -> JinjaValue {
        try charge(elements: texts.count)
        return .list(texts.map { .string($0) })
    }

    // MARK: Case

    /// Lower case with the one rule that depends on context: a capital sigma at the end of a word.
    func lowercased(_ text: String) -> String {
        guard text.unicodeScalars.contains("\u{03A3}") else { return text.lowercased() }
        let scalars = Array(text.unicodeScalars)
        var result = ""
        for (place, scalar) in scalars.enumerated() {
            if scalar == "\u{03A3}" {
                let before = scalars[..<place].last { !$0.properties.isCaseIgnorable }?.properties.isCased ?? false
                let after =
                    scalars[(place + 1)...].first { !$0.properties.isCaseIgnorable }?.properties.isCased ?? false
                result += before && !after ? "\u{03C2}" : "\u{03C3}"
            } else {
                result += scalar.properties.lowercaseMapping
            }
        }
        return result
    }

    func capitalized(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return "" }
        return first.properties.titlecaseMapping + lowercased(String(text.unicodeScalars.dropFirst()))
    }

    private func titled(_ text: String) -> String {
        var result = ""
        var followsCased = false
        for scalar in text.unicodeScalars {
            result += followsCased ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
            followsCased = scalar.properties.isCased
        }
        return result
    }

    private func swappedCase(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let properties = scalar.properties
            result +=
                properties.isUppercase
                ? properties.lowercaseMapping : properties.isLowercase ? properties.uppercaseMapping : String(scalar)
        }
        return result
    }

    private func hasNature(_ text: String, _ method: StringMethod) -> Bool {
        let scalars = text.unicodeScalars
        switch method {
        case .isascii: return scalars.allSatisfy(\.isASCII)
        case .islower:
            return scalars.contains { $0.properties.isLowercase }
                && !scalars.contains { $0.properties.isUppercase || $0.properties.generalCategory == .titlecaseLetter }
        case .isupper:
            return scalars.contains { $0.properties.isUppercase }
                && !scalars.contains { $0.properties.isLowercase || $0.properties.generalCategory == .titlecaseLetter }
        case .istitle: return scalars.contains { $0.properties.isCased } && titled(text).sameCodePoints(as: text)
        default: break
        }
        func has(_ scalar: Unicode.Scalar, _ method: StringMethod) -> Bool {
            switch method {
            case .isspace: isPythonSpace(scalar)
            case .isdecimal: scalar.properties.numericType == .decimal
            case .isdigit: scalar.properties.numericType == .decimal || scalar.properties.numericType == .digit
            case .isnumeric: scalar.properties.numericType != nil
            case .isalpha:
                switch scalar.properties.generalCategory {
                case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
                default: false
                }
            default: has(scalar, .isalpha) || has(scalar, .isnumeric)
            }
        }
        return !scalars.isEmpty && scalars.allSatisfy { has($0, method) }
    }

    func isPythonSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || 0x1C...0x1F ~= scalar.value
    }

    // MARK: Padding and stripping

    /// - Parameter characters: what to strip; white space if nil.
    func stripped(_ text: String, of characters: String? = nil, leading: Bool = true, trailing: Bool = true) -> String {
        let set = characters.map { Set($0.unicodeScalars) }
        func goes(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? isPythonSpace(scalar) }
        var rest = text.unicodeScalars[...]
        if leading { rest = rest.drop(while: goes) }
        if trailing { while let last = rest.last, goes(last) { rest.removeLast() } }
        return String(rest)
    }

    private func padded(
        _ text: String, _ method: StringMethod, _ arguments: Arguments
    ) throws(TemplateError) -> String {
        let names = method == .zfill ? ["width"] : ["width", "fillchar"]
        let bound = try arguments.bound(to: names, required: 1, in: method.rawValue)
        let width = try integer(bound[0] ?? .none, method)
        var fill = "0"
        if method != .zfill {
            fill = try optionalText(bound[1], method) ?? " "
            guard fill.unicodeScalars.count == 1 else {
                throw TemplateError(.type, "The fill character must be exactly one character long")
            }
        }
        let missing = try padding(for: text, to: width, fill: fill)
        switch method {
        case .center: return centered(text, width: width, missing: missing, fill: fill)
        case .ljust: return text + String(repeating: fill, count: missing)
        case .rjust: return String(repeating: fill, count: missing) + text
        default:
            let hasSign = text.utf8.first == UInt8(ascii: "-") || text.utf8.first == UInt8(ascii: "+")
            let sign = hasSign ? String(text.unicodeScalars.prefix(1)) : ""
            return sign + String(repeating: fill, count: missing)
                + String(text.unicodeScalars.dropFirst(sign.utf8.count))
        }
    }

    /// How many fill characters are missing to `width`, paid for.
    func padding(for text: String, to width: Int, fill: String = " ") throws(TemplateError) -> Int {
        let length = text.unicodeScalars.count
        guard width > length else { return 0 }
        let (bytes, overflow) = (width - length).multipliedReportingOverflow(by: fill.utf8.count)
        try charge(overflow ? .max : bytes)
        return width - length
    }

    /// Python puts the odd fill character on the left if both the width and the padding are odd.
    func centered(_ text: String, width: Int, missing: Int, fill: String) -> String {
        let left = missing / 2 + (missing & width & 1)
        return String(repeating: fill, count: left) + text + String(repeating: fill, count: missing - left)
    }

    private func expandingTabs(_ text: String, _ arguments: Arguments) throws(TemplateError) -> String {
        let size = try arguments.bound(to: ["tabsize"], in: "expandtabs")[0].map { value throws(TemplateError) in
            try integer(value, .expandtabs)
        }
        let width = size ?? 8
        var result = ""
        var column = 0
        for scalar in text.unicodeScalars {
            if scalar == "\t" {
                let count = width > 0 ? width - column % width : 0
                try charge(count)
                result += String(repeating: " ", count: count)
                column += count
            } else {
                result.unicodeScalars.append(scalar)
                column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
            }
        }
        return result
    }

    // MARK: Splitting and joining

    private func split(_ text: String, fromEnd: Bool, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let method: StringMethod = fromEnd ? .rsplit : .split
        let bound = try arguments.bound(to: ["sep", "maxsplit"], in: method.rawValue)
        let limit = try bound[1].map { value throws(TemplateError) in try integer(value, method) } ?? -1
        let maximum = limit < 0 ? Int.max : limit
        guard let separator = try optionalText(bound[0], method) else {
            return try list(words(of: text, maximum: maximum, fromEnd: fromEnd))
        }
        guard !separator.isEmpty else { throw TemplateError(.value, "empty separator") }
        let bytes = Array(text.utf8)
        let needle = Array(separator.utf8)
        var parts: [String] = []
        if fromEnd {
            // Occurrences from the right, which may overlap those from the left: search backwards.
            var end = bytes.count
            for place in utf8Occurrences(of: needle.reversed(), in: bytes.reversed(), limit: maximum) {
                let start = bytes.count - place
                parts.append(String(decoding: bytes[start..<end], as: UTF8.self))
                end = start - needle.count
            }
            parts.append(String(decoding: bytes[..<end], as: UTF8.self))
            parts.reverse()
        } else {
            var start = 0
            for place in utf8Occurrences(of: needle, in: bytes, limit: maximum) {
                parts.append(String(decoding: bytes[start..<place], as: UTF8.self))
                start = place + needle.count
            }
            parts.append(String(decoding: bytes[start...], as: UTF8.self))
        }
        return try list(parts)
    }

    /// Splitting at runs of white space.
    private func words(of text: String, maximum: Int, fromEnd: Bool) -> [String] {
        let all = text.unicodeScalars.split(whereSeparator: isPythonSpace)
        guard all.count > maximum else { return all.map { String($0) } }
        let scalars = text.unicodeScalars
        if fromEnd {
            let end = all[all.count - maximum - 1].endIndex
            let head = stripped(String(scalars[..<end]), trailing: false)
            return [head] + all.suffix(maximum).map { String($0) }
        }
        let tail = stripped(String(scalars[all[maximum].startIndex...]), leading: false)
        return all.prefix(maximum).map { String($0) } + [maximum == 0 ? stripped(text, trailing: false) : tail]
    }

    func lines(of text: String, keepEnds: Bool = false) -> [String] {
        var lines: [String] = []
        var line = String.UnicodeScalarView()
        let scalars = Array(text.unicodeScalars)
        var place = 0
        while place < scalars.count {
            let scalar = scalars[place]
            place += 1
            switch scalar {
            case "\n", "\r", "\u{0B}", "\u{0C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}":
                if keepEnds { line.append(scalar) }
                if scalar == "\r", place < scalars.count, scalars[place] == "\n" {
                    if keepEnds { line.append("\n") }
                    place += 1
                }
                lines.append(String(line))
                line = String.UnicodeScalarView()
            default: line.append(scalar)
            }
        }
        if !line.isEmpty { lines.append(String(line)) }
        return lines
    }

    private func partition(_ text: String, fromEnd: Bool, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let method: StringMethod = fromEnd ? .rpartition : .partition
        let separator = try requiredText(try arguments.bound(to: ["sep"], required: 1, in: method.rawValue)[0], method)
        guard !separator.isEmpty else { throw TemplateError(.value, "empty separator") }
        let bytes = Array(text.utf8)
        let needle = Array(separator.utf8)
        let place =
            fromEnd
            ? utf8Occurrences(of: needle.reversed(), in: bytes.reversed(), limit: 1).first.map {
                bytes.count - $0 - needle.count
            } : utf8Occurrences(of: needle, in: bytes, limit: 1).first
        guard let place else {
            return .tuple(
                fromEnd ? [.string(""), .string(""), .string(text)] : [.string(text), .string(""), .string("")])
        }
        return .tuple([
            .string(String(decoding: bytes[..<place], as: UTF8.self)), .string(separator),
            .string(String(decoding: bytes[(place + needle.count)...], as: UTF8.self)),
        ])
    }

    private func joined(
        _ elements: [JinjaValue], separator: String, _ method: StringMethod
    ) throws(TemplateError) -> String {
        var result = ""
        for (place, element) in elements.enumerated() {
            guard let text = element.text else {
                throw TemplateError(
                    .type, "sequence item \(place): expected str instance, \(element.typeName) found")
            }
            if place > 0 { result += separator }
            result += text
            try charge(text.utf8.count + separator.utf8.count)
            guard result.utf8.count <= limits.outputBytes else {
                throw TemplateError(.limit, "a value is larger than \(limits.outputBytes) bytes")
            }
        }
        return result
    }

    /// - Parameter limit: how many occurrences at most; all if negative.
    func replacing(
        _ old: String, with new: String, in text: String, limit: Int = -1
    ) throws(TemplateError) -> String {
        let maximum = limit < 0 ? Int.max : limit
        let bytes = Array(text.utf8)
        try charge(bytes.count)
        let needle = Array(old.utf8)
        let places: [Int]
        if needle.isEmpty {
            // An empty string occurs before every character and at the end.
            let starts = bytes.indices.filter { bytes[$0] & 0xC0 != 0x80 } + [bytes.count]
            places = Array(starts.prefix(maximum))
        } else {
            places = utf8Occurrences(of: needle, in: bytes, limit: maximum)
        }
        let (added, overflow) = places.count.multipliedReportingOverflow(by: new.utf8.count)
        try charge(overflow ? .max : added + bytes.count)
        var result: [UInt8] = []
        var start = 0
        for place in places {
            result += bytes[start..<place]
            result += new.utf8
            start = place + needle.count
        }
        result += bytes[start...]
        return String(decoding: result, as: UTF8.self)
    }

    // MARK: Searching

    private func hasAffix(_ text: String, _ method: StringMethod, _ arguments: Arguments) throws(TemplateError) -> Bool
    {
        let bound = try arguments.bound(to: ["prefix", "start", "end"], required: 1, in: method.rawValue)
        let part = try substring(text, bound[1], bound[2], method).utf8
        var candidates = [bound[0] ?? .none]
        if case .sequence(let sequence) = candidates[0], sequence.isTuple { candidates = sequence.elements }
        for candidate in candidates {
            let affix = try requiredText(candidate, method).utf8
            guard affix.count <= part.count else { continue }
            if method == .startswith ? part.starts(with: affix) : part.suffix(affix.count).elementsEqual(affix) {
                return true
            }
        }
        return false
    }

    private func removingAffix(
        _ text: String, _ method: StringMethod, _ arguments: Arguments
    ) throws(TemplateError) -> String {
        let bound = try arguments.bound(to: ["affix"], required: 1, in: method.rawValue)
        let affix = try requiredText(bound[0], method).utf8
        guard affix.count <= text.utf8.count else { return text }
        if method == .removeprefix {
            return text.utf8.starts(with: affix)
                ? String(decoding: text.utf8.dropFirst(affix.count), as: UTF8.self) : text
        }
        return text.utf8.suffix(affix.count).elementsEqual(affix)
            ? String(decoding: text.utf8.dropLast(affix.count), as: UTF8.self) : text
    }

    private func substring(
        _ text: String, _ start: JinjaValue?, _ end: JinjaValue?, _ method: StringMethod
    ) throws(TemplateError) -> String {
        if start == nil, end == nil { return text }
        let scalars = Array(text.unicodeScalars)
        func place(_ value: JinjaValue?, _ missing: Int) throws(TemplateError) -> Int {
            guard let value, !value.isNone else { return missing }
            let index = try integer(value, method)
            return min(max(index < 0 ? index + scalars.count : index, 0), scalars.count)
        }
        let from = try place(start, 0)
        let to = try place(end, scalars.count)
        var view = String.UnicodeScalarView()
        if from < to { view.append(contentsOf: scalars[from..<to]) }
        return String(view)
    }

    private func search(_ text: String, _ method: StringMethod, _ arguments: Arguments) throws(TemplateError) -> Int {
        let bound = try arguments.bound(to: ["sub", "start", "end"], required: 1, in: method.rawValue)
        let needle = Array(try requiredText(bound[0], method).utf8)
        let part = try substring(text, bound[1], bound[2], method)
        let bytes = Array(part.utf8)
        if method == .count {
            return needle.isEmpty ? part.unicodeScalars.count + 1 : utf8Occurrences(of: needle, in: bytes).count
        }
        let isFromEnd = method == .rfind || method == .rindex
        var place: Int?
        if needle.isEmpty {
            place = isFromEnd ? bytes.count : 0
        } else if isFromEnd {
            place = utf8Occurrences(of: needle.reversed(), in: bytes.reversed(), limit: 1).first.map {
                bytes.count - $0 - needle.count
            }
        } else {
            place = utf8Occurrences(of: needle, in: bytes, limit: 1).first
        }
        guard let place else {
            if method == .find || method == .rfind { return -1 }
            throw TemplateError(.value, "substring not found")
        }
        // A start beyond zero shifts the result, which counts from the beginning of the whole text.
        let before = String(decoding: bytes[..<place], as: UTF8.self).unicodeScalars.count
        guard let start = bound[1], !start.isNone else { return before }
        let index = try integer(start, method)
        let count = text.unicodeScalars.count
        return before + min(max(index < 0 ? index + count : index, 0), count)
    }
}
