import InferKit

/// Follows the events of one answer: prints text as it comes, shows progress before, and keeps the figures.
struct AnswerReader {
    private(set) var text = ""
    private(set) var reason = FinishReason.cancelled
    private(set) var usage: Usage?
    private var progress = ProgressLine()

    /// - Parameter isStreaming: false keeps the text for later.
    mutating func follow(
        _ events: AsyncThrowingStream<GenerationEvent, any Error>, isStreaming: Bool
    ) async throws {
        defer { progress.clear() }
        for try await event in events {
            switch event {
            case .prefill(let processed, let total):
                // A prompt of one batch is done before it could be read.
                if processed < total { progress.show("reading the prompt: \(processed) of \(total) tokens") }
            case .token, .reasoning, .toolCall, .toolOutput, .diagnostic:
                break
            case .text(let delta):
                progress.clear()
                text += delta
                if isStreaming { Terminal.writeAnswer(delta) }
            case .finished(let reason, let usage):
                self.reason = reason
                self.usage = usage
            }
        }
    }
}
