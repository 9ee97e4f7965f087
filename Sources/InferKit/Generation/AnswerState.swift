package import ChatTemplates
import Engine

/// One answer in the making: chooses tokens from logits and tells what they say. What computes the logits is the
/// caller's: one sequence, or a batch of many.
///
/// Call ``next(_:_:)`` with the logits behind the prompt, then with those behind each token that it wants decoded, until
/// it says that the answer is finished. Not Sendable: one owner.
package struct AnswerState {
    package enum Step: Equatable {
        /// Compute this token and call again.
        case decode(Int32)
        case finished(FinishReason)
    }

    package private(set) var generatedTokens = 0
    /// Those of them that were thoughts.
    package private(set) var reasoningTokens = 0

    private let format: AnswerFormat?
    private let limit: Int
    private let ignoresEnd: Bool
    private let backend: any ModelBackend
    private var sampler: Sampler
    private var reader: OutputReader
    private var guide: AnswerGuide?
    /// Tokens that come next whatever the logits say.
    private var forced: ArraySlice<Int32> = []
    private var hasClosedThought = false

    /// - Parameters:
    ///   - prompt: the tokens before the answer; samplers look at them too.
    ///   - format: nil for plain text: everything is ``GenerationEvent/text(_:)``.
    /// - Throws: ``LanguageModelSession/GenerationError``.
    package init(
        prompt: [Int32], format: AnswerFormat?, options: GenerationOptions, model: GGUFLanguageModel
    ) throws {
        try self.init(prompt: prompt, format: format, options: options, backend: model.backend)
    }

    init(prompt: [Int32], format: AnswerFormat?, options: GenerationOptions, backend: any ModelBackend) throws {
        self.format = format
        self.backend = backend
        limit = options.maximumResponseTokens ?? .max
        ignoresEnd = options.ignoresEndOfGeneration
        sampler = Sampler(try options.samplingParameters(backend), vocabularySize: backend.vocabularySize)
        for token in prompt { sampler.accept(token) }
        reader = OutputReader(format, stops: options.stopSequences, prompt: prompt, backend)
        if let format { guide = try AnswerGuide(format, backend) }
        closeThoughtIfDue()
    }

    /// The next step of the answer.
    ///
    /// - Parameters:
    ///   - logits: one for each token of the vocabulary; not changed.
    ///   - emit: receives what is new, but not the end.
    /// - Throws: ``LanguageModelSession/GenerationError/decodingFailure(_:)``.
    package mutating func next(
        _ logits: UnsafeBufferPointer<Float>, _ emit: (GenerationEvent) -> Void
    ) throws -> Step {
        guard generatedTokens < limit else { return .finished(.maximumTokens) }
        let token = try choose(logits)
        if backend.endOfGeneration.contains(token), !ignoresEnd, forced.isEmpty {
            return .finished(reader.endsInCalls ? .toolCalls : .endOfText)
        }
        sampler.accept(token)
        generatedTokens += 1
        if reader.isReasoning { reasoningTokens += 1 }
        emit(.token(token))
        let stop = reader.append(token, emit)
        if let stop {
            let isEndOfTurn = format?.endTexts.contains(stop) ?? false
            return .finished(isEndOfTurn ? (reader.endsInCalls ? .toolCalls : .endOfText) : .stopSequence(stop))
        }
        if format?.endsBehindCall ?? false, reader.calls > 0 { return .finished(.toolCalls) }
        try guide?.follow(reader)
        closeThoughtIfDue()
        // The last token needs no successor.
        return generatedTokens < limit ? .decode(token) : .finished(.maximumTokens)
    }

    /// The call that is being written, where a grammar holds it to its form so that it will become one.
    package var openCall: OpenCall? { guide?.holds ?? false ? reader.openCall : nil }

    /// What was held back. To be called once, after the end.
    package mutating func finish(_ reason: FinishReason, _ emit: (GenerationEvent) -> Void) {
        let endedByItself = reason == .endOfText || reason == .toolCalls
        reader.finish(isTruncated: !endedByItself, emit)
    }

    private mutating func choose(_ logits: UnsafeBufferPointer<Float>) throws -> Int32 {
        if let token = forced.popFirst() {
            try guide?.acceptForced(token)
            return token
        }
        let choice =
            if guide != nil {
                try guide?.choose(logits, reader, &sampler)
            } else {
                sampler.sample(logits)
            }
        guard let choice else {
            throw LanguageModelSession.GenerationError.decodingFailure(
                .init(debugDescription: "the model gives no token that could come next (its logits are not numbers)"))
        }
        return choice
    }

    /// A thought that has used up its budget ends here: the words that end it come next, and then the answer.
    private mutating func closeThoughtIfDue() {
        guard let format, let budget = format.thoughtBudget, !hasClosedThought, reader.isReasoning,
            reasoningTokens >= budget,
            let close = format.holdsThoughts ? format.syntax.thoughtEnd : format.syntax.reasoningClose
        else { return }
        hasClosedThought = true
        forced = backend.encode(close, addSpecial: false, parseSpecial: true)[...]
    }
}
