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

extension Usage {
    /// Of an answer that nothing was computed for.
    static let none = Usage(
        promptTokens: 0, cachedPromptTokens: 0, generatedTokens: 0, reasoningTokens: 0, promptDuration: .zero,
        timeToFirstToken: .zero, generationDuration: .zero)

    /// - Parameter result: of a job.
    init(_ result: ServingResult) {
        self.init(
            promptTokens: result.promptTokens, cachedPromptTokens: result.cachedTokens,
            generatedTokens: result.generatedTokens, reasoningTokens: result.reasoningTokens,
            promptDuration: result.timing.prompt, timeToFirstToken: result.timing.firstToken ?? .zero,
            generationDuration: result.timing.generation)
    }
}
