/// What happens while a model answers, in order: the prompt is computed, tokens come with the text that they make
/// certain, and the answer is finished.
public enum GenerationEvent: Sendable, Equatable {
    /// So many of the prompt's new tokens are computed.
    case prefill(processed: Int, total: Int)
    /// A token of the answer.
    case token(Int32)
    /// More of the answer's text: whole characters, and nothing that could be part of a stop sequence or a mark.
    case text(String)
    /// More of a thought before the answer, where the model's thoughts are marked.
    case reasoning(String)
    /// The model calls a tool. Always a whole call.
    case toolCall(Transcript.ToolCall)
    /// A session ran a tool; the model goes on with what it said.
    case toolOutput(Transcript.ToolOutput)
    /// Something looked like a call and was none.
    case diagnostic(OutputProblem)
    /// The end. The last event.
    case finished(FinishReason, Usage)
}

/// Text of a model that looked like a call of a tool and was none. Nothing of it is lost.
public struct OutputProblem: Sendable, Equatable {
    /// What is wrong, in one line.
    public let message: String
    /// The text of a call that the end of the answer cut off. A malformed call is part of the answer's text, and this
    /// is nil.
    public let unfinishedCall: String?
}

/// Why an answer ended.
public enum FinishReason: Sendable, Equatable {
    /// The model said that it is done.
    case endOfText
    /// The model is done and waits for what the tools say.
    case toolCalls
    /// This stop sequence came; it is not part of the text.
    case stopSequence(String)
    /// ``GenerationOptions/maximumResponseTokens`` was reached.
    case maximumTokens
    /// There was no room for another token.
    case contextFull
    /// Somebody stopped it.
    case cancelled
}
