/// A form that output must have, for a grammar to enforce: pieces of fixed text around pieces with a form of their own.
package indirect enum OutputPattern: Sendable, Equatable {
    /// This text. Control tokens are written out.
    case literal(String)
    /// JSON text that a JSON Schema describes.
    case schema(JSONValue)
    /// The same in front of a text that no string in it holds.
    case schemaBefore(String, schema: JSONValue)
    /// The same in Gemma's notation: bare keys, strings between marks, see `GemmaArguments`.
    case gemma(JSONValue)
    /// A text of this GBNF grammar's root.
    case gbnf(String)
    /// At most one blank or line break.
    case space
    /// Decimal digits, one to four.
    case digits
    /// Any text that does not contain this one, which comes next in the sequence; perhaps none.
    case textBefore(String)
    /// Such a text that is a string of a JSON Schema, written without quotes and escapes.
    case stringBefore(String, schema: JSONValue)
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
        let bodies = callable(tools).map { body(name: $0.name, parameters: $0.parameters) }
        guard !bodies.isEmpty else { return nil }
        let one = OutputPattern.choice(bodies)
        guard writesList else { return one }
        return .sequence([
            .literal("["), .space, one, .repeated(.sequence([.literal(","), .space, one]), atLeast: 0), .space,
            .literal("]"),
        ])
    }

    private func body(name: String, parameters: JSONValue) -> OutputPattern {
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
        case .gemma: return .sequence([.literal((namePrefix ?? "") + name), .gemma(parameters)])
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
}

/// Names and parameters of tools in OpenAI's form. Arguments are objects, whatever a schema leaves open.
func callable(_ tools: [JSONValue]) -> [(name: String, parameters: JSONValue)] {
    tools.compactMap { tool in
        let function = tool["function"] ?? tool
        guard let name = function["name"]?.stringValue else { return nil }
        var parameters = (function["parameters"] ?? function["input_schema"])?.objectValue ?? JSONObject()
        parameters["type"] = "object"
        return (name, .object(parameters))
    }
}

extension OutputSyntax.Tags {
    fileprivate func pattern(key: String, schema: JSONValue, root: JSONValue) -> OutputPattern {
        let isText = schema["type"]?.stringValue == "string"
        let lineBreak = trimsNewlines ? "\n" : ""
        var schema = schema
        if case .object(var object) = schema {
            // References lead to the root.
            for key in ["$defs", "definitions"] { if let definitions = root[key] { object[key] = definitions } }
            schema = .object(object)
        }
        var value = isText ? OutputPattern.stringBefore(close, schema: schema) : .schemaBefore(close, schema: schema)
        var opening = open + key + keyEnd
        if let stringFlagEnd { opening += (isText ? "true" : "false") + stringFlagEnd }
        var parts: [OutputPattern] = [.literal(opening)]
        if let valueOpen { parts += [.space, .literal(valueOpen)] }
        value = .sequence([.literal(lineBreak), value, .literal(lineBreak + close), .space])
        return .sequence(parts + [value])
    }
}
