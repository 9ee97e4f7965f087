import Engine

/// Owns one sequence of tokens and generates on the model's thread.
///
/// Between two tokens it lets other sequences of the same model have their turn.
actor SequenceRunner {
    enum Prompt: Sendable {
        /// Without a format the answer is plain text.
        case tokens([Int32], AnswerFormat?)
        case chat(ChatPrompt)
    }

    struct Outcome: Sendable {
        var reason: FinishReason
        var usage: Usage
    }

    nonisolated private let thread: EngineThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let backend: any ModelBackend
    private var generator: (any TokenGenerator)?
    /// The text of the generator's tokens when they came from a text prompt, nil when it is not known.
    private var contextText: String?

    init(backend: any ModelBackend, thread: EngineThread) {
        self.backend = backend
        self.thread = thread
    }

    /// Computes a prompt ahead of time.
    /// - Parameter seams: as in ``ChatPrompt``.
    func prepare(_ text: String, seams: [Int], until flag: StopFlag) throws {
        let generator = try readyGenerator()
        let tokens = backend.encodePrompt(text, seams: seams)
        guard !tokens.isEmpty, tokens.count < generator.capacity else { return }
        contextText = nil
        try generator.sync(tokens, isCancelled: { flag.isSet }, progress: { _, _ in })
        contextText = text
    }

    /// Generates until the model ends, a limit or a stop sequence is reached, or `flag` is set.
    ///
    /// - Parameter emit: receives everything but the ``GenerationEvent/finished(_:_:)`` that the outcome stands for.
    func generate(
        from prompt: Prompt, options: GenerationOptions, until flag: StopFlag,
        emit: @Sendable (GenerationEvent) -> Void
    ) async throws -> Outcome {
        let generator = try readyGenerator()
        let promptTokens = tokens(for: prompt, generator)
        try check(promptTokens, capacity: generator.capacity)
        var answer = try AnswerState(prompt: promptTokens, format: prompt.format, options: options, backend: backend)

        var clock = UsageClock(promptTokens: promptTokens.count)
        // Unknown while the sequence changes, and after an error.
        contextText = nil
        do {
            try generator.sync(promptTokens, isCancelled: { flag.isSet || Task.isCancelled }) { done, total in
                clock.computedPromptTokens = total
                emit(.prefill(processed: done, total: total))
            }
        } catch is GenerationInterrupted {
            return Outcome(reason: .cancelled, usage: clock.usage())
        }
        clock.promptIsDone()

        var reason = FinishReason.cancelled
        generation: while !flag.isSet, !Task.isCancelled {
            let step = try answer.next(UnsafeBufferPointer(generator.logits), emit)
            clock.tokensAreDone(answer.generatedTokens, reasoning: answer.reasoningTokens)
            switch step {
            case .finished(let end):
                reason = end
                break generation
            case .decode(let token):
                guard generator.tokens.count < generator.capacity else {
                    reason = .contextFull
                    break generation
                }
                try generator.decode(token)
            }
            if thread.hasWaitingJobs { await Task.yield() }
        }
        answer.finish(reason, emit)
        if case .chat(let prompt) = prompt {
            var decoder = backend.makeTextDecoder(showing: .all)
            var text = prompt.text
            for token in generator.tokens.dropFirst(promptTokens.count) { text += decoder.append(token) }
            contextText = text + decoder.finish()
        }
        return Outcome(reason: reason, usage: clock.usage())
    }

    private func readyGenerator() throws -> any TokenGenerator {
        if let generator { return generator }
        let made = try backend.makeGenerator()
        generator = made
        return made
    }

    /// A text that goes on from the sequence's own keeps the sequence's tokens: tokenizing an answer again may
    /// split it in another way than the model did, and a recurrent state cannot be rewound.
    private func tokens(for prompt: Prompt, _ generator: any TokenGenerator) -> [Int32] {
        switch prompt {
        case .tokens(let tokens, _): return tokens
        case .chat(let prompt):
            guard let contextText, prompt.text.utf8.starts(with: contextText.utf8) else { return prompt.tokens }
            let known = contextText.utf8.count
            let rest = String(decoding: prompt.text.utf8.dropFirst(known), as: UTF8.self)
            let seams = prompt.seams.filter { $0 > known }.map { $0 - known }
            return generator.tokens + backend.encode(rest, addSpecial: false, parseSpecial: true, seams: seams)
        }
    }

    private func check(_ prompt: [Int32], capacity: Int) throws {
        guard !prompt.isEmpty else {
            throw LanguageModelSession.GenerationError.invalidPrompt(
                .init(debugDescription: "the prompt is empty, and the model has no token to begin a text with"))
        }
        if let strange = prompt.first(where: { $0 < 0 || Int($0) >= backend.vocabularySize }) {
            throw LanguageModelSession.GenerationError.invalidPrompt(
                .init(
                    debugDescription:
                        "token \(strange) is outside the vocabulary of \(backend.vocabularySize) tokens"))
        }
        guard prompt.count < capacity else {
            throw LanguageModelSession.GenerationError.exceededContextWindowSize(
                .init(
                    debugDescription:
                        "the prompt has \(prompt.count) tokens; with room for an answer "
                        + "the context of \(capacity) tokens holds \(capacity - 1)"))
        }
    }
}

extension SequenceRunner.Prompt {
    /// How the answer is read; nil: as plain text.
    fileprivate var format: AnswerFormat? {
        switch self {
        case .tokens(_, let format): format
        case .chat(let prompt): prompt.answer
        }
    }
}
