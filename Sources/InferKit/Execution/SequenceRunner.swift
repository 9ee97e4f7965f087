import Engine

/// Owns one sequence of tokens and generates on the model's thread.
///
/// Between two tokens it lets other sequences of the same model have their turn.
actor SequenceRunner {
    enum Prompt: Sendable {
        case tokens([Int32])
        /// With control tokens written out.
        case text(String)
    }

    struct Outcome: Sendable {
        var reason: FinishReason
        var usage: Usage
        /// What was generated, without a stop sequence.
        var text: String
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
    func prepare(_ text: String, until flag: StopFlag) throws {
        let generator = try readyGenerator()
        let tokens = tokens(for: .text(text), generator)
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
        let parameters = try options.samplingParameters(backend)
        let generator = try readyGenerator()
        let promptTokens = tokens(for: prompt, generator)
        try check(promptTokens, capacity: generator.capacity)

        var clock = UsageClock(promptTokens: promptTokens.count)
        // Unknown while the sequence changes, and after an error.
        contextText = nil
        do {
            try generator.sync(promptTokens, isCancelled: { flag.isSet || Task.isCancelled }) { done, total in
                clock.computedPromptTokens = total
                emit(.prefill(processed: done, total: total))
            }
        } catch is GenerationInterrupted {
            return Outcome(reason: .cancelled, usage: clock.usage(), text: "")
        }
        clock.promptIsDone()

        var sampler = Sampler(parameters, vocabularySize: backend.vocabularySize)
        for token in promptTokens { sampler.accept(token) }
        var output = AnswerText(decoder: backend.makeTextDecoder(), stops: options.stopSequences)
        let limit = options.maximumResponseTokens ?? .max
        var reason = FinishReason.maximumTokens
        while clock.generatedTokens < limit {
            if flag.isSet || Task.isCancelled {
                reason = .cancelled
                break
            }
            guard let token = sampler.sample(UnsafeBufferPointer(generator.logits)) else {
                throw LanguageModelSession.GenerationError.decodingFailure(
                    .init(
                        debugDescription: "the model gives no token that could come next (its logits are not numbers)"))
            }
            if backend.endOfGeneration.contains(token), !options.ignoresEndOfGeneration {
                reason = .endOfText
                break
            }
            sampler.accept(token)
            clock.tokenIsDone()
            emit(.token(token))
            let (text, stop) = output.append(token)
            if !text.isEmpty { emit(.text(text)) }
            if let stop {
                reason = .stopSequence(stop)
                break
            }
            guard generator.tokens.count < generator.capacity else {
                reason = .contextFull
                break
            }
            // The last token needs no successor.
            guard clock.generatedTokens < limit else { break }
            try generator.decode(token)
            if thread.hasWaitingJobs { await Task.yield() }
        }
        let rest = output.finish()
        if !rest.isEmpty { emit(.text(rest)) }
        if case .text(let text) = prompt {
            let generated = generator.tokens.dropFirst(promptTokens.count)
            contextText = text + backend.decode(Array(generated), renderSpecial: false)
        }
        return Outcome(reason: reason, usage: clock.usage(), text: output.text)
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
        case .tokens(let tokens): return tokens
        case .text(let text):
            if let contextText, text.utf8.starts(with: contextText.utf8) {
                let rest = String(decoding: text.utf8.dropFirst(contextText.utf8.count), as: UTF8.self)
                return generator.tokens + backend.encode(rest, addSpecial: false, parseSpecial: true)
            }
            return backend.encode(text, addSpecial: true, parseSpecial: true)
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

/// The text of an answer as it comes: tokens to characters, stop sequences held back.
private struct AnswerText {
    private var decoder: any TextDecoder
    private var stops: StopMatcher
    private(set) var text = ""

    init(decoder: any TextDecoder, stops: [String]) {
        self.decoder = decoder
        self.stops = StopMatcher(stops)
    }

    mutating func append(_ token: Int32) -> (text: String, stop: String?) {
        let (visible, stop) = stops.append(decoder.append(token))
        text += visible
        return (visible, stop)
    }

    /// What was held back and turned out to belong to the text.
    mutating func finish() -> String {
        guard !stops.hasMatched else { return "" }
        let (visible, stop) = stops.append(decoder.finish())
        let rest = stop == nil ? visible + stops.finish() : visible
        text += rest
        return rest
    }
}
