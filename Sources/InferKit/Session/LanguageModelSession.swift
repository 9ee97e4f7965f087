package import ChatTemplates
import Synchronization

/// A conversation with a model, which remembers what was said.
///
/// One prompt is answered at a time; several sessions of one model live side by side. Shaped like the class of the
/// same name in Apple's FoundationModels.
public final class LanguageModelSession: Sendable {
    private struct State {
        var transcript: Transcript
        var current: (task: Task<Void, Never>, flag: StopFlag, turn: Turn)?

        /// With what there is of an answer that was told to stop and has not ended yet.
        var visible: Transcript {
            guard let current, current.flag.isSet else { return transcript }
            return Transcript(entries: transcript.entries + current.turn.closedEntries)
        }
    }

    /// Calls one after the other without an answer, after which the answer is given up.
    static let maximumToolRounds = 32

    private let model: GGUFLanguageModel
    private let tools: [any Tool]
    private let runner: SequenceRunner
    private let state: Mutex<State>

    /// Starts a conversation.
    ///
    /// - Parameters:
    ///   - tools: what the model can call. Their names differ.
    ///   - instructions: what the model is told before everything else.
    public convenience init(model: GGUFLanguageModel, tools: [any Tool] = [], instructions: String? = nil) {
        self.init(
            model: model, tools: tools, transcript: Transcript(entries: instructions.map { [.instructions($0)] } ?? []))
    }

    /// Continues a conversation.
    public init(model: GGUFLanguageModel, tools: [any Tool] = [], transcript: Transcript) {
        self.model = model
        self.tools = tools
        runner = SequenceRunner(model)
        state = Mutex(State(transcript: transcript))
    }

    /// What was said so far. An answer is added when it ends, or when somebody stops it.
    public var transcript: Transcript { state.withLock { $0.visible } }

    /// Whether an answer is under way.
    public var isResponding: Bool { state.withLock { $0.current.map { !$0.flag.isSet } ?? false } }

    /// Answers a prompt.
    ///
    /// - Throws: ``GenerationError``, ``ToolCallError``, or `CancellationError` when the task or the answer was
    ///   cancelled; what there was of the answer is then in the ``transcript``.
    public func respond(
        to prompt: String, options: GenerationOptions = GenerationOptions()
    ) async throws -> Response<String> {
        try await streamResponse(to: prompt, options: options).collect()
    }

    /// Answers a prompt with a value of a form. Thoughts and calls of tools before it are free.
    ///
    /// - Throws: as ``respond(to:options:)``; ``GenerationError/unsupportedGuide(_:)`` names what is not supported in the
    ///   schema, ``GenerationError/decodingFailure(_:)`` says that the answer was cut off before its end.
    public func respond(
        to prompt: String, schema: GenerationSchema, options: GenerationOptions = GenerationOptions()
    ) async throws -> Response<GeneratedContent> {
        let answer = stream(prompt, options, .schema(schema.json))
        let response = try await ResponseStream<String>(answer: answer).collect()
        do {
            return response.map(try GeneratedContent(json: response.content))
        } catch {
            throw GenerationError.decodingFailure(
                .init(debugDescription: "the answer is not complete JSON (\(response.finishReason)): \(error)"))
        }
    }

    /// Answers a prompt with an instance of a type, which is decoded from a value of the form.
    ///
    /// - Throws: as ``respond(to:schema:options:)``, and `DecodingError` if the form does not fit the type.
    public func respond<Content: Decodable & Sendable>(
        to prompt: String, generating type: Content.Type, schema: GenerationSchema,
        options: GenerationOptions = GenerationOptions()
    ) async throws -> Response<Content> {
        let response = try await respond(to: prompt, schema: schema, options: options)
        return response.map(try response.content.value(type))
    }

    /// Answers a prompt, word by word. The work starts at once.
    ///
    /// - Throws: ``GenerationError`` and ``ToolCallError`` through the stream.
    public func streamResponse(
        to prompt: String, options: GenerationOptions = GenerationOptions()
    ) -> ResponseStream<String> {
        ResponseStream(answer: stream(prompt, options, options.grammar.map { .grammar($0) } ?? .text))
    }

    /// The same with the text of a value of a form.
    public func streamResponse(
        to prompt: String, schema: GenerationSchema, options: GenerationOptions = GenerationOptions()
    ) -> ResponseStream<String> {
        ResponseStream(answer: stream(prompt, options, .schema(schema.json)))
    }

    /// Stops the answer under way within one token; a tool under way has its task cancelled. The stream ends with
    /// ``FinishReason/cancelled``, and what there is of the answer stays in the ``transcript``.
    public func cancel() {
        state.withLock {
            $0.current?.flag.set()
            $0.current?.task.cancel()
        }
    }

    /// Computes the conversation so far ahead of time, so that the next answer starts sooner.
    public func prewarm() async throws {
        let entries = transcript.entries
        guard !entries.isEmpty || !tools.isEmpty, !isResponding else { return }
        // Only what is certain to come again: the text before the next contribution.
        func prompt(_ text: String) throws -> ChatPrompt {
            try model.prompt(for: request(entries + [.prompt(text)], GenerationOptions(), .text, round: 0))
        }
        let first = try prompt("a")
        let common = zip(first.text.unicodeScalars, try prompt("b").text.unicodeScalars).prefix { $0 == $1 }.map(\.0)
        var text = String.UnicodeScalarView()
        text.append(contentsOf: common)
        try await runner.prepare(String(text), seams: first.seams, until: StopFlag())
    }

