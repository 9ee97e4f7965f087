package import ChatTemplates

/// What a model is asked to answer, and in which form.
package struct ChatRequest: Sendable {
    /// The form of an answer's text.
    package enum Format: Sendable, Equatable {
        case text
        /// Any JSON object.
        case json
        /// JSON that a JSON Schema describes.
        case schema(JSONValue)
        /// A text of a GBNF grammar.
        case grammar(String)

        var pattern: OutputPattern? {
            switch self {
            case .text: nil
            case .json: .schema(["type": "object"])
            case .schema(let schema): .schema(schema)
            case .grammar(let text): .gbnf(text)
            }
        }
    }

    package var conversation: Conversation
    package var choice = CallChoice.auto
    /// Whether an answer may hold several calls.
    package var isParallel = true
    package var format = Format.text

    package init(_ conversation: Conversation) { self.conversation = conversation }
}

/// A prompt for a model, and how to read the answer.
package struct ChatPrompt: Sendable {
    /// With control tokens written out.
    package let text: String
    /// Offsets in the UTF-8 of ``text`` that no control token reaches over: around them words of a message only look
    /// like one.
    package let seams: [Int]
    package let tokens: [Int32]
    package let answer: AnswerFormat
}

/// How an answer is to be read, and what it is held to.
package struct AnswerFormat: Sendable {
    package var syntax = OutputSyntax.plain
    /// Those that may be called.
    package var tools: [JSONValue] = []
    /// The end of the prompt, which may leave a thought open.
    package var generationPrompt = ""
    /// Control tokens that are part of the text to be read.
    package var marks: Set<Int32> = []
    /// Texts that end an answer although they may be no tokens.
    package var endTexts: [String] = []
    /// Most tokens of thought.
    package var thoughtBudget: Int?
    /// Whether the model may begin with a thought.
    package var mayThink = true
    /// The form of everything but thoughts.
    package var pattern: OutputPattern?
    /// Whether ``pattern`` is the form of thoughts too, and of what stands between messages.
    package var holdsThoughts = false
    /// The forms of what follows the mark of a call and that of a section of calls.
    package var callPattern: OutputPattern?
    package var sectionPattern: OutputPattern?
    /// The forms of arguments by the name of the tool, where these are a message of their own.
    package var argumentPatterns: [String: OutputPattern] = [:]

    package init() {}
}

extension GGUFLanguageModel {
    /// Writes the prompt for a conversation, as the model's own template wants it.
    ///
    /// - Throws: ``LanguageModelSession/GenerationError``: a template that cannot be read or that refuses the
    ///   conversation, a schema or a grammar that is not supported, a tool that is not among those of the request.
    package func prompt(for request: ChatRequest) throws -> ChatPrompt {
        var conversation = request.conversation
        if request.choice == .none { conversation.tools = [] }
        let writer = try writers.writer(hasTools: !conversation.tools.isEmpty)
        let written: PromptWriter.Prompt
        do {
            written = try writer.prompt(for: conversation)
        } catch {
            throw LanguageModelSession.GenerationError.conversationRefused(
                .init(debugDescription: "the model's chat template refuses the conversation: \(error)"))
        }
        var answer = AnswerFormat()
        answer.syntax = writer.syntax
        answer.tools = conversation.tools
        answer.generationPrompt = written.generationPrompt
        answer.marks = marks(of: writer.syntax)
        answer.endTexts = backend.chatTemplates.endTexts
        answer.thoughtBudget = conversation.reasoning.isOn == false ? 0 : conversation.reasoning.budget
        answer.mayThink = conversation.reasoning.isOn != false
        try setPatterns(of: &answer, request)
        return ChatPrompt(
            text: written.text, seams: written.seams,
            tokens: backend.encodePrompt(written.text, seams: written.seams), answer: answer)
    }

    /// The control tokens that occur in the marks of a syntax.
    private func marks(of syntax: OutputSyntax) -> Set<Int32> {
        Set(syntax.marks.flatMap { backend.encode($0, addSpecial: false, parseSpecial: true) })
            .filter { backend.isControl($0) }
    }

    // MARK: Forms

