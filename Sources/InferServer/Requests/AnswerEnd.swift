import ChatTemplates
import InferKit

/// How an answer ended: one set of words that every API translates, for whole and streamed answers alike. The table is
/// in docs/conversations.md.
enum AnswerEnd: Sendable {
    enum Cut: String, Sendable {
        case tokens = "max_tokens"
        case context
        case time
        case cancelled
        case shutdown
        /// A stop text within a call.
        case stopInCall = "stop_in_call"
    }

    /// The model said all, or the form it is held to is complete.
    case done
    /// There are complete calls whose results the model waits for.
    case calls
    case stop(String)
    /// There would have been more.
    case cut(Cut)
    /// There is nothing to be had.
    case failed(APIError)

    /// - Parameters:
    ///   - cutsCall: whether the answer ends within a call, which is none then.
    ///   - wantsOneCall: whether a call is all that was asked for.
    init(_ result: ServingResult, cutsCall: Bool, wantsOneCall: Bool = false) {
        let hasCalls = result.calls > 0
        switch result.reason {
        case .failed(let message): self = .failed(.failed(message))
        case .timedOut where result.generatedTokens == 0:
            self = .failed(.unavailable("the time for the request was over before the answer began"))
        case .shutDown where result.generatedTokens == 0:
            self = .failed(.unavailable("the server is shutting down", retryAfter: 5))
        case _ where hasCalls && wantsOneCall: self = .calls
        case .stopSequence where cutsCall: self = .cut(.stopInCall)
        // Whoever runs tools looks at this word: calls that are there are not to be overlooked.
        case .stopSequence(let text): self = hasCalls ? .calls : .stop(text)
        case .endOfText, .toolCalls: self = hasCalls ? .calls : .done
        case .maximumTokens: self = .cut(.tokens)
        case .contextFull: self = .cut(.context)
        case .timedOut: self = .cut(.time)
        case .cancelled: self = .cut(.cancelled)
        case .shutDown: self = .cut(.shutdown)
        }
    }

    var failure: APIError? { if case .failed(let error) = self { error } else { nil } }
    var isCut: Bool { if case .cut = self { true } else { false } }

    /// OpenAI's chat and completions.
    var finishReason: String {
        switch self {
        case .done, .stop: "stop"
        case .calls: "tool_calls"
        case .cut, .failed: "length"
        }
    }

    /// More than OpenAI's word says; null where that is all.
    var finishDetails: JSONValue? {
        switch self {
        case .done, .calls, .failed: nil
        case .stop(let text): ["type": "stop", "stop": .string(text)]
        case .cut(let cut): ["type": .string(cut.rawValue)]
        }
    }

    var anthropic: (reason: String, sequence: String?) {
        switch self {
        case .done: ("end_turn", nil)
        case .calls: ("tool_use", nil)
        case .stop(let text): ("stop_sequence", text)
        case .cut, .failed: ("max_tokens", nil)
        }
    }

    var responseStatus: String {
        switch self {
        case .done, .calls, .stop: "completed"
        case .cut: "incomplete"
        case .failed: "failed"
        }
    }

    /// Ollama says nothing of calls here.
    var ollama: String {
        switch self {
        case .done, .calls, .stop: "stop"
        case .cut, .failed: "length"
        }
    }
}

/// The end of an answer with its figures.
struct AnswerOutcome: Sendable {
    var end: AnswerEnd
    /// nil: it never came to that.
    var result: ServingResult?
}