    // MARK: Answering

    private func stream(
        _ prompt: String, _ options: GenerationOptions, _ format: ChatRequest.Format
    ) -> RunningAnswer {
        let (stream, continuation) = AsyncThrowingStream.makeStream(of: GenerationEvent.self)
        let flag = StopFlag()
        let turn = Turn(prompt: prompt)
        let task = state.withLock { state -> Task<Void, Never>? in
            // An answer that was told to stop needs at most one more token: wait for it.
            let previous = state.current
            if let previous, !previous.flag.isSet { return nil }
            let task = Task {
                await previous?.task.value
                await self.answer(turn, options, format, flag, continuation)
            }
            state.current = (task, flag, turn)
            return task
        }
        guard let task else {
            continuation.finish(
                throwing: GenerationError.concurrentRequests(
                    .init(debugDescription: "the session is still answering another prompt")))
            return RunningAnswer(events: stream, stop: {}, end: {})
        }
        let stop = { @Sendable [weak self] in
            flag.set()
            // A tool under way is told too.
            self?.cancelTask(of: flag)
        }
        continuation.onTermination = { _ in stop() }
        return RunningAnswer(events: stream, stop: stop, end: { await task.value })
    }

    private func cancelTask(of flag: StopFlag) {
        state.withLock { if $0.current?.flag === flag { $0.current?.task.cancel() } }
    }

    private func answer(
        _ turn: Turn, _ options: GenerationOptions, _ format: ChatRequest.Format, _ flag: StopFlag,
        _ continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation
    ) async {
        var usage: Usage?
        do {
            for round in 0..<Self.maximumToolRounds {
                let past = state.withLock { $0.transcript.entries }
                let request = request(past + turn.conversation, options, format, round: round)
                let outcome = try await runner.generate(
                    from: .chat(try model.prompt(for: request)), options: options, until: flag
                ) { event in
                    turn.add(event)
                    continuation.yield(event)
                }
                usage = usage?.adding(outcome.usage) ?? outcome.usage
                let total = usage ?? outcome.usage
                let isLast = round == Self.maximumToolRounds - 1
                guard outcome.reason == .toolCalls, !isLast, !flag.isSet else {
                    if outcome.reason == .endOfText { turn.noteEmptyAnswer() }
                    keep(turn, flag)
                    continuation.yield(.finished(outcome.reason, total))
                    return continuation.finish()
                }
                let outputs = try await run(turn.calls)
                turn.add(outputs)
                for output in outputs { continuation.yield(.toolOutput(output)) }
            }
        } catch is CancellationError where flag.isSet {
            // A tool that took notice.
            keep(turn, flag)
            continuation.yield(.finished(.cancelled, usage ?? .none))
            continuation.finish()
        } catch {
            keep(turn, flag)
            continuation.finish(throwing: error)
        }
    }

    /// Keeps what was said; a prompt without an answer is as if it had never been.
    private func keep(_ turn: Turn, _ flag: StopFlag) {
        state.withLock { state in
            state.transcript.entries += turn.closedEntries
            if state.current?.flag === flag { state.current = nil }
        }
    }

    /// - Parameter round: 0 for what the prompt leads to; the model is free in what it makes of the tools' outputs.
    private func request(
        _ entries: [Transcript.Entry], _ options: GenerationOptions, _ format: ChatRequest.Format, round: Int
    ) -> ChatRequest {
        var conversation = Conversation(
            messages: Transcript(entries: entries).messages, tools: tools.map { $0.definition })
        conversation.reasoning = options.reasoningOptions
        conversation.variables = JSONObject(
            options.templateVariables.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })
        var request = ChatRequest(conversation)
        request.choice = tools.isEmpty ? .none : options.toolChoice.callChoice
        if tools.isEmpty, case .named = options.toolChoice { request.choice = options.toolChoice.callChoice }
        if round > 0, request.choice != .none { request.choice = .auto }
        request.isParallel = options.allowsParallelToolCalls
        request.format = format
        return request
    }

    // MARK: Tools

    /// The outputs in the order of the calls, which run at the same time.
    private func run(_ calls: [Transcript.ToolCall]) async throws -> [Transcript.ToolOutput] {
        try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for (index, call) in calls.enumerated() {
                guard let tool = tools.first(where: { $0.name.sameCodePoints(as: call.toolName) }) else {
                    let names = tools.map(\.name).joined(separator: ", ")
                    group.addTask { (index, "Error: there is no tool \(call.toolName); there are: \(names)") }
                    continue
                }
                group.addTask { (index, try await tool.answer(call)) }
            }
            var outputs: [(Int, String)] = []
            for try await output in group { outputs.append(output) }
            return outputs.sorted { $0.0 < $1.0 }.map { index, text in
                Transcript.ToolOutput(id: calls[index].id, toolName: calls[index].toolName, text: text)
            }
        }
    }
}

extension GenerationOptions {
    package var reasoningOptions: ReasoningOptions {
        switch reasoning {
        case nil: ReasoningOptions(effort: reasoningEffort)
        case .off: ReasoningOptions(isOn: false, effort: reasoningEffort)
        case .on: ReasoningOptions(isOn: true, effort: reasoningEffort)
        case .budget(let tokens): ReasoningOptions(isOn: true, effort: reasoningEffort, budget: max(0, tokens))
        }
    }
}