    private func setPatterns(of answer: inout AnswerFormat, _ request: ChatRequest) throws {
        let format = request.format.pattern
        if let format { _ = try backend.constraint(for: format) }
        let mustCall = request.choice != .none && request.choice != .auto
        let tools = try enforceable(answer.tools).filter { tool in
            guard case .named(let name) = request.choice else { return true }
            return (tool["function"] ?? tool)["name"]?.stringValue?.sameCodePoints(as: name) == true
        }
        guard !mustCall || !tools.isEmpty else {
            throw LanguageModelSession.GenerationError.invalidOption(
                .init(debugDescription: "the tool choice asks for a tool that is not among the tools"))
        }
        let syntax = answer.syntax
        let calls = syntax.callPattern(tools: tools, isParallel: request.isParallel)
        if mustCall {
            answer.pattern = calls
        } else if let format {
            answer.pattern = calls.map { .choice([format, $0]) } ?? format
        } else {
            answer.argumentPatterns = syntax.argumentPatterns(tools: tools).compactMapValues { usable($0) }
            answer.callPattern = usable(
                syntax.callPattern(tools: tools, isParallel: request.isParallel, behindSectionMark: false))
            answer.sectionPattern = usable(
                syntax.callPattern(tools: tools, isParallel: request.isParallel, behindSectionMark: true))
        }
        if mustCall || format != nil,
            let messages = syntax.harmonyPattern(
                answer: mustCall ? nil : format, tools: tools, mayThink: answer.mayThink,
                generationPrompt: answer.generationPrompt)
        {
            (answer.pattern, answer.holdsThoughts) = (messages, true)
        }
        guard !mustCall || answer.pattern != nil else {
            throw LanguageModelSession.GenerationError.unsupportedGuide(
                .init(debugDescription: "a call cannot be enforced in the notation of this model"))
        }
        if let pattern = answer.pattern { _ = try backend.constraint(for: pattern) }
    }

    /// With the parameters of each tool in a form that a grammar can hold a call to; where that is not possible, and the
    /// tool does not insist (`strict`), with what is possible of it.
    private func enforceable(_ tools: [JSONValue]) throws -> [JSONValue] {
        try tools.map { tool in
            let function = tool["function"] ?? tool
            guard let parameters = function["parameters"], var object = function.objectValue else { return tool }
            do {
                _ = try backend.constraint(for: .schema(parameters))
                return tool
            } catch {
                if function["strict"]?.boolValue == true {
                    let name = function["name"]?.stringValue ?? ""
                    throw LanguageModelSession.GenerationError.unsupportedGuide(
                        .init(debugDescription: "tool '\(name)', which is strict: \(error)"))
                }
                object["parameters"] = enforceablePart(of: parameters)
                return .object(object)
            }
        }
    }

    /// Most properties of which each is looked at alone.
    private static let mostSingleProperties = 200

    /// A schema that a grammar can be made of and that names the same properties: those whose own schema is at fault keep
    /// their type at most.
    private func enforceablePart(of parameters: JSONValue) -> JSONValue {
        let anything: JSONValue = ["type": "object"]
        guard let properties = parameters["properties"]?.objectValue, properties.count <= Self.mostSingleProperties
        else { return anything }
        func isUsable(_ schema: JSONValue) -> Bool { (try? backend.constraint(for: .schema(schema))) != nil }
        var part = JSONObject([("type", "object")])
        for key in ["$defs", "definitions", "required", "additionalProperties"] {
            if let value = parameters[key] { part[key] = value }
        }
        var kept = JSONObject()
        for (name, schema) in properties.members {
            var alone = part
            alone["required"] = nil
            alone["properties"] = .object(JSONObject([(name, schema)]))
            if isUsable(.object(alone)) {
                kept[name] = schema
            } else {
                let type = schema["type"].map { JSONValue.object(JSONObject([("type", $0)])) }
                kept[name] = type.map { isUsable($0) ? $0 : [:] } ?? [:]
            }
        }
        part["properties"] = .object(kept)
        return isUsable(.object(part)) ? .object(part) : anything
    }

    /// A call that the model makes of its own accord is held to its form where that is possible.
    private func usable(_ pattern: OutputPattern?) -> OutputPattern? {
        pattern.flatMap { backend.canBegin($0) ? $0 : nil }
    }
}

extension ModelBackend {
    /// Whether answers can be held to a form, from their first token on.
    fileprivate func canBegin(_ pattern: OutputPattern) -> Bool {
        guard var constraint = try? constraint(for: pattern) else { return false }
        var mask = TokenMask(count: vocabularySize)
        return (try? constraint.mask(into: &mask)) != nil
    }

    /// The tokens of a prompt that a template wrote: one token at the beginning where the model wants one, whether or
    /// not the template wrote it too.
    func encodePrompt(_ text: String, seams: [Int]) -> [Int32] {
        var tokens = encode(text, addSpecial: false, parseSpecial: true, seams: seams)
        if let beginOfText, tokens.first != beginOfText { tokens.insert(beginOfText, at: 0) }
        return tokens
    }
}
