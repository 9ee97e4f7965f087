/// What an answer took. With tools it is the sum of all that the model was asked on the way.
public struct Usage: Sendable, Equatable {
    /// Tokens of the prompt: instructions and conversation included.
    public let promptTokens: Int
    /// Those of ``promptTokens`` that were known from before and took no time.
    public let cachedPromptTokens: Int
    /// Tokens of the answer.
    public let generatedTokens: Int
    /// Those of ``generatedTokens`` that were thoughts.
    public let reasoningTokens: Int
    /// Time until the prompt was computed.
    public let promptDuration: Duration
    /// Time from the start to the first token of the answer; zero when there was none.
    public let timeToFirstToken: Duration
    /// Time from the end of the prompt to the end of the answer.
    public let generationDuration: Duration

    /// New prompt tokens per second.
    public var promptTokensPerSecond: Double {
        rate(promptTokens - cachedPromptTokens, promptDuration)
    }

    /// Tokens of the answer per second.
    public var tokensPerSecond: Double { rate(generatedTokens, generationDuration) }

    private func rate(_ count: Int, _ duration: Duration) -> Double {
        let seconds = duration / .seconds(1)
        return seconds > 0 ? Double(count) / seconds : 0
    }

    /// This and what came after it.
    func adding(_ next: Usage) -> Usage {
        Usage(
            promptTokens: promptTokens + next.promptTokens,
            cachedPromptTokens: cachedPromptTokens + next.cachedPromptTokens,
            generatedTokens: generatedTokens + next.generatedTokens,
            reasoningTokens: reasoningTokens + next.reasoningTokens,
            promptDuration: promptDuration + next.promptDuration, timeToFirstToken: timeToFirstToken,
            generationDuration: generationDuration + next.generationDuration)
    }
}

/// Takes the times for a ``Usage``.
struct UsageClock {
    let promptTokens: Int
    var computedPromptTokens = 0
    private(set) var generatedTokens = 0
    private var reasoningTokens = 0
    private let start = ContinuousClock.now
    private var promptEnd: ContinuousClock.Instant?
    private var firstToken: ContinuousClock.Instant?

    init(promptTokens: Int) { self.promptTokens = promptTokens }

    mutating func promptIsDone() { promptEnd = .now }

    /// So many tokens are there in all.
    mutating func tokensAreDone(_ count: Int, reasoning: Int) {
        (generatedTokens, reasoningTokens) = (count, reasoning)
        if firstToken == nil, count > 0 { firstToken = .now }
    }

    func usage() -> Usage {
        let now = ContinuousClock.now
        let promptEnd = promptEnd ?? now
        return Usage(
            promptTokens: promptTokens, cachedPromptTokens: promptTokens - computedPromptTokens,
            generatedTokens: generatedTokens, reasoningTokens: reasoningTokens, promptDuration: promptEnd - start,
            timeToFirstToken: firstToken.map { $0 - start } ?? .zero, generationDuration: now - promptEnd)
    }
}
