import Synchronization

/// Has one sequence of tokens and lets the model's scheduler generate with it, one answer at a time.
final class SequenceRunner: Sendable {
    enum Prompt: Sendable {
        /// Without a format the answer is plain text.
        case tokens([Int32], AnswerFormat?)
        case chat(ChatPrompt)
    }

    struct Outcome: Sendable {
        var reason: FinishReason
        var usage: Usage
    }

    private let model: GGUFLanguageModel
    private let slot = Slot()
    /// The text of the slot's tokens when they came from a text prompt, nil when it is not known.
    private let contextText = Mutex<String?>(nil)

    init(_ model: GGUFLanguageModel) { self.model = model }

    /// Computes a prompt ahead of time.
    /// - Parameter seams: as in ``ChatPrompt``.
    func prepare(_ text: String, seams: [Int], until flag: StopFlag) async throws {
        let tokens = model.backend.encodePrompt(text, seams: seams)
        guard !tokens.isEmpty, tokens.count < model.backend.contextLength else { return }
        var job = ServingJob(tokens: tokens)
        job.options.maximumResponseTokens = 0
        let outcome = try await run(job, until: flag) { _ in }
        if outcome.reason == .maximumTokens { contextText.withLock { $0 = text } }
    }

    /// Generates until the model ends, a limit or a stop sequence is reached, or `flag` is set.
    ///
    /// - Parameter emit: receives everything but the ``GenerationEvent/finished(_:_:)`` that the outcome stands for.
    /// - Throws: ``LanguageModelSession/GenerationError``.
    func generate(
        from prompt: Prompt, options: GenerationOptions, until flag: StopFlag,
        emit: @escaping @Sendable (GenerationEvent) -> Void
    ) async throws -> Outcome {
        var job = ServingJob(tokens: tokens(for: prompt))
        job.options = options
        job.format = prompt.format
        let outcome = try await run(job, until: flag, emit)
        if case .chat(let prompt) = prompt, slot.tokens.count >= job.tokens.count {
            var decoder = model.backend.makeTextDecoder(showing: .all)
            var text = prompt.text
            for token in slot.tokens.dropFirst(job.tokens.count) { text += decoder.append(token) }
            text += decoder.finish()
            contextText.withLock { $0 = text }
        }
        return outcome
    }

    private func run(
        _ job: ServingJob, until flag: StopFlag, _ emit: @escaping @Sendable (GenerationEvent) -> Void
    ) async throws -> Outcome {
        var job = job
        job.slot = slot
        // Unknown while the sequence changes, and after an error.
        contextText.withLock { $0 = nil }
        let scheduler: Scheduler
        do {
            scheduler = try model.scheduler()
        } catch {
            throw LanguageModelSession.GenerationError(starting: error)
        }
        let result = try await withTaskCancellationHandler {
            // A task that is cancelled still hears how the answer ended.
            try await withCheckedThrowingContinuation { (end: CheckedContinuation<ServingResult, any Error>) in
                do throws(ServingError) {
                    try scheduler.submit(job, until: flag) { event in
                        switch event {
                        case .answer(let event): emit(event)
                        case .finished(let result): end.resume(returning: result)
                        case .started, .promptScores, .score, .openCall: break
                        }
                    }
                } catch {
                    end.resume(throwing: LanguageModelSession.GenerationError(error))
                }
            }
        } onCancel: {
            flag.set()
        }
        switch result.reason {
        case .failed(let reason), .refused(let reason):
            throw result.error ?? LanguageModelSession.GenerationError.decodingFailure(.init(debugDescription: reason))
        default: return Outcome(reason: result.reason.generation, usage: Usage(result))
        }
    }

    /// A text that goes on from the sequence's own keeps the sequence's tokens: tokenizing an answer again may
    /// split it in another way than the model did, and a recurrent state cannot be rewound.
    private func tokens(for prompt: Prompt) -> [Int32] {
        switch prompt {
        case .tokens(let tokens, _): return tokens
        case .chat(let prompt):
            guard let contextText = contextText.withLock({ $0 }), prompt.text.utf8.starts(with: contextText.utf8) else {
                return prompt.tokens
            }
            let known = contextText.utf8.count
            let rest = String(decoding: prompt.text.utf8.dropFirst(known), as: UTF8.self)
            let seams = prompt.seams.filter { $0 > known }.map { $0 - known }
            return slot.tokens + model.backend.encode(rest, addSpecial: false, parseSpecial: true, seams: seams)
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
