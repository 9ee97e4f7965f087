import ChatTemplates
import Synchronization

/// A language model from a GGUF file.
///
/// The weights stay in the file, which is mapped into memory; any number of sessions use them side by side, each
/// with a memory of its own. What several of them ask for at once is computed together, which takes far less time than
/// one after the other and changes no answer.
public final class GGUFLanguageModel: Sendable {
    let backend: any ModelBackend
    let writers: ChatWriters
    private let limits: Scheduler.Limits
    /// Made when something is asked for.
    private let ownScheduler = Mutex<Scheduler?>(nil)

    /// Opens a model file. Of a split file any part may be named.
    ///
    /// - Parameters:
    ///   - path: the `.gguf` file.
    ///   - progress: receives the part that is done, 0 to 1, on the calling thread.
    /// - Throws: ``ModelLoadError``.
    public convenience init(
        path: String, configuration: Configuration = Configuration(), progress: (Double) -> Void = { _ in }
    ) throws {
        self.init(
            backend: try EngineBackend(path: path, configuration: configuration, progress: progress),
            parallelism: configuration.parallelism)
    }

    /// Also a model that only makes vectors, for whoever asks it for nothing else.
    package convenience init(servedPath path: String, configuration: Configuration) throws {
        self.init(
            backend: try EngineBackend(path: path, configuration: configuration, allowsEncoder: true) { _ in })
    }

    package init(backend: any ModelBackend, parallelism: Int = Configuration().parallelism) {
        self.backend = backend
        writers = ChatWriters(backend)
        var limits = Scheduler.Limits()
        limits.parallel = max(1, parallelism)
        limits.queue = .max
        // Sessions keep what they have computed themselves.
        limits.cacheBytes = 0
        self.limits = limits
    }

    /// What runs the jobs of sessions.
    func scheduler() throws -> Scheduler {
        try ownScheduler.withLock { own in
            if let own { return own }
            let made = try Scheduler(backend, limits: limits)
            own = made
            return made
        }
    }

    /// What the model is.
    public var information: ModelInformation { backend.information }

    /// The token ids of a text.
    ///
    /// - Parameters:
    ///   - addSpecial: adds the tokens that the model wants at the beginning and end of a text.
    ///   - parseSpecial: reads control tokens that are written out, such as `<|im_start|>`, as such. Leave it off
    ///     for text from somebody else.
    public func tokenize(_ text: String, addSpecial: Bool = true, parseSpecial: Bool = false) -> [Int32] {
        backend.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial, seams: [])
    }

    /// The text of token ids.
    ///
    /// - Parameter renderSpecial: writes control tokens out instead of leaving them away.
    public func detokenize(_ tokens: [Int32], renderSpecial: Bool = false) -> String {
        backend.decode(tokens, renderSpecial: renderSpecial)
    }

    /// Continues `tokens`: the door for callers that make their own prompts.
    ///
    /// The work starts at once and stops within one token when the consumer stops listening.
    /// - Throws: ``LanguageModelSession/GenerationError`` through the stream.
    public func generate(
        tokens: [Int32], options: GenerationOptions = GenerationOptions()
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        generate(tokens: tokens, options: options, until: StopFlag())
    }

    /// The same, and a flag that ends the stream with ``FinishReason/cancelled`` and the figures so far.
    /// - Parameter schema: the form of the continuation, as ``GenerationOptions/grammar`` is one too.
    /// - Throws: ``LanguageModelSession/GenerationError`` through the stream.
    package func generate(
        tokens: [Int32], options: GenerationOptions, schema: GenerationSchema? = nil, until flag: StopFlag
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        var format: AnswerFormat?
        if let pattern = schema.map({ OutputPattern.schema($0.json) }) ?? options.grammar.map({ .gbnf($0) }) {
            format = AnswerFormat()
            format?.pattern = pattern
        }
        return generate(.tokens(tokens, format), options, flag)
    }

    /// Answers a conversation that ``prompt(for:)`` has written: text, thoughts and calls as events.
    package func generate(
        _ prompt: ChatPrompt, options: GenerationOptions, until flag: StopFlag
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        generate(.chat(prompt), options, flag)
    }

    private func generate(
        _ prompt: SequenceRunner.Prompt, _ options: GenerationOptions, _ flag: StopFlag
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream.makeStream(of: GenerationEvent.self)
        continuation.onTermination = { _ in flag.set() }
        let runner = SequenceRunner(self)
        Task {
            do {
                let outcome = try await runner.generate(from: prompt, options: options, until: flag) {
                    continuation.yield($0)
                }
                continuation.yield(.finished(outcome.reason, outcome.usage))
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        return stream
    }
}
