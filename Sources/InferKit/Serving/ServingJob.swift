package import ChatTemplates

/// What a scheduler is asked to do: a prompt and how to go on from it.
package struct ServingJob: Sendable {
    /// The prompt.
    package var tokens: [Int32]
    /// Prompt lengths worth remembering: what is likely to begin the next prompt of the same conversation. Where a
    /// recurrent state is involved nothing else can be gone back to.
    package var checkpoints: [Int] = []
    /// How tokens are chosen and when the answer ends. With a limit of 0 tokens the prompt is only computed.
    package var options = GenerationOptions()
    /// How the answer is read and what it is held to; nil: it is plain text.
    package var format: AnswerFormat?
    /// Whether calls are told while they are written, besides at their end.
    package var streamsCalls = false
    /// Scores of the answer's tokens with so many alternatives.
    package var scoreAlternatives: Int?
    /// Scores of the prompt's tokens with so many alternatives. Such a prompt is computed from the beginning.
    package var promptScoreAlternatives: Int?
    /// After this the job ends with what there is.
    package var deadline: ContinuousClock.Instant?
    /// For log lines.
    package var id = ""
    /// Where to run, for somebody who keeps a sequence of his own. One job at a time; nil: wherever most of the prompt
    /// is known.
    package var slot: Slot?

    package init(tokens: [Int32]) { self.tokens = tokens }
}

/// What becomes of a job, in order.
package enum ServingEvent: Sendable {
    /// The job left the queue; so many tokens of its prompt need not be computed.
    case started(cachedTokens: Int)
    /// Scores of the prompt's second and later tokens, as they come.
    case promptScores([TokenScore])
    /// The score of the next token of the answer. It comes before the token's text, and not at all if a stop sequence took
    /// all of that.
    case score(TokenScore)
    /// A token of the answer, a piece of its text, a thought, a call.
    case answer(GenerationEvent)
    /// How far the next call has come that is certain to become one; only for ``ServingJob/streamsCalls``.
    case openCall(OpenCall)
    /// The end. The last event.
    case finished(ServingResult)
}

package struct ServingResult: Sendable {
    package enum Reason: Sendable, Equatable {
        case endOfText
        case toolCalls
        case stopSequence(String)
        case maximumTokens
        case contextFull
        /// The consumer went away or asked for it.
        case cancelled
        /// ``ServingJob/deadline`` has passed.
        case timedOut
        /// The scheduler was told to end.
        case shutDown
        /// The request asks for a form that cannot be kept.
        case refused(String)
        /// No token could come next.
        case failed(String)
    }

    package var reason: Reason
    /// What was thrown, for ``Reason/failed(_:)``; nil where nothing was.
    package var error: (any Error)?
    package var promptTokens: Int
    package var cachedTokens: Int
    package var generatedTokens: Int
    /// Those of them that were thoughts.
    package var reasoningTokens = 0
    /// Calls of tools in the answer.
    package var calls = 0
    package var timing: Timing

    package struct Timing: Sendable {
        /// From submission to the start of the prompt's computation.
        package var queued = Duration.zero
        package var prompt = Duration.zero
        package var generation = Duration.zero
        /// From submission to the first token; nil: there was none.
        package var firstToken: Duration?
    }
}

/// Why a job is not taken.
package enum ServingError: Error, Sendable, Equatable, CustomStringConvertible {
    case queueFull(limit: Int)
    case closed
    case emptyPrompt
    case tokenOutOfRange(Int32, vocabularySize: Int)
    /// There must be room for one token of an answer, unless none is wanted.
    case promptTooLong(tokens: Int, contextLength: Int)
    case invalidOption(String)
    /// An option or a form that cannot be had.
    case refused(LanguageModelSession.GenerationError)
    /// The model makes vectors and no text.
    case encoderOnly

    package var description: String {
        switch self {
        case .queueFull(let limit): "the server is busy: \(limit) requests wait already"
        case .closed: "the server is shutting down"
        case .emptyPrompt: "the prompt is empty"
        case .tokenOutOfRange(let token, let size): "token \(token) is outside the vocabulary of \(size) tokens"
        case .promptTooLong(let tokens, let length):
            "the prompt has \(tokens) tokens, but with room for an answer the context of \(length) tokens "
                + "holds \(length - 1)"
        case .invalidOption(let text): text
        case .refused(let error): error.description
        case .encoderOnly: "the model only makes embeddings, it does not write"
        }
    }
}
