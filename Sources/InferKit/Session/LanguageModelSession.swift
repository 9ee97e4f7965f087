import ChatTemplates
import Synchronization

/// A conversation with a model, which remembers what was said.
///
/// One prompt is answered at a time; several sessions of one model live side by side. Shaped like the class of the
/// same name in Apple's FoundationModels.
public final class LanguageModelSession: Sendable {
    private struct State {
        var transcript: Transcript
        var current: (task: Task<Void, Never>, flag: StopFlag)?
    }

    private let model: GGUFLanguageModel
    private let runner: SequenceRunner
    private let state: Mutex<State>

    /// Starts a conversation.
    ///
    /// - Parameter instructions: what the model is told before everything else.
    public convenience init(model: GGUFLanguageModel, instructions: String? = nil) {
        self.init(model: model, transcript: Transcript(entries: instructions.map { [.instructions($0)] } ?? []))
    }

    /// Continues a conversation.
    public init(model: GGUFLanguageModel, transcript: Transcript) {
        self.model = model
        runner = SequenceRunner(backend: model.backend, thread: model.thread)
        state = Mutex(State(transcript: transcript))
    }

    /// What was said so far. An answer is added when it ends, also when somebody stopped it.
    public var transcript: Transcript { state.withLock { $0.transcript } }

    /// Whether an answer is under way.
    public var isResponding: Bool { state.withLock { $0.current.map { !$0.flag.isSet } ?? false } }

    /// Answers a prompt.
    ///
    /// - Throws: ``GenerationError``, or `CancellationError` when the task or the answer was cancelled; what there
    ///   was of the answer is then in the ``transcript``.
    public func respond(
        to prompt: String, options: GenerationOptions = GenerationOptions()
    ) async throws -> Response<String> {
        try await streamResponse(to: prompt, options: options).collect()
    }

    /// Answers a prompt, word by word. The work starts at once.
    ///
    /// - Throws: ``GenerationError`` through the stream.
    public func streamResponse(
        to prompt: String, options: GenerationOptions = GenerationOptions()
    ) -> ResponseStream<String> {
        let (stream, continuation) = AsyncThrowingStream.makeStream(of: GenerationEvent.self)
        let flag = StopFlag()
        let started = state.withLock { state in
            // An answer that was told to stop needs at most one more token: wait for it.
            let previous = state.current
            if let previous, !previous.flag.isSet { return false }
            let task = Task {
                await previous?.task.value
                await self.answer(prompt, options, flag, continuation)
            }
            state.current = (task, flag)
            return true
        }
        if started {
            continuation.onTermination = { _ in flag.set() }
        } else {
            continuation.finish(
                throwing: GenerationError.concurrentRequests(
                    .init(debugDescription: "the session is still answering another prompt")))
        }
        return ResponseStream(events: stream)
    }

    /// Stops the answer under way within one token. Its stream ends with ``FinishReason/cancelled``, and what there
    /// is of it stays in the ``transcript``.
    public func cancel() { state.withLock { $0.current?.flag.set() } }

    /// Computes the conversation so far ahead of time, so that the next answer starts sooner.
    public func prewarm() async throws {
        let messages = messages(with: nil)
        guard !messages.isEmpty, !isResponding else { return }
        // Only what is certain to come again: the text before the next contribution.
        let format = try chatFormat()
        let open = try format.prompt(for: messages + [ChatMessage(.user, "")])
        let other = try format.prompt(for: messages + [ChatMessage(.user, "x")])
        let common = zip(open.unicodeScalars, other.unicodeScalars).prefix { $0 == $1 }.map(\.0)
        var text = String.UnicodeScalarView()
        text.append(contentsOf: common)
        try await runner.prepare(String(text), until: StopFlag())
    }

    // MARK: Answering

    private func answer(
        _ prompt: String, _ options: GenerationOptions, _ flag: StopFlag,
        _ continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation
    ) async {
        let produced = Mutex("")
        do {
            let text = try chatFormat().prompt(for: messages(with: prompt))
            let outcome = try await runner.generate(from: .text(text), options: options, until: flag) { event in
                if case .text(let delta) = event { produced.withLock { $0 += delta } }
                continuation.yield(event)
            }
            finish(prompt, outcome.reason == .cancelled && outcome.text.isEmpty ? nil : outcome.text, flag)
            continuation.yield(.finished(outcome.reason, outcome.usage))
            continuation.finish()
        } catch {
            let text = produced.withLock { $0 }
            finish(prompt, text.isEmpty ? nil : text, flag)
            continuation.finish(throwing: error)
        }
    }

    /// Keeps what was said; a prompt without an answer is as if it had never been.
    private func finish(_ prompt: String, _ answer: String?, _ flag: StopFlag) {
        state.withLock { state in
            if let answer { state.transcript.entries += [.prompt(prompt), .response(answer)] }
            if state.current?.flag === flag { state.current = nil }
        }
    }

    private func chatFormat() throws -> any ChatFormat {
        if let format = model.backend.chatFormat { return format }
        let reason =
            model.information.chatTemplate == nil
            ? "the model file has no chat template"
            : "the chat template of the model file is not understood"
        throw GenerationError.unsupportedChatTemplate(.init(debugDescription: reason))
    }

    private func messages(with prompt: String?) -> [ChatMessage] {
        let said = transcript.entries.map { entry in
            switch entry {
            case .instructions(let text): ChatMessage(.system, text)
            case .prompt(let text): ChatMessage(.user, text)
            case .response(let text): ChatMessage(.assistant, text)
            }
        }
        return said + (prompt.map { [ChatMessage(.user, $0)] } ?? [])
    }
}
