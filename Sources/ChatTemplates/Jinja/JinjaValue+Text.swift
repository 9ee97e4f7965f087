extension Evaluator {
    /// Python's `str(value)`.
    func text(of value: JinjaValue) throws(TemplateError) -> String {
        switch value {
        case .string(let text), .markup(let text): return text
        case .undefined: return ""
        case .int(let number): return String(number)
        default: return try representation(of: value)
        }
    }

    /// Python's `repr(value)`.
    func representation(of value: JinjaValue) throws(TemplateError) -> String {
        var output: [UInt8] = []
        try write(value, into: &output)
        return String(decoding: output, as: UTF8.self)
    }

    private func write(_ value: JinjaValue, into output: inout [UInt8]) throws(TemplateError) {
        try descend()
        defer { ascend() }
        try step(2)
        let start = output.count
        switch value {
        case .undefined: output += "Undefined".utf8
        case .none: output += "None".utf8
        case .bool(let value): output += (value ? "True" : "False").utf8
        case .int(let value): output += String(value).utf8
        case .bigInt(let digits): output += digits.utf8
        case .float(let value): output += pythonFloatText(value).utf8
        case .string(let text): writeQuoted(text, into: &output)
        case .markup(let text):
            output += "Markup(".utf8
            writeQuoted(text, into: &output)
            output += ")".utf8
        case .sequence(let sequence): try write(sequence, into: &output)
        case .dictionary(let dictionary): try write(dictionary, into: &output)
        case .object(let object):
            if let namespace = object as? JinjaNamespace {
                output += "<Namespace ".utf8
                try write(namespace.values, into: &output)
                output += ">".utf8
            } else {
                output += object.description.utf8
            }
        }
        try charge(output.count - start)
        guard output.count <= limits.outputBytes else {
            throw TemplateError(.limit, "a value is larger than \(limits.outputBytes) bytes")
        }
    }

    private func write(_ sequence: JinjaSequence, into output: inout [UInt8]) throws(TemplateError) {
        switch sequence.kind {
        case .list: try write(sequence.elements, "[", "]", into: &output)
        case .tuple, .group: try write(sequence.elements, "(", sequence.elements.count == 1 ? ",)" : ")", into: &output)
        case .range(let start, let stop, let step):
            output += (step == 1 ? "range(\(start), \(stop))" : "range(\(start), \(stop), \(step))").utf8
        case .generator: output += "<generator object>".utf8
        case .dictionaryKeys, .dictionaryValues, .dictionaryItems:
            try write(sequence.elements, sequence.typeName + "([", "])", into: &output)
        }
    }

    private func write(
        _ elements: [JinjaValue], _ open: String, _ close: String, into output: inout [UInt8]
    ) throws(TemplateError) {
        output += open.utf8
        for (place, element) in elements.enumerated() {
            if place > 0 { output += ", ".utf8 }
            try write(element, into: &output)
        }
        output += close.utf8
    }

    private func write(_ dictionary: JinjaDictionary, into output: inout [UInt8]) throws(TemplateError) {
        output += "{".utf8
        for (place, key) in dictionary.keys.enumerated() {
            if place > 0 { output += ", ".utf8 }
            try write(key, into: &output)
            output += ": ".utf8
            try write(dictionary.values[place], into: &output)
        }
        output += "}".utf8
    }

    /// A string as Python writes it in a list: single quotes unless that would need an escape and double quotes not.
    private func writeQuoted(_ text: String, into output: inout [UInt8]) {
        let quote: Unicode.Scalar =
            text.utf8.contains(UInt8(ascii: "'")) && !text.utf8.contains(UInt8(ascii: "\"")) ? "\"" : "'"
        output += String(quote).utf8
        for scalar in text.unicodeScalars {
            switch scalar {
            case quote, "\\": output += [UInt8(ascii: "\\"), UInt8(scalar.value)]
            case "\n": output += "\\n".utf8
            case "\r": output += "\\r".utf8
            case "\t": output += "\\t".utf8
            case _ where isPrintable(scalar): output += String(scalar).utf8
            default:
                let digits = String(scalar.value, radix: 16)
                let (mark, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
                output += "\\\(mark)\(String(repeating: "0", count: width - digits.count))\(digits)".utf8
            }
        }
        output += String(quote).utf8
    }

    private func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return 0x20..<0x7F ~= scalar.value }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }

    // MARK: JSON

    /// A value for `tojson`; refuses what Python's `json.dumps` refuses, except lazy sequences.
    func json(_ value: JinjaValue) throws(TemplateError) -> JSONValue {
        try descend()
        defer { ascend() }
        try step(4)
        switch value {
        case .none: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .int(value)
        case .bigInt(let digits): return .bigInt(digits)
        case .float(let value):
            guard value.isFinite else {
                throw TemplateError(.value, "Out of range float values are not JSON compliant")
            }
            return .double(value)
        case .string(let text), .markup(let text):
            try charge(text.utf8.count)
            return .string(text)
        case .sequence(let sequence) where sequence.isList || sequence.isTuple || sequence.isGenerator:
            // Python refuses lazy sequences; a published template (DeepSeek R1) counts on them being lists.
            var elements: [JSONValue] = []
            for element in try self.elements(of: value) { elements.append(try json(element)) }
            return .array(elements)
        case .dictionary(let dictionary):
            var object = JSONObject()
            for (key, value) in zip(dictionary.keys, dictionary.values) {
                object[try jsonKey(key)] = try json(value)
            }
            return .object(object)
        default:
            throw TemplateError(.type, "Object of type \(value.typeName) is not JSON serializable")
        }
    }

    private func jsonKey(_ key: JinjaValue) throws(TemplateError) -> String {
        switch key {
        case .string(let text), .markup(let text): return text
        case .none: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .int, .bigInt, .float: return try text(of: key)
        default:
            throw TemplateError(.type, "keys must be str, int, float, bool or None, not \(key.typeName)")
        }
    }
}
