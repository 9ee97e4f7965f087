extension OutputSyntax {
    /// Whether the model marks its thoughts.
    package var hasReasoning: Bool { reasoning != nil || form == .harmony }

    /// Whether calls in the output are recognised.
    package var hasCalls: Bool { calls != nil || form == .harmony }

    /// The texts that are marks and not content. Where they are control tokens, these belong to the text to be read.
    package var marks: [String] {
        if form == .harmony {
            return [
                "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>",
            ]
        }
        var marks = reasoning.map { [$0.open, $0.close] } ?? []
        if let calls {
            marks += [
                calls.section?.open, calls.section?.close, calls.open, calls.namePrefix, calls.nameEnd, calls.idOpen,
                calls.close,
            ].compactMap { $0 }
            switch calls.arguments {
            case .tagged(let tags):
                marks += [tags.open, tags.keyEnd, tags.valueOpen, tags.stringFlagEnd, tags.close].compactMap { $0 }
            case .gemma: marks.append(String(decoding: GemmaArguments.quote, as: UTF8.self))
            case .json, .callObjects: break
            }
        }
        return marks
    }

    /// What is added to the prompt so that the model does not think: the end of an open thought, or an empty one. An
    /// empty text where the prompt holds an empty thought already, or the model has no marked reasoning.
    package func reasoningSkip(generationPrompt: String, hasTools: Bool) -> String {
        if form == .harmony {
            // With tools the model must be free to choose another channel.
            return hasTools || generationPrompt.containsCodePoints("<|channel|>") ? "" : "<|channel|>final<|message|>"
        }
        guard let reasoning else { return "" }
        if opensReasoning(generationPrompt: generationPrompt) { return "\n\(reasoning.close)\n\n" }
        if generationPrompt.containsCodePoints(reasoning.close) { return "" }
        let lineBreak = reasoning.open.utf8.last == 0x0A ? "" : "\n"
        return "\(reasoning.open)\(lineBreak)\n\(reasoning.close)\n\n"
    }

    /// For a model that is told about tools in plain words: calls as in "Hermes function calling".
    package func withHermesCalls() -> OutputSyntax {
        guard form == .marked, calls == nil else { return self }
        var syntax = self
        syntax.calls = Calls(open: "<tool_call>", arguments: .callObjects, close: "</tool_call>")
        return syntax
    }
}

extension OutputParser {
    /// Whether the output is at a place of its content or a call: not in a thought, and not in the header of a message.
    package var isAnswering: Bool {
        switch phase {
        case .content, .calls: true
        case .harmonyBody(let message): message.kind != .reasoning
        case .reasoning, .heldReasoning, .harmonyHeader: false
        }
    }

    /// Whether the output has neither content nor calls so far.
    package var hasNoAnswer: Bool { content.isEmpty && !hasCalls }

    /// Whether the output is at a place of its text: what comes next is not part of a thought or of a call.
    package var isInText: Bool { isAnswering && openCalls == nil }

    /// White space at the end of the text so far, held back because a call would make it layout. Behind a call it is.
    package var heldContent: String { isInText && !hasCalls ? content.heldWhitespace : "" }

    /// Bytes at the end of the output that may be the beginning of a mark.
    package var undecidedBytes: Int { buffer.count - position }

    /// What a mark of calls has opened.
    package enum OpenCalls: Equatable {
        /// A section of calls.
        case section
        /// A call, name and all.
        case call
        /// The arguments of a call of this tool.
        case arguments(String)
    }

    /// What is being read of calls, and how many bytes of it have come. Nil outside of calls.
    package var openCalls: (part: OpenCalls, readBytes: Int)? {
        switch phase {
        case .calls(let reader) where !reader.isBare:
            return (reader.opensSection ? .section : .call, buffer.count - reader.regionStart)
        case .harmonyBody(let message):
            guard case .call(let name) = message.kind else { return nil }
            return (.arguments(name), buffer.count - message.start)
        default: return nil
        }
    }
}
