import ChatTemplates
import Engine

/// A job with its way back to whoever asked.
struct Ticket: Sendable {
    let job: ServingJob
    /// Receives what becomes of the job, on the scheduler's threads, one event at a time.
    let deliver: @Sendable (ServingEvent) -> Void
    let flag: StopFlag
    let submitted: ContinuousClock.Instant
}

/// One running job: a sequence, what has been said, and what comes next. Belongs to the scheduler's thread, which lends
/// it to one other for ``receive(_:at:)``.
final class ServingSlot {
    let ticket: Ticket
    let slot: Slot
    /// What the sequence is to hold before the next token can be chosen: the prompt at first.
    private var target: [Int32]
    /// Lengths of ``target`` at which the state is remembered, rising.
    private var cuts: [Int]
    /// Chosen, but not computed yet.
    private(set) var pending: Int32?
    private(set) var result: ServingResult?

    /// Sequences longer than this are computed in another way from their first token on; nil: none are.
    private let longContext: Int?
    private var answer: AnswerState?
    private var calls = 0
    private var openCall: OpenCall?
    private var promptScores: [TokenScore] = []
    /// Scores of tokens whose text a stop sequence may yet take: those of which nothing is shown are not scored.
    private var heldScores: [TokenScore] = []
    /// Prompt positions whose scores have been given.
    private var scoredPositions = 0
    private let cachedTokens: Int
    private let started = ContinuousClock.now
    private var promptEnd: ContinuousClock.Instant?
    private var firstToken: ContinuousClock.Instant?
    /// The logits behind the prompt, where they are to be kept with the slot.
    private var promptLogits: [Float]?
    private let keepsPromptEnd: Bool

    /// - Parameters:
    ///   - slot: holds a beginning of the prompt, perhaps none of it.
    ///   - keepsPromptEnd: whether the slot is to remember where the prompt ended.
    init(
        _ ticket: Ticket, _ slot: Slot, cuts: [Int], backend: any ModelBackend, longContext: Int?, keepsPromptEnd: Bool
    ) {
        let job = ticket.job
        self.ticket = ticket
        self.slot = slot
        self.longContext = longContext
        self.keepsPromptEnd = keepsPromptEnd && slot.sequence?.needsSnapshots ?? false
        let known = slot.tokens.count
        cachedTokens = known
        target = job.tokens
        self.cuts = cuts.filter { $0 > known && $0 <= job.tokens.count }.sorted()
        if let longContext, job.promptScoreAlternatives != nil, job.tokens.count > longContext {
            // A position's scores are those of a sequence that ends there: first those of a short one.
            target = Array(job.tokens.prefix(longContext))
            slot.sequence?.isLong = false
        }
        ticket.deliver(.started(cachedTokens: cachedTokens))
        do {
            answer = try AnswerState(prompt: job.tokens, format: job.format, options: job.options, backend: backend)
        } catch {
            finish(error)
        }
    }

    var job: ServingJob { ticket.job }
    var isAnswering: Bool { pending != nil }
    var generatedTokens: Int { answer?.generatedTokens ?? 0 }
    /// Tokens that are still to be computed before the next can be chosen.
    var remainingPrompt: Int { max(target.count - slot.tokens.count, 0) }
    private var wantsAnswer: Bool { job.options.maximumResponseTokens ?? 1 > 0 }

    /// The next prompt tokens, at most `limit`, none beyond a length that is to be remembered.
    func nextPiece(limit: Int) -> ArraySlice<Int32> {
        let start = slot.tokens.count
        return target[start..<min(start + limit, cuts.first ?? target.count, target.count)]
    }

    /// Which logits the next piece must give.
    func logitRows(of piece: ArraySlice<Int32>) -> LogitRows {
        if job.promptScoreAlternatives != nil { return .all }
        return piece.endIndex == target.count && wantsAnswer ? .last : .none
    }

    /// The state has taken in these tokens.
    /// - Returns: whether it is to be remembered as it is now.
    func didCompute(_ computed: ArraySlice<Int32>) -> Bool {
        slot.advance(by: computed)
        if pending != nil {
            pending = nil
            return false
        }
        let isCut = cuts.first == slot.tokens.count
        if isCut { cuts.removeFirst() }
        if promptEnd == nil {
            if slot.tokens.count == job.tokens.count { promptEnd = .now }
            ticket.deliver(
                .answer(
                    .prefill(
                        processed: slot.tokens.count - cachedTokens, total: job.tokens.count - cachedTokens)))
        }
        return isCut
    }

    // MARK: Logits

    /// The logits behind the token at `position`.
    func receive(_ logits: UnsafeMutableBufferPointer<Float>, at position: Int) {
        guard result == nil else { return }
        let logits = UnsafeBufferPointer(logits)
        if keepsPromptEnd, position + 1 == job.tokens.count, slot.tokens.count == job.tokens.count {
            promptLogits = Array(logits)
        }
        if let alternatives = job.promptScoreAlternatives, position + 1 < job.tokens.count {
            guard position >= scoredPositions else { return }
            scoredPositions = position + 1
            promptScores.append(TokenScore(of: job.tokens[position + 1], top: alternatives, in: logits))
        } else if position + 1 >= target.count, wantsAnswer {
            choose(logits)
        }
    }

