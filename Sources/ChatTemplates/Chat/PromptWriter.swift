/// Writes conversations as the template of a model wants them.
///
/// What a template does not take is given to it in another form, always the same: see ``TemplateTraits``. What it still
/// refuses is an error with the template's own words.
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

        fileprivate mutating func append(_ other: Prompt) {
            seams += other.seams.map { text.utf8.count + $0 }
            text += other.text
            generationPrompt += other.text
        }
    }

    package let template: ChatTemplate
    /// How to read what the model writes.
    package let syntax: OutputSyntax
    private let traits: TemplateTraits
    private let runner: TemplateRunner
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
        seal = ControlTextSeal(controlTexts, template: source)
        let syntax = OutputSyntax(template: source)
        runner = TemplateRunner(
            template: template, syntax: syntax, bosText: bosText, eosText: eosText, clock: clock)
        traits = TemplateProbe(runner).traits
        self.syntax = traits.rendersTools ? syntax : syntax.withHermesCalls()
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
        let firstError: TemplateError
        do throws(TemplateError) {
            return try prompt(for: conversation, traits)
        } catch {
            firstError = error
        }
        guard firstError.kind != .limit else { throw firstError }
        var tried = traits.fitted(conversation)
        for stricter in traits.stricter {
            let messages = stricter.fitted(conversation)
            guard messages != tried || stricter.toolForm != traits.toolForm else { continue }
            tried = messages
            do throws(TemplateError) {
                return try prompt(for: conversation, stricter)
            } catch {}
        }
        throw firstError
    }

    private func prompt(
        for conversation: Conversation, _ traits: TemplateTraits
    ) throws(TemplateError) -> Prompt {
        func rendering(
            _ conversation: Conversation, addsGenerationPrompt: Bool
        ) throws(TemplateError) -> TemplateRunner.Rendering {
            var steps = 0
            return try runner.rendering(
                of: conversation, traits, addsGenerationPrompt: addsGenerationPrompt, steps: &steps)
        }
        if conversation.continuesLastMessage, let last = conversation.messages.last, last.toolCalls.isEmpty {
            var before = conversation
            before.messages.removeLast()
            before.continuesLastMessage = false
            let rendered = try rendering(conversation, addsGenerationPrompt: false)
            if let end = rendered.end {
                let bytes = Array(rendered.text.utf8)[..<end]
                let shorter = try? rendering(before, addsGenerationPrompt: false).text
                let start = shorter.map { zip(bytes, $0.utf8).prefix { $0 == $1 }.count } ?? end
                return Self.opened(String(decoding: bytes, as: UTF8.self), answerStart: start)
            }
            // The template writes nothing of the message: it is begun by what begins an answer.
            var prompt = try self.prompt(for: before, traits)
            prompt.append(Self.opened(last.content, answerStart: 0))
            return prompt
        }
        // What the template writes for an answer is the difference; some refuse to stop after a question.
        let before = syntax.hasReasoning ? try? rendering(conversation, addsGenerationPrompt: false).text : nil
        let text = try rendering(conversation, addsGenerationPrompt: true).text
        var start = Self.answerStart(in: text, conversation.messages)
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
}
