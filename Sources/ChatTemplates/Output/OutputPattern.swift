/// A form that output must have, for a grammar to enforce: pieces of fixed text around pieces with a form of their own.
package indirect enum OutputPattern: Sendable, Equatable {
    /// This text. Control tokens are written out.
    case literal(String)
    /// JSON text that a JSON Schema describes.
    case schema(JSONValue)
    /// A text of this GBNF grammar's root.
    case gbnf(String)
    /// At most one blank or line break.
    case space
    /// Decimal digits, one to four.
    case digits
    /// Any text that does not contain this one, which comes next in the sequence; perhaps none.
    case textBefore(String)
    case sequence([OutputPattern])
    case choice([OutputPattern])
    case optional(OutputPattern)
    /// So many times or more.
    case repeated(OutputPattern, atLeast: Int)
}

/// Which calls a request wants.
package enum CallChoice: Sendable, Equatable {
    /// The model decides.
    case auto
    /// Text only.
    case none
    /// At least one call.
    case required
    /// At least one call, of this tool.
    case named(String)
}

extension OutputSyntax {
    /// The form of an answer that consists of calls.
    ///
    /// - Parameters:
    ///   - tools: those that may be called, in OpenAI's form.
    ///   - isParallel: whether there may be more than one call.
    /// - Returns: nil if the syntax is one whose calls cannot be enforced.
    package func callPattern(tools: [JSONValue], isParallel: Bool) -> OutputPattern? {
        guard let calls, let region = calls.region(tools, isParallel: isParallel) else { return nil }
        if takesBareObject, let bare = calls.body(tools) {
            return .choice([bare, region])
        }
        return region
    }

    /// The form of what follows the mark that opens a section of calls or a single call, up to the end of that.
    package func callPattern(tools: [JSONValue], isParallel: Bool, behindSectionMark: Bool) -> OutputPattern? {
        guard let calls, let body = calls.body(tools) else { return nil }
        guard behindSectionMark, let section = calls.section else {
            return .sequence([body, .literal(calls.close ?? "")])
        }
        guard let call = calls.call(tools) else { return nil }
        return .sequence([.space, calls.several(call, isParallel: isParallel), .literal(section.close)])
    }
}

extension OutputSyntax.Calls {
    /// All calls of an answer with everything around them.
    fileprivate func region(_ tools: [JSONValue], isParallel: Bool) -> OutputPattern? {
        guard let call = call(tools) else { return nil }
        guard let section else { return several(call, isParallel: isParallel) }
        // Models with a mark around each function name write a section for each call.
        let one = OutputPattern.sequence([
            .literal(section.open), .space, several(call, isParallel: isParallel && !hasSectionPerCall),
            .literal(section.close),
        ])
        return hasSectionPerCall ? several(one, isParallel: isParallel) : one
    }

    private var hasSectionPerCall: Bool { open == "<function=" }

    fileprivate func several(_ call: OutputPattern, isParallel: Bool) -> OutputPattern {
        let spaced = OutputPattern.sequence([call, .space])
        // A list holds several calls by itself.
        return isParallel && !writesList ? .repeated(spaced, atLeast: 1) : spaced
    }

    /// Whether one mark is followed by a list of calls.
    private var writesList: Bool {
        arguments == .callObjects && ["[TOOL_CALLS]", "<TOOLCALL>", "<|tool_call|>"].contains(open)
    }

    fileprivate func call(_ tools: [JSONValue]) -> OutputPattern? {
        body(tools).map { .sequence([.literal(open), $0, .literal(close ?? "")]) }
    }

    /// What stands between `open` and `close`.
    fileprivate func body(_ tools: [JSONValue]) -> OutputPattern? {
        var bodies: [OutputPattern] = []
        for tool in tools {
            let function = tool["function"] ?? tool
            guard let name = function["name"]?.stringValue else { continue }
            let parameters = function["parameters"] ?? function["input_schema"] ?? ["type": "object"]
            guard let body = body(name: name, parameters: parameters) else { return nil }
            bodies.append(body)
        }
        guard !bodies.isEmpty else { return nil }
        let one = OutputPattern.choice(bodies)
        guard writesList else { return one }
        return .sequence([
            .literal("["), .space, one, .repeated(.sequence([.literal(","), .space, one]), atLeast: 0), .space,
            .literal("]"),
        ])
    }

