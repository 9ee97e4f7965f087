/// A form that output must have, for a grammar to enforce: pieces of fixed text around pieces with a form of their own.
package indirect enum OutputPattern: Sendable, Equatable {
    /// This text. Control tokens are written out.
    case literal(String)
    /// JSON text that a JSON Schema describes.
    case schema(JSONValue)
    /// JSON text of a value between tags that is no string.
    case jsonValue(ValueForm, end: ValueEnd)
    /// The same in Gemma's notation: bare keys, strings between marks, see `GemmaArguments`.
    case gemma(JSONValue)
    /// Arguments of a Python call with their parentheses, see `PythonCalls`.
    case python(JSONValue)
    /// A text of this GBNF grammar's root.
    case gbnf(String)
    /// At most one blank or line break.
    case space
    /// Up to four of them.
    case layout
    /// Decimal digits, one to four.
    case digits
    /// Any text that does not contain this one, which comes next in the sequence; perhaps none.
    case textBefore(String)
    /// A string between tags, without quotes and escapes, up to where it ends.
    case textValue(ValueForm, end: ValueEnd, layout: ValueLayout)
    /// A name of at most 64 characters that is none of these and does not hold the text that comes next.
    case name(before: String, except: [String])
    /// Any text to the end.
    case rest
    case sequence([OutputPattern])
    case choice([OutputPattern])
    case optional(OutputPattern)
    /// So many times or more.
    case repeated(OutputPattern, atLeast: Int)
}

/// The line breaks around a value that are not part of it.
package struct ValueLayout: Sendable, Hashable {
    /// One line break in front is not part of the value.
    package var hasFirst = false
    /// Nor is one behind.
    package var hasLast = false
    /// There must be one behind.
    package var needsLast = false
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
        if takesBareObject, let bare = calls.body(tools, isParallel: isParallel) {
            return .choice([bare, region])
        }
        return region
    }

    /// The form of what follows the mark that opens a section of calls or a single call, up to the end of that.
    package func callPattern(tools: [JSONValue], isParallel: Bool, behindSectionMark: Bool) -> OutputPattern? {
        guard let calls, let body = calls.body(tools, isParallel: isParallel) else { return nil }
        let rest = calls.rest(tools, isParallel: isParallel)
        guard behindSectionMark, let section = calls.section else {
            return .sequence([body, .literal(calls.close ?? "")] + rest)
        }
        guard let call = calls.call(tools, isParallel: isParallel) else { return nil }
        return .sequence(
            [.space, calls.several(call, isParallel: isParallel), calls.end(of: section)] + rest)
    }
}

extension OutputSyntax.Calls {
    /// All calls of an answer with everything around them.
    fileprivate func region(_ tools: [JSONValue], isParallel: Bool) -> OutputPattern? {
        guard let call = call(tools, isParallel: isParallel) else { return nil }
        guard let section else { return several(call, isParallel: isParallel) }
        // Models with a mark around each function name write a section for each call.
        let one = OutputPattern.sequence([
            .literal(section.open), .space, several(call, isParallel: isParallel && !hasSectionPerCall),
            end(of: section),
        ])
        return hasSectionPerCall ? several(one, isParallel: isParallel) : one
    }

    /// What may follow a call that the model made of its own accord, as long as nothing says that the call is over: a
    /// parameter that was not closed can still go on.
    fileprivate func rest(_ tools: [JSONValue], isParallel: Bool) -> [OutputPattern] {
        guard case .tagged = arguments else { return [] }
        let more = isParallel ? region(tools, isParallel: true) : nil
        return [.optional(.choice([.rest] + (more.map { [.sequence([.space, $0])] } ?? [])))]
    }

    /// Where the last parameter was not closed the model may end its turn before it closes the section.
    fileprivate func end(of section: OutputSyntax.Reasoning) -> OutputPattern {
        guard case .tagged = arguments else { return .literal(section.close) }
        return .optional(.literal(section.close))
    }

    private var hasSectionPerCall: Bool { open == "<function=" }

    fileprivate func several(_ call: OutputPattern, isParallel: Bool) -> OutputPattern {
        let spaced = OutputPattern.sequence([call, .space])
        // A list holds several calls by itself.
        return isParallel && !writesList && !isAlone ? .repeated(spaced, atLeast: 1) : spaced
    }

