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
    /// Tokens that the model has thought, in all thoughts together: what a budget is spent on.
    private var thoughtTokens = 0
    /// Whether the thought that is open is being ended.
    private var isCuttingThought = false
    /// What opens a thought, where that is one token.
    private let thoughtMark: Int32?
    private var masked: [Float] = []

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
        let parameters = try options.samplingParameters(backend)
        sampler = Sampler(parameters, vocabularySize: backend.vocabularySize)
        for token in prompt { sampler.accept(token) }
        reader = OutputReader(format, stops: options.stopSequences, prompt: prompt, backend)
        thoughtMark = format?.syntax.reasoning.flatMap { backend.token(for: $0.open) }
        if let format {
            guide = try AnswerGuide(format, thoughtMark, backend)
            try guide?.checkStart(banned: parameters.logitBias.filter { $0.value == -.infinity }.map(\.key))
        }
        cutThoughtIfDue()
    }

    /// The next step of the answer.
    ///
    /// - Parameters:
    ///   - logits: one for each token of the vocabulary; not changed.
    ///   - emit: receives what is new, but not the end.
    /// - Throws: ``LanguageModelSession/GenerationError``: ``LanguageModelSession/GenerationError/unsupportedGuide(_:)``
    ///   and ``LanguageModelSession/GenerationError/invalidOption(_:)`` where the form that was asked for cannot be kept.
    package mutating func next(
        _ logits: UnsafeBufferPointer<Float>, _ emit: (GenerationEvent) -> Void
    ) throws -> Step {
        guard generatedTokens < limit else { return .finished(.maximumTokens) }
        var isForced = !forced.isEmpty
        var token = try choose(logits)
        if !isForced, backend.endOfGeneration.contains(token) {
            if owesFormBehindThought, !ignoresEnd, cutThought() {
                // The thought is over, and the answer is still to come.
                isForced = true
                token = try choose(logits)
            } else if !ignoresEnd || guide?.isOver ?? false {
                return .finished(reader.calls > 0 ? .toolCalls : .endOfText)
            }
        }
        sampler.accept(token)
        generatedTokens += 1
        let wasReasoning = reader.isReasoning
        if wasReasoning { reasoningTokens += 1 }
        emit(.token(token))
        let end = reader.append(token, emit)
        // The mark that ends a thought is no part of it.
        if wasReasoning, !isForced, reader.isReasoning { thoughtTokens += 1 }
        switch end {
        case .stopSequence(let stop)?: return .finished(.stopSequence(stop))
        case .turn?:
            guard owesFormBehindThought, cutThought() else {
                return .finished(reader.calls > 0 ? .toolCalls : .endOfText)
            }
            reader.resume()
        case nil: break
        }
        try guide?.follow(reader)
        cutThoughtIfDue()
        // The last token needs no successor.
        return generatedTokens < limit ? .decode(token) : .finished(.maximumTokens)
    }

    /// The call that is being written, where a grammar holds it to its form so that it will become one.
    package var openCall: OpenCall? { guide?.holds ?? false ? reader.openCall : nil }

    /// So many of the last tokens have no text yet that is certain to be given out: a stop sequence may take them. Behind
    /// the end those are left that one took.
    package var undecidedTokens: Int { reader.undecidedTokens }

    /// What was held back. To be called once, after the end.
    /// - Returns: the reason, which may be a stop sequence at the very end of the text.
    @discardableResult
    package mutating func finish(_ reason: FinishReason, _ emit: (GenerationEvent) -> Void) -> FinishReason {
        let endedByItself = reason == .endOfText || reason == .toolCalls
        let stop = reader.finish(isTruncated: !endedByItself, emit)
        return endedByItself ? stop.map { .stopSequence($0) } ?? reason : reason
    }

    private mutating func choose(_ logits: UnsafeBufferPointer<Float>) throws -> Int32 {
        if let token = forced.popFirst() {
            try guide?.acceptForced(token)
            return token
        }
        let choice: Int32?
        if var guide, guide.restricts(reader) {
            self.guide = nil
            defer { self.guide = guide }
            choice = try guide.choose(logits, &sampler, ignoresEnd: ignoresEnd)
        } else if let thoughtMark, thoughtsAreOver {
            choice = sampler.sample(without: thoughtMark, logits, &masked)
        } else {
            choice = sampler.sample(logits)
        }
        guard let choice else {
            throw LanguageModelSession.GenerationError.decodingFailure(
                .init(debugDescription: "the model gives no token that could come next (its logits are not numbers)"))
        }
        return choice
    }

    // MARK: Thoughts

    private var budgetIsSpent: Bool { format?.thoughtBudget.map { thoughtTokens >= $0 } ?? false }

    /// Whether another thought must not begin where one could.
    private var thoughtsAreOver: Bool { budgetIsSpent && !reader.isReasoning && reader.hasNoAnswer }

    /// Whether a thought is open behind which the answer has a form.
    private var owesFormBehindThought: Bool { reader.isReasoning && guide?.owesForm ?? false }

    /// A thought that has used up the budget of all thoughts ends here, or behind the character that is not complete: the
    /// words that end it come next, and then the answer.
    private mutating func cutThoughtIfDue() {
        if !reader.isReasoning { isCuttingThought = false }
        guard budgetIsSpent, reader.isReasoning, !reader.isInsideCharacter else { return }
        _ = cutThought()
    }

    /// - Returns: false where the model has no words for it.
    private mutating func cutThought() -> Bool {
        guard let format, !isCuttingThought,
            let close = format.holdsThoughts ? format.syntax.thoughtEnd : format.syntax.reasoningClose
        else { return false }
        isCuttingThought = true
        forced = backend.encode(close, addSpecial: false, parseSpecial: true)[...]
        reader.cutThought()
        return !forced.isEmpty
    }
}

extension ModelBackend {
    /// The token that a text is, if it is one.
    func token(for text: String) -> Int32? {
        let tokens = encode(text, addSpecial: false, parseSpecial: true)
        return tokens.count == 1 ? tokens.first : nil
    }
}

extension Sampler {
    fileprivate mutating func sample(
        without token: Int32, _ logits: UnsafeBufferPointer<Float>, _ copy: inout [Float]
    ) -> Int32? {
        copy = Array(logits)
        copy[Int(token)] = -.infinity
        return copy.withUnsafeBufferPointer { sample($0) }
    }
}
