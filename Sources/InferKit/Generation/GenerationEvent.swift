/// What happens while a model answers, in order: the prompt is computed, tokens come with the text that they make
/// certain, and the answer is finished.
public enum GenerationEvent: Sendable, Equatable {
    /// So many of the prompt's new tokens are computed.
    case prefill(processed: Int, total: Int)
    /// A token of the answer.
    case token(Int32)
    /// More of the answer's text: whole characters, and nothing that could be part of a stop sequence.
    case text(String)
    /// The end. The last event.
    case finished(FinishReason, Usage)
}

/// Why an answer ended.
public enum FinishReason: Sendable, Equatable {
    /// The model said that it is done.
    case endOfText
    /// This stop sequence came; it is not part of the text.
    case stopSequence(String)
    /// ``GenerationOptions/maximumResponseTokens`` was reached.
    case maximumTokens
    /// There was no room for another token.
    case contextFull
    /// Somebody stopped it.
    case cancelled
}
