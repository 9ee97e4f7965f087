import InferKit

/// Follows the events of one answer: prints text as it comes, shows progress before, and keeps the figures.
///
/// Thoughts and calls of tools are shown on a terminal only, fainter than the answer and apart from it.
struct AnswerReader {
    /// The answer: what came after the last call.
    private(set) var text = ""
    private(set) var reasoning = ""
    private(set) var toolCalls: [Transcript.ToolCall] = []
    private(set) var toolOutputs: [Transcript.ToolOutput] = []
    private(set) var problems: [OutputProblem] = []
    private(set) var reason = FinishReason.cancelled
    private(set) var usage: Usage?
    private var progress = ProgressLine()
    private var isInThought = false

    /// - Parameter isStreaming: false keeps the text for later.
    mutating func follow(
        _ events: AsyncThrowingStream<GenerationEvent, any Error>, isStreaming: Bool
    ) async throws {
        defer {
            progress.clear()
            endThought()
        }
        for try await event in events {
            switch event {
            case .prefill(let processed, let total):
                // A prompt of one batch is done before it could be read.
                if processed < total { progress.show("reading the prompt: \(processed) of \(total) tokens") }
            case .token:
                break
            case .reasoning(let delta):
                reasoning += delta
                if isStreaming { showThought(delta) }
            case .text(let delta):
                try add(delta, isStreaming: isStreaming)
            case .toolCall(let call):
                toolCalls.append(call)
                note("[\(call)]", isStreaming: isStreaming)
            case .toolOutput(let output):
                toolOutputs.append(output)
                note("[\(output.toolName): \(output.text)]", isStreaming: isStreaming)
                text = ""
            case .diagnostic(let problem):
                problems.append(problem)
                if let cut = problem.unfinishedCall { try add(cut, isStreaming: isStreaming) }
                note("[\(problem.message)]", isStreaming: isStreaming)
            case .finished(let reason, let usage):
                self.reason = reason
                self.usage = usage
            }
        }
    }

    private mutating func add(_ delta: String, isStreaming: Bool) throws {
        progress.clear()
        text += delta
        guard isStreaming else { return }
        endThought()
        try StandardOutput.write(delta)
    }

    private mutating func showThought(_ delta: String) {
        guard Terminal.isMessageInteractive else { return }
        progress.clear()
        if !isInThought { Terminal.startFaint() }
        isInThought = true
        Terminal.writeMessage(delta)
    }

    private mutating func endThought() {
        guard isInThought else { return }
        isInThought = false
        Terminal.endFaint()
        Terminal.writeMessage("\n\n")
    }

    /// A line of its own beside the answer.
    private mutating func note(_ line: String, isStreaming: Bool) {
        guard isStreaming, Terminal.isMessageInteractive else { return }
        progress.clear()
        endThought()
        if !text.isEmpty, !text.endsWithLineBreak { Terminal.writeMessage("\n") }
        Terminal.writeHint(line)
    }
}
