extension Evaluator {
    func applyToText(
        _ filter: JinjaFilter, _ value: JinjaValue, _ arguments: Arguments
    ) throws(TemplateError) -> JinjaValue {
        let name = filter.rawValue
        let text = try text(of: value)
        try charge(text.utf8.count)
        func like(_ result: String) -> JinjaValue { value.isMarkup ? .markup(result) : .string(result) }
        func integer(_ argument: JinjaValue?, _ standard: Int) throws(TemplateError) -> Int {
            guard let argument else { return standard }
            guard let number = argument.integer else {
                throw TemplateError(.type, "\(name): '\(argument.typeName)' object is not an integer")
            }
            return number
        }
        if [.indent, .truncate, .wordwrap].contains(filter), value.text == nil {
            if case .undefined(let missing) = value { throw missing.error }
            throw TemplateError(.type, "\(name): expected text, not '\(value.typeName)'")
        }
        switch filter {
        case .string, .pprint:
            _ = try arguments.bound(to: filter == .pprint ? ["verbose"] : [], in: name)
            return filter == .pprint ? .string(try representation(of: value)) : like(text)
        case .safe: return .markup(text)
        case .escape: return .markup(value.isMarkup ? text : try escaped(text))
        case .forceescape: return .markup(try escaped(text))
        case .upper: return like(text.uppercased())
        case .lower: return like(lowercased(text))
        case .capitalize: return like(capitalized(text))
        case .title: return like(titleWords(text))
        case .trim:
            let characters = try arguments.bound(to: ["chars"], in: name)[0]
            return like(stripped(text, of: characters?.text))
        case .center:
            let width = try integer(try arguments.bound(to: ["width"], in: name)[0], 80)
            return like(centered(text, width: width, missing: try padding(for: text, to: width), fill: " "))
        case .replace:
            let bound = try arguments.bound(to: ["old", "new", "count"], required: 2, in: name)
            let old = try self.text(of: bound[0] ?? .none)
            let new = try self.text(of: bound[1] ?? .none)
            let limit = bound[2].flatMap { $0.integer } ?? -1
            return .string(try replacing(old, with: new, in: text, limit: limit))
        case .indent: return like(try indented(text, arguments))
        case .format:
            guard arguments.positional.isEmpty || arguments.keyword.isEmpty else {
                throw TemplateError(.type, "can't handle positional and keyword arguments at the same time")
            }
            let operand: JinjaValue =
                arguments.keyword.isEmpty
                ? .tuple(arguments.positional)
                : .dictionary(try JinjaGlobals.dictionary(arguments, self))
            return .string(try percentFormatted(text, operand))
        case .striptags: return .string(strippingTags(text))
        case .truncate: return .string(try truncated(text, arguments))
        case .urlencode: return .string(try urlEncoded(value, text))
        case .wordcount:
            return .int(words(text).count)
        case .wordwrap: return .string(try wrapped(text, arguments))
        case .xmlattr: return .markup(try xmlAttributes(value, arguments))
        default: return value
        }
    }

