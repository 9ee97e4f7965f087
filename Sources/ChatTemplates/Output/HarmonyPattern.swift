extension OutputSyntax {
    /// The form of everything that a model writes in harmony's messages: thoughts, and then one message that is a call or
    /// has the form of an answer. With thoughts and headers in it the form holds from the first token to the last.
    ///
    /// - Parameters:
    ///   - answer: the form of the last message; nil: it must be a call.
    ///   - tools: those that may be called, in OpenAI's form.
    ///   - generationPrompt: may hold the header of the answer.
    /// - Returns: nil in other syntaxes.
    package func harmonyPattern(
        answer: OutputPattern?, tools: [JSONValue], mayThink: Bool, generationPrompt: String
    ) -> OutputPattern? {
        guard form == .harmony else { return nil }
        if let answer, generationPrompt.containsCodePoints("<|message|>") { return answer }
        let constrain = OutputPattern.sequence([.optional(.literal(" ")), .literal("<|constrain|>json")])
        var messages: [OutputPattern] = []
        if let answer {
            messages.append(
                .sequence([.literal("<|channel|>final"), .optional(constrain), .literal("<|message|>"), answer]))
        }
        for (name, parameters) in callable(tools) {
            messages.append(
                .sequence([
                    .literal("<|channel|>commentary to=functions.\(name)"), .optional(constrain),
                    .literal("<|message|>"), .schema(parameters),
                ]))
        }
        guard !messages.isEmpty else { return nil }
        let thought = OutputPattern.sequence([
            .literal("<|channel|>analysis<|message|>"), .textBefore("<|end|>"), .literal("<|end|><|start|>assistant"),
        ])
        return .sequence((mayThink ? [.repeated(thought, atLeast: 0)] : []) + [.choice(messages)])
    }

    /// In harmony the arguments of a call are a message of their own: their forms by the name of the tool.
    package func argumentPatterns(tools: [JSONValue]) -> [String: OutputPattern] {
        guard form == .harmony else { return [:] }
        return Dictionary(callable(tools).map { ($0.name, .schema($0.parameters)) }) { first, _ in first }
    }
}
