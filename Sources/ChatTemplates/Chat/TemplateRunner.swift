/// Renders conversations with a template that is given what it can take: the one way in which both a prompt is made and
/// a template is tried out.
struct TemplateRunner: Sendable {
    let template: ChatTemplate
    let syntax: OutputSyntax
    let bosText: String?
    let eosText: String?
    let clock: @Sendable () -> CivilTime
    var limits = TemplateLimits()

    /// What a conversation is rendered to.
    struct Rendering {
        var text: String
        /// Where the text of the last message ends, if the conversation goes on from there.
        var end: Int?
    }

    /// - Parameter steps: is raised by what the template cost.
    func rendering(
        of conversation: Conversation, _ traits: TemplateTraits, addsGenerationPrompt: Bool, steps: inout Int
    ) throws(TemplateError) -> Rendering {
        var messages = traits.fitted(conversation)
        let splices =
            traits.textBesideCalls == .spliced
            ? messages.indices.filter { !messages[$0].toolCalls.isEmpty && !messages[$0].content.isEmpty } : []
        let isContinued = conversation.continuesLastMessage && messages.last?.toolCalls.isEmpty ?? false
        var marker: PlaceMarker?
        var spliced: [(mark: Int, text: String)] = []
        if isContinued || !splices.isEmpty {
            let used = PlaceMarker(absentFrom: messages, conversation, template)
            for i in splices {
                spliced.append((i, messages[i].content))
                messages[i].content = ""
                messages[i].toolCalls[0].name = used.mark(i) + messages[i].toolCalls[0].name
            }
            if isContinued { messages[messages.count - 1].append(used.mark(messages.count)) }
            marker = used
        }

        var variables = JSONObject()
        if let bosText { variables["bos_token"] = .string(bosText) }
        if let eosText { variables["eos_token"] = .string(eosText) }
        variables["documents"] = .null
        variables["messages"] = .array(traits.json(messages))
        let tools = traits.rendersTools ? conversation.tools.map(traits.toolForm.fitted) : []
        variables["tools"] = tools.isEmpty ? traits.emptyTools : .array(tools)
        for (key, value) in conversation.reasoning.variables(for: template).members { variables[key] = value }
        for (key, value) in conversation.variables.members { variables[key] = value }
        variables["add_generation_prompt"] = .bool(addsGenerationPrompt)

        let text = try withoutActuallyEscaping(clock) { (clock) throws(TemplateError) in
            try template.render(context: variables, limits: limits, clock: clock, steps: &steps)
        }
        guard let marker else { return Rendering(text: text) }
        var written = MarkedText(text, marker)
        guard written.insert(spliced, syntax) else {
            throw TemplateError(.unsupported, "text beside calls has no place in the template")
        }
        return Rendering(text: written.text, end: isContinued ? written.place(of: messages.count) : nil)
    }
}

extension ChatMessage {
    /// Adds to the end of the text, in its last part.
    fileprivate mutating func append(_ text: String) {
        let last = parts.count - 1
        var index = -1
        changeTexts {
            index += 1
            return index == last ? $0 + text : $0
        }
    }
}
