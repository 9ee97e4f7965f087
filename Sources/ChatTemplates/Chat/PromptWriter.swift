/// Writes conversations as the template of a model wants them.
///
/// What a template does not know is written in another way, always the same: tools without a place in the template are
/// described in the system message, with calls as in "Hermes function calling"; a system message goes in front of the
/// first user message. If a template refuses a conversation, these changes are tried in turn: system messages joined at
/// the front, then moved into the first user message, neighbouring messages of one role joined, call ids of nine
/// characters. What it still refuses is an error with the template's own words.
package struct PromptWriter: Sendable {
    /// A prompt up to where the model goes on.
    package struct Prompt: Sendable, Equatable {
        /// Control tokens are written out.
        package var text: String
        /// Offsets in the UTF-8 of ``text`` that no control token reaches over: around them text of a message only looks
        /// like one.
        package var seams: [Int]
        /// The end of ``text`` that belongs to the answer: its header, perhaps an open or an empty thought.
        package var generationPrompt: String
    }

    package let template: ChatTemplate
    /// How to read what the model writes.
    package let syntax: OutputSyntax
    private let traits: TemplateTraits
    private let bosText: String?
    private let eosText: String?
    private let clock: @Sendable () -> CivilTime
    private let seal: ControlTextSeal

    /// - Parameters:
    ///   - bosText: what `bos_token` stands for in the template; `eosText` likewise.
    ///   - controlTexts: the vocabulary's tokens that nobody but the template may write.
    ///   - clock: the local time for templates that tell the model.
    /// - Throws: `TemplateError` if the template cannot be read.
    package init(
        source: String, bosText: String? = nil, eosText: String? = nil, controlTexts: ControlTexts = ControlTexts(),
        clock: @escaping @Sendable () -> CivilTime = { CivilTime.now() }
    ) throws(TemplateError) {
        let template = try ChatTemplate(source: source)
        self.template = template
        self.bosText = bosText
        self.eosText = eosText
        self.clock = clock
        seal = ControlTextSeal(controlTexts, template: source)
        traits = TemplateTraits(template) { (context) throws(TemplateError) in
            try Self.render(template, context, bosText, eosText, clock)
        }
        var syntax = OutputSyntax(template: source)
        if !traits.rendersTools { syntax = syntax.withHermesCalls() }
        self.syntax = syntax
    }

    private static func render(
        _ template: ChatTemplate, _ variables: JSONObject, _ bosText: String?, _ eosText: String?,
        _ clock: () -> CivilTime
    ) throws(TemplateError) -> String {
        var context = JSONObject()
        if let bosText { context["bos_token"] = .string(bosText) }
        if let eosText { context["eos_token"] = .string(eosText) }
        context["documents"] = .null
        for (key, value) in variables.members { context[key] = value }
        return try withoutActuallyEscaping(clock) { (clock) throws(TemplateError) in
            try template.render(context: context, clock: clock)
        }
    }

    // MARK: Prompts

    /// - Throws: `TemplateError`: of kind `raised` if the template refuses the conversation.
    package func prompt(for conversation: Conversation) throws(TemplateError) -> Prompt {
        do throws(TemplateError) {
            return try adaptedPrompt(for: sealed(conversation))
        } catch {
            // It may quote a message.
            throw TemplateError(error.kind, ControlTextSeal.opened(error.message).text, line: error.line)
        }
    }

    private func adaptedPrompt(for conversation: Conversation) throws(TemplateError) -> Prompt {
        var messages = withKnownParts(conversation)
        let firstError: TemplateError
        do throws(TemplateError) {
            return try prompt(messages, conversation)
        } catch {
            firstError = error
        }
        guard firstError.kind != .limit else { throw firstError }
        for adjust in [Self.joiningSystem, Self.movingSystem, Self.joiningNeighbours, Self.shorteningIDs] {
            let adjusted = adjust(messages)
            guard adjusted != messages else { continue }
            messages = adjusted
            do throws(TemplateError) {
                return try prompt(messages, conversation)
            } catch {}
        }
        throw firstError
    }

    private func prompt(_ messages: [ChatMessage], _ conversation: Conversation) throws(TemplateError) -> Prompt {
        var variables = JSONObject()
        variables["messages"] = .array(json(messages))
        let tools = traits.rendersTools ? conversation.tools : []
        variables["tools"] = tools.isEmpty ? .null : .array(tools)
        for (key, value) in conversation.reasoning.variables(for: template).members { variables[key] = value }
        for (key, value) in conversation.variables.members { variables[key] = value }

        variables["add_generation_prompt"] = false
        if conversation.continuesLastMessage, let last = messages.last {
            let text = try Self.render(template, variables, bosText, eosText, clock)
            // The text ends with the end of the last message, which is not said yet.
            let content = trimmingTrailingWhitespace(Array(last.content.utf8)[...])
            let bytes = Array(text.utf8)
            guard let place = utf8Occurrences(of: Array(content), in: bytes).last, !content.isEmpty else {
                return Self.opened(text, answerStart: bytes.count)
            }
            let end = place + content.count
            return Self.opened(String(decoding: bytes[..<end], as: UTF8.self), answerStart: end)
        }
        // What the template writes for an answer is the difference; some refuse to stop after a question.
        let before =
            syntax.hasReasoning ? try? Self.render(template, variables, bosText, eosText, clock) : nil
        variables["add_generation_prompt"] = true
        let text = try Self.render(template, variables, bosText, eosText, clock)
        var start = Self.answerStart(in: text, messages)
        if let before, text.utf8.starts(with: before.utf8) { start = before.utf8.count }
        var prompt = Self.opened(text, answerStart: start)
        if conversation.reasoning.isOn == false {
            let hasTools = !conversation.tools.isEmpty
            let skip = syntax.reasoningSkip(generationPrompt: prompt.generationPrompt, hasTools: hasTools)
            prompt.text += skip
            prompt.generationPrompt += skip
        }
        return prompt
    }

    /// - Parameter answerStart: where the generation prompt starts in the sealed text's UTF-8.
    private static func opened(_ text: String, answerStart: Int) -> Prompt {
        let (opened, seams) = ControlTextSeal.opened(text)
        let answer = ControlTextSeal.opened(String(decoding: text.utf8.dropFirst(answerStart), as: UTF8.self)).text
        return Prompt(text: opened, seams: seams, generationPrompt: answer)
    }

    /// Behind the last message, as far as it is found in the text.
    private static func answerStart(in text: String, _ messages: [ChatMessage]) -> Int {
        guard let content = messages.last?.content, !content.isEmpty else { return text.utf8.count }
        let trimmed = Array(trimmingTrailingWhitespace(Array(content.utf8)[...]))
        guard !trimmed.isEmpty, let place = utf8Occurrences(of: trimmed, in: Array(text.utf8)).last else {
            return text.utf8.count
        }
        return place + trimmed.count
    }

    // MARK: Messages

    /// An assistant's own marks, which templates look for, are not sealed: they begin no turn.
    private func sealed(_ conversation: Conversation) -> Conversation {
        let ownMarks = syntax.form == .marked ? Set(syntax.marks) : []
        var conversation = conversation
        conversation.tools = conversation.tools.map(seal.sealed)
        conversation.variables = seal.sealed(conversation.variables)
        conversation.reasoning.effort = conversation.reasoning.effort.map { seal.sealed($0) }
        for i in conversation.messages.indices {
            var message = conversation.messages[i]
            let kept = message.role == .assistant ? ownMarks : []
            message.changeTexts { seal.sealed($0, keeping: kept) }
            message.reasoning = message.reasoning.map { seal.sealed($0) }
            message.name = message.name.map { seal.sealed($0) }
            message.toolCallID = message.toolCallID.map { seal.sealed($0) }
            message.toolCalls = message.toolCalls.map {
                ToolCall(
                    id: $0.id.map { seal.sealed($0) }, name: seal.sealed($0.name), arguments: seal.sealed($0.arguments))
            }
            conversation.messages[i] = message
        }
        return conversation
    }

    private func json(_ messages: [ChatMessage]) -> [JSONValue] {
        var toolNames: [CodePoints: String] = [:]
        return messages.map { message in
            var object = JSONObject()
            object["role"] = .string(message.role.rawValue)
            let hidesContent = message.content.isEmpty && !message.toolCalls.isEmpty && traits.wantsNullContent
            object["content"] = hidesContent ? .null : .string(message.content)
            if let reasoning = message.reasoning { setReasoning(reasoning, of: message, in: &object) }
            if !message.toolCalls.isEmpty {
                object["tool_calls"] = .array(
                    message.toolCalls.map { call in
                        if let id = call.id { toolNames[CodePoints(id)] = call.name }
                        return json(call)
                    })
            }
            if let id = message.toolCallID {
                object["tool_call_id"] = .string(id)
                if let name = message.name ?? toolNames[CodePoints(id)] { object["name"] = .string(name) }
            } else if let name = message.name {
                object["name"] = .string(name)
            }
            return .object(object)
        }
    }

    private func json(_ call: ToolCall) -> JSONValue {
        let arguments = JSONValue.object(call.arguments)
        var object = JSONObject()
        if let id = call.id { object["id"] = .string(id) }
        object["type"] = "function"
        object["function"] = [
            "name": .string(call.name),
            "arguments": traits.wantsArgumentText ? .string(arguments.text(.spaced)) : arguments,
        ]
        return .object(object)
    }

    private func setReasoning(_ reasoning: String, of message: ChatMessage, in object: inout JSONObject) {
        if syntax.form == .harmony {
            // gpt-oss refuses a call with both.
            if message.toolCalls.isEmpty || message.content.isEmpty { object["thinking"] = .string(reasoning) }
        } else {
            object["reasoning_content"] = .string(reasoning)
        }
    }

    /// Everything that the template has no place for in a form that it knows.
    private func withKnownParts(_ conversation: Conversation) -> [ChatMessage] {
        var messages = conversation.messages
        if !traits.knowsDeveloper {
            for i in messages.indices where messages[i].role == .developer { messages[i].role = .system }
        }
        if !traits.rendersTools, !conversation.tools.isEmpty {
            let description = ToolPrompt.description(of: conversation.tools)
            if messages.first?.role == .system {
                messages[0].content += "\n\n" + description
            } else {
                messages.insert(ChatMessage(.system, description), at: 0)
            }
        }
        if !traits.rendersCalls {
            for i in messages.indices {
                let own = syntax.text(of: messages[i].toolCalls)
                let calls = own.map { [$0] } ?? messages[i].toolCalls.map(ToolPrompt.text)
                if !calls.isEmpty {
                    let content = messages[i].content
                    messages[i].content = ((content.isEmpty ? [] : [content]) + calls).joined(separator: "\n")
                    messages[i].toolCalls = []
                }
                guard messages[i].role == .tool, !syntax.printsResults else { continue }
                messages[i] = ChatMessage(.user, ToolPrompt.text(ofResult: messages[i].content))
            }
        }
        return traits.rendersSystem ? messages : Self.movingSystem(messages)
    }

    private static func joiningSystem(_ messages: [ChatMessage]) -> [ChatMessage] {
        let system = messages.filter { $0.role == .system || $0.role == .developer }
        guard let first = system.first else { return messages }
        var joined = first
        joined.content = system.map(\.content).joined(separator: "\n\n")
        return [joined] + messages.filter { $0.role != .system && $0.role != .developer }
    }

    private static func movingSystem(_ messages: [ChatMessage]) -> [ChatMessage] {
        var joined = joiningSystem(messages)
        guard let system = joined.first, system.role == .system || system.role == .developer else { return messages }
        joined.removeFirst()
        if let user = joined.firstIndex(where: { $0.role == .user }) {
            joined[user].content = system.content + "\n\n" + joined[user].content
        } else {
            joined.insert(ChatMessage(.user, system.content), at: 0)
        }
        return joined
    }

    private static func joiningNeighbours(_ messages: [ChatMessage]) -> [ChatMessage] {
        var joined: [ChatMessage] = []
        for message in messages {
            if let last = joined.last, last.role == message.role, message.role != .tool, last.toolCalls.isEmpty,
                message.toolCalls.isEmpty
            {
                joined[joined.count - 1].content += "\n\n" + message.content
            } else {
                joined.append(message)
            }
        }
        return joined
    }

    /// Mistral's templates want exactly nine letters and digits.
    private static func shorteningIDs(_ messages: [ChatMessage]) -> [ChatMessage] {
        var numbers: [CodePoints: Int] = [:]
        func short(_ id: String) -> String {
            let number = numbers[CodePoints(id)] ?? numbers.count
            numbers[CodePoints(id)] = number
            let digits = String(number)
            return "call" + String(repeating: "0", count: max(0, 5 - digits.utf8.count)) + digits
        }
        return messages.map { message in
            var message = message
            message.toolCallID = message.toolCallID.map(short)
            for i in message.toolCalls.indices { message.toolCalls[i].id = message.toolCalls[i].id.map(short) }
            return message
        }
    }
}