    private func body(name: String, parameters: JSONValue) -> OutputPattern? {
        switch arguments {
        case .callObjects:
            let key = open == "<|python_tag|>" ? "parameters" : "arguments"
            return .sequence([
                .space, .literal("{\"name\":"), .space, .literal(JSONValue.string(name).text() + ","), .space,
                .literal("\"\(key)\":"), .space, .schema(parameters), .literal("}"), .space,
            ])
        case .json:
            let written: [OutputPattern] =
                nameIsID ? [.literal("functions.\(name):"), .digits] : [.literal((namePrefix ?? "") + name)]
            return .sequence(
                written + [.space, .literal(nameEnd ?? ""), .space, .schema(parameters), .space])
        case .gemma:
            guard let object = Self.gemma(parameters, depth: 8) else { return nil }
            return .sequence([.literal((namePrefix ?? "") + name), object])
        case .tagged(let tags):
            var parts: [OutputPattern] = [.literal(name), .space, .literal(nameEnd ?? ""), .space]
            if nameEnd == nil { parts = [.literal(name), .space] }
            for (key, schema) in parameters["properties"]?.objectValue?.members ?? JSONObject().members {
                let part = tags.pattern(key: key, schema: schema, root: parameters)
                let isRequired = parameters["required"]?.arrayValue?.contains(.string(key)) ?? false
                parts.append(isRequired ? part : .optional(part))
            }
            return .sequence(parts)
        }
    }

    /// Gemma's notation; nil for types it is not certain about.
    private static func gemma(_ schema: JSONValue, depth: Int) -> OutputPattern? {
        guard depth > 0 else { return nil }
        let quote = String(decoding: GemmaArguments.quote, as: UTF8.self)
        if let choices = schema["enum"]?.arrayValue {
            return .choice(
                choices.map { value in
                    .literal(value.stringValue.map { quote + $0 + quote } ?? value.text())
                })
        }
        switch schema["type"]?.stringValue {
        case "string": return .sequence([.literal(quote), .textBefore(quote), .literal(quote)])
        case "integer", "number", "boolean", "null": return .schema(schema)
        case "array":
            guard let element = schema["items"].flatMap({ gemma($0, depth: depth - 1) }) else { return nil }
            let more = OutputPattern.repeated(.sequence([.literal(","), element]), atLeast: 0)
            return .sequence([.literal("["), .optional(.sequence([element, more])), .literal("]")])
        case "object":
            let members = (schema["properties"]?.objectValue ?? JSONObject()).members.sorted {
                $0.0.utf8.lexicographicallyPrecedes($1.0.utf8)
            }
            var required: [OutputPattern] = []
            var free: [OutputPattern] = []
            for (key, value) in members {
                guard let pattern = gemma(value, depth: depth - 1) else { return nil }
                let member = OutputPattern.sequence([.literal("\(key):"), pattern])
                let isRequired = schema["required"]?.arrayValue?.contains(.string(key)) ?? false
                if isRequired { required.append(member) } else { free.append(member) }
            }
            return .sequence([.literal("{"), list(required, free), .literal("}")])
        default: return nil
        }
    }
}

/// The required members and any of the free ones, in this order, with commas between.
private func list(_ required: [OutputPattern], _ free: [OutputPattern]) -> OutputPattern {
    func following(_ members: some Sequence<OutputPattern>) -> [OutputPattern] {
        members.map { .sequence([.literal(","), $0]) }
    }
    func anyOf(_ members: some Sequence<OutputPattern>) -> [OutputPattern] {
        following(members).map { .optional($0) }
    }
    if let first = required.first {
        return .sequence([first] + following(required.dropFirst()) + anyOf(free))
    }
    let starts = free.indices.map { OutputPattern.sequence([free[$0]] + anyOf(free[($0 + 1)...])) }
    return .choice([.literal("")] + starts)
}

extension OutputSyntax.Tags {
    fileprivate func pattern(key: String, schema: JSONValue, root: JSONValue) -> OutputPattern {
        let isText = schema["type"]?.stringValue == "string"
        let lineBreak = trimsNewlines ? "\n" : ""
        var value: OutputPattern
        if isText, let choices = schema["enum"]?.arrayValue {
            value = .choice(choices.map { .literal($0.stringValue ?? $0.text()) })
        } else if isText {
            value = .textBefore(lineBreak + close)
        } else {
            var schema = schema
            // References lead to the root.
            if case .object(var object) = schema, let definitions = root["$defs"] {
                object["$defs"] = definitions
                schema = .object(object)
            }
            value = .schema(schema)
        }
        var opening = open + key + keyEnd
        if let stringFlagEnd { opening += (isText ? "true" : "false") + stringFlagEnd }
        var parts: [OutputPattern] = [.literal(opening)]
        if let valueOpen { parts += [.space, .literal(valueOpen)] }
        value = .sequence([.literal(lineBreak), value, .literal(lineBreak + close), .space])
        return .sequence(parts + [value])
    }
}