    private func choose(_ logits: UnsafeBufferPointer<Float>) {
        // Nobody wants another token.
        if ticket.flag.isSet { return finish(.cancelled) }
        tellPromptScores()
        var chosen: Int32?
        var events: [GenerationEvent] = []
        do {
            let step = try answer?.next(logits) { event in
                if case .token(let token) = event { chosen = token }
                events.append(event)
            }
            if let chosen {
                if firstToken == nil { firstToken = .now }
                if let alternatives = job.scoreAlternatives {
                    heldScores.append(TokenScore(of: chosen, top: alternatives, in: logits))
                    tellScores()
                }
            }
            for event in events { tell(event) }
            if job.streamsCalls { tellOpenCall() }
            switch step {
            case .decode(let token)?: goOn(with: token)
            case .finished(let reason)?: finish(ServingResult.Reason(reason))
            case nil: finish(.failed("the answer was not begun"))
            }
        } catch {
            finish(error)
        }
    }

    private func tellPromptScores() {
        if !promptScores.isEmpty { ticket.deliver(.promptScores(promptScores)) }
        promptScores = []
    }

    /// Scores of the tokens that are sure to be part of the answer.
    private func tellScores() {
        let decided = max(heldScores.count - (answer?.undecidedTokens ?? 0), 0)
        for score in heldScores.prefix(decided) { ticket.deliver(.score(score)) }
        heldScores.removeFirst(decided)
    }

    private func tell(_ event: GenerationEvent) {
        if case .toolCall = event {
            calls += 1
            openCall = nil
        }
        ticket.deliver(.answer(event))
    }

    private func tellOpenCall() {
        guard let call = answer?.openCall, call != openCall else { return }
        openCall = call
        ticket.deliver(.openCall(call))
    }

    private func goOn(with token: Int32) {
        guard let sequence = slot.sequence, sequence.count < sequence.capacity else { return finish(.contextFull) }
        if let longContext, !sequence.isLong, sequence.count + 1 > longContext {
            startAnew(slot.tokens + [token])
        } else {
            pending = token
        }
    }

    /// All tokens are computed again, as a long sequence.
    private func startAnew(_ wanted: [Int32]) {
        target = wanted
        cuts = []
        slot.forget()
        slot.sequence?.isLong = true
    }

    /// Ends a step: what came of it goes to the consumer.
    func stepIsDone() {
        tellPromptScores()
        if let logits = promptLogits.take() { slot.keepPromptEnd(logits) }
        guard result == nil, remainingPrompt == 0 else { return }
        if target.count < job.tokens.count {
            startAnew(job.tokens)
        } else if !wantsAnswer {
            finish(.maximumTokens)
        }
    }

    // MARK: The end

    /// What somebody else decides: the consumer, the clock.
    func checkLimits(_ now: ContinuousClock.Instant) {
        if ticket.flag.isSet { return finish(.cancelled) }
        if let deadline = job.deadline, deadline <= now { finish(.timedOut) }
    }

    private func finish(_ error: any Error) { finish(ServingResult.Reason(error), error) }

    func finish(_ reason: ServingResult.Reason, _ error: (any Error)? = nil) {
        guard result == nil else { return }
        tellPromptScores()
        var reason = reason
        var rest: [GenerationEvent] = []
        if case .stopSequence(let text)? = answer?.finish(reason.generation, { rest.append($0) }) {
            reason = .stopSequence(text)
        }
        tellScores()
        for event in rest { tell(event) }
        let now = ContinuousClock.now
        let timing = ServingResult.Timing(
            queued: started - ticket.submitted, prompt: (promptEnd ?? now) - started,
            generation: promptEnd.map { now - $0 } ?? .zero, firstToken: firstToken.map { $0 - ticket.submitted })
        var result = ServingResult(
            reason: reason, promptTokens: job.tokens.count, cachedTokens: cachedTokens,
            generatedTokens: answer?.generatedTokens ?? 0, reasoningTokens: answer?.reasoningTokens ?? 0, calls: calls,
            timing: timing)
        result.error = error
        self.result = result
        ticket.deliver(.finished(result))
    }
}

extension ServingResult.Reason {
    init(_ reason: FinishReason) {
        switch reason {
        case .endOfText: self = .endOfText
        case .toolCalls: self = .toolCalls
        case .stopSequence(let text): self = .stopSequence(text)
        case .maximumTokens: self = .maximumTokens
        case .contextFull: self = .contextFull
        case .cancelled: self = .cancelled
        }
    }

    /// A form that was asked for and cannot be kept is the request's fault, anything else is not.
    init(_ error: any Error) {
        switch error {
        case LanguageModelSession.GenerationError.unsupportedGuide, LanguageModelSession.GenerationError.invalidOption:
            self = .refused("\(error)")
        default: self = .failed("\(error)")
        }
    }

    /// The same in the words of sessions, which know fewer.
    var generation: FinishReason {
        switch self {
        case .endOfText: .endOfText
        case .toolCalls: .toolCalls
        case .stopSequence(let text): .stopSequence(text)
        case .maximumTokens: .maximumTokens
        case .contextFull: .contextFull
        case .cancelled, .timedOut, .shutDown, .refused, .failed: .cancelled
        }
    }
}

extension Ticket {
    /// Ends a job that never ran.
    func finish(_ reason: ServingResult.Reason) {
        var timing = ServingResult.Timing()
        timing.queued = .now - submitted
        deliver(
            .finished(
                ServingResult(
                    reason: reason, promptTokens: job.tokens.count, cachedTokens: 0, generatedTokens: 0, timing: timing)
            ))
    }
}