    /// Whether one mark is followed by a list of calls.
    private var writesList: Bool {
        arguments == .pythonCalls
            || arguments == .callObjects && ["[TOOL_CALLS]", "<TOOLCALL>", "<|tool_call|>"].contains(open)
    }

    fileprivate func call(_ tools: [JSONValue], isParallel: Bool) -> OutputPattern? {
        body(tools, isParallel: isParallel).map { .sequence([.literal(open), $0, .literal(close ?? "")]) }
    }

    /// What stands between `open` and `close`.
    fileprivate func body(_ tools: [JSONValue], isParallel: Bool) -> OutputPattern? {
        let bodies = callable(tools).map { body(name: $0.name, parameters: $0.parameters) }
        guard !bodies.isEmpty else { return nil }
        let one = OutputPattern.choice(bodies)
        guard writesList else { return one }
        let others = OutputPattern.repeated(.sequence([.literal(","), .space, one]), atLeast: 0)
        return .sequence([.literal("["), .space, one, isParallel ? others : .space, .space, .literal("]")])
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
        case .pythonCalls: return .sequence([.literal(name), .python(parameters)])
        case .gemma: return .sequence([.literal((namePrefix ?? "") + name), .gemma(parameters)])
        case .tagged(let tags):
            var parts: [OutputPattern] = [.literal(name), .space, .literal(nameEnd ?? ""), .space]
            if nameEnd == nil { parts = [.literal(name), .space] }
            let declared = ToolParameters(parameters)
            for (place, parameter) in declared.named.enumerated() {
                let following = declared.named[(place + 1)...].map(\.key)
                let part = pattern(
                    of: .literal(tags.open + parameter.key + tags.keyEnd), parameter.form, tags, following,
                    isLast: following.isEmpty && declared.others == nil)
                parts.append(parameter.isRequired ? part : .optional(part))
            }
            if let others = declared.others {
                let key = OutputPattern.sequence([
                    .literal(tags.open), .name(before: tags.keyEnd, except: declared.named.map(\.key)),
                    .literal(tags.keyEnd),
                ])
                parts.append(.repeated(pattern(of: key, others, tags, [], isLast: true), atLeast: 0))
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

extension OutputSyntax.Calls {
    /// A parameter with its tags.
    ///
    /// The closing tag may be missing where what follows shows that the value has ended.
    /// - Parameters:
    ///   - opening: the tag up to the end of the key.
    ///   - following: the keys of those that may follow.
    ///   - isLast: whether only the end of the call follows.
    private func pattern(
        of opening: OutputPattern, _ form: ValueForm, _ tags: OutputSyntax.Tags, _ following: [String], isLast: Bool
    ) -> OutputPattern {
        let end = ValueEnd(self, tags, openings: following)
        let closed = ValueLayout(hasFirst: tags.trimsNewlines, hasLast: tags.trimsNewlines)
        // Only at the beginning of a line does a tag end what was not closed.
        let unclosed = ValueLayout(
            hasFirst: tags.trimsNewlines, hasLast: true, needsLast: tags.startsLine && !isLast)
        let close = OutputPattern.sequence([.literal(tags.close), .layout])
        let lineBreak: OutputPattern = unclosed.needsLast ? .literal("\n") : .space
        let text = OutputPattern.choice([
            .sequence([.textValue(form, end: end, layout: closed), close]),
            .textValue(form, end: end, layout: unclosed),
        ])
        let json = OutputPattern.sequence([
            .space, .jsonValue(form, end: ValueEnd(self, tags, openings: [])),
            .choice([.sequence([.space, close]), lineBreak]),
        ])
        func tagged(_ flag: String, _ value: OutputPattern) -> OutputPattern {
            var parts = [opening]
            if let flagEnd = tags.stringFlagEnd { parts.append(.literal(flag + flagEnd)) }
            if let valueOpen = tags.valueOpen { parts += [.space, .literal(valueOpen)] }
            return .sequence(parts + [value])
        }
        return switch form.spelling {
        case .text: tagged("true", text)
        case .json: tagged("false", json)
        case .either: .choice([tagged("true", text), tagged("false", json)])
        }
    }
}