    /// HTML escapes as MarkupSafe writes them.
    func escaped(_ text: String) throws(TemplateError) -> String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): result += "&amp;".utf8
            case UInt8(ascii: "<"): result += "&lt;".utf8
            case UInt8(ascii: ">"): result += "&gt;".utf8
            case UInt8(ascii: "'"): result += "&#39;".utf8
            case UInt8(ascii: "\""): result += "&#34;".utf8
            default: result.append(byte)
            }
        }
        try charge(result.count)
        return String(decoding: result, as: UTF8.self)
    }

    /// First letters of words large, the rest small; words start after white space, hyphens and opening brackets.
    private func titleWords(_ text: String) -> String {
        var result = ""
        var startsWord = true
        for scalar in text.unicodeScalars {
            let separates = "-({[<".unicodeScalars.contains(scalar) || isPythonSpace(scalar)
            result += startsWord ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
            startsWord = separates
        }
        return result
    }

    private func indented(_ text: String, _ arguments: Arguments) throws(TemplateError) -> String {
        let bound = try arguments.bound(to: ["width", "first", "blank"], in: "indent")
        let isFirst = bound[1]?.isTrue ?? false
        let isBlank = bound[2]?.isTrue ?? false
        var indentation = "    "
        if let width = bound[0]?.text {
            indentation = width
        } else if let width = bound[0] {
            guard let count = width.integer else {
                throw TemplateError(.type, "indent: width must be a number or text")
            }
            try charge(max(0, count))
            indentation = String(repeating: " ", count: max(0, count))
        }
        var lines = self.lines(of: text)
        // An appended newline keeps a final empty line, which splitting would lose.
        if text.isEmpty || text.utf8.last == 0x0A { lines.append("") }
        try charge(lines.count &* (indentation.utf8.count + 1))
        var result = ""
        for (place, line) in lines.enumerated() {
            if place > 0 { result += "\n" }
            if place == 0 ? isFirst : isBlank || !line.isEmpty { result += indentation }
            result += line
        }
        return result
    }

    private func strippingTags(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var isInTag = false
        for scalar in text.unicodeScalars {
            if scalar == "<" {
                isInTag = true
            } else if scalar == ">", isInTag {
                isInTag = false
            } else if !isInTag {
                result.append(scalar)
            }
        }
        let words = String(result).unicodeScalars.split(whereSeparator: isPythonSpace)
        return words.map { String($0) }.joined(separator: " ")
    }

    private func truncated(_ text: String, _ arguments: Arguments) throws(TemplateError) -> String {
        let bound = try arguments.bound(to: ["length", "killwords", "end", "leeway"], in: "truncate")
        let length = bound[0]?.integer ?? 255
        let end = bound[2]?.text ?? "..."
        let leeway = bound[3]?.integer ?? 5
        let scalars = Array(text.unicodeScalars)
        let endLength = end.unicodeScalars.count
        guard length >= endLength, leeway >= 0 else {
            throw TemplateError(.value, "truncate: length or leeway too small")
        }
        if scalars.count - min(leeway, scalars.count) <= length { return text }
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars.prefix(length - endLength))
        if !(bound[1]?.isTrue ?? false), let space = view.lastIndex(of: " ") {
            view = String.UnicodeScalarView(view[..<space])
        }
        return String(view) + end
    }

    private func urlEncoded(_ value: JinjaValue, _ text: String) throws(TemplateError) -> String {
        func encoded(_ text: String, space: String, safe: String) -> String {
            var result = ""
            for byte in text.utf8 {
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"),
                    UInt8(ascii: "~"):
                    result.unicodeScalars.append(Unicode.Scalar(byte))
                case _ where safe.utf8.contains(byte): result.unicodeScalars.append(Unicode.Scalar(byte))
                case 0x20: result += space
                default:
                    let digits = String(byte, radix: 16, uppercase: true)
                    result += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
                }
            }
            return result
        }
        var pairs: [JinjaValue]
        switch value {
        case .dictionary(let dictionary): pairs = try items(of: dictionary)
        case .sequence: pairs = try elements(of: value)
        default: return encoded(text, space: "%20", safe: "/")
        }
        var parts: [String] = []
        for pair in pairs {
            let both = try elements(of: pair)
            guard both.count == 2 else { throw TemplateError(.value, "urlencode: expected pairs") }
            let key = encoded(try self.text(of: both[0]), space: "+", safe: "")
            parts.append(key + "=" + encoded(try self.text(of: both[1]), space: "+", safe: ""))
        }
        return parts.joined(separator: "&")
    }

    /// Runs of letters, digits and underscores.
    private func words(_ text: String) -> [Substring.UnicodeScalarView] {
        text.unicodeScalars.split { scalar in
            scalar != "_" && !scalar.properties.isAlphabetic && scalar.properties.numericType == nil
        }
    }

    /// Lines of at most `width` characters, broken at white space; longer words are cut unless that is switched off.
    private func wrapped(_ text: String, _ arguments: Arguments) throws(TemplateError) -> String {
        let bound = try arguments.bound(
            to: ["width", "break_long_words", "wrapstring", "break_on_hyphens"], in: "wordwrap")
        let width = bound[0]?.integer ?? 79
        let breaksWords = bound[1]?.isTrue ?? true
        let separator = bound[2].flatMap { $0.text } ?? "\n"
        guard width > 0 else { throw TemplateError(.value, "invalid width \(width) (must be > 0)") }
        var result: [String] = []
        for line in lines(of: text) {
            var current = String.UnicodeScalarView()
            var wrappedLines: [String] = []
            for word in line.unicodeScalars.split(whereSeparator: isPythonSpace) {
                var rest = word[...]
                if !current.isEmpty, current.count + 1 + rest.count > width {
                    wrappedLines.append(String(current))
                    current = String.UnicodeScalarView()
                }
                while breaksWords, rest.count > width {
                    wrappedLines.append(String(rest.prefix(width)))
                    rest = rest.dropFirst(width)
                }
                if !current.isEmpty { current.append(" ") }
                current.append(contentsOf: rest)
            }
            wrappedLines.append(String(current))
            try charge(wrappedLines.count * separator.utf8.count)
            result.append(wrappedLines.joined(separator: separator))
        }
        try charge(result.count * separator.utf8.count)
        return result.joined(separator: separator)
    }

    private func xmlAttributes(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> String {
        let startsWithSpace = try arguments.bound(to: ["autospace"], in: "xmlattr")[0]?.isTrue ?? true
        guard case .dictionary(let dictionary) = value else {
            throw TemplateError(.type, "xmlattr: expected a mapping")
        }
        var parts: [String] = []
        for (key, value) in zip(dictionary.keys, dictionary.values) where !value.isNone && !value.isUndefined {
            let name = try text(of: key)
            guard !name.unicodeScalars.contains(where: { isPythonSpace($0) || "/>=".unicodeScalars.contains($0) })
            else {
                throw TemplateError(.value, "Invalid character in attribute name: '\(name)'")
            }
            parts.append(try escaped(name) + "=\"" + (try escaped(try text(of: value))) + "\"")
        }
        return (startsWithSpace && !parts.isEmpty ? " " : "") + parts.joined(separator: " ")
    }
}
