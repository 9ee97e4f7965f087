import ChatTemplates
import InferKit

/// What happens while a conversation is answered.
enum AnswerEvent: Sendable {
    case reasoning(String)
    case content(String)
    /// A call begins; its arguments follow.
    case callBegan(name: String)
    /// A piece of the open call's arguments: joined, the pieces are the arguments as JSON.
    case callArguments(String)
    /// The open call is complete.
    case call(Transcript.ToolCall)
    case scores([TokenScore])
    case finished(ServingResult)
}

extension ServingResult {
    /// OpenAI's word for the reason.
    var finishReason: String {
        if calls > 0 { return "tool_calls" }
        switch reason {
        case .endOfText, .toolCalls, .stopSequence, .cancelled: return "stop"
        case .maximumTokens, .contextFull, .timedOut, .shutDown, .refused, .failed: return "length"
        }
    }

    /// What is told of an answer that could not even begin, or could not go on.
    var failure: APIError? {
        switch reason {
        case .refused(let message): .invalid(message)
        case .failed(let message): .failed(message)
        case .timedOut where generatedTokens == 0:
            .unavailable("the time for the request was over before the answer began")
        case .shutDown where generatedTokens == 0: .unavailable("the server is shutting down", retryAfter: 5)
        default: nil
        }
    }
}

extension Transcript.ToolCall {
    /// The arguments as JSON.
    var argumentsText: String { arguments.jsonString }
}

/// An answer put together.
struct CollectedAnswer: Sendable {
    var content = ""
    var reasoning = ""
    var calls: [Transcript.ToolCall] = []
    var scores: [TokenScore] = []
    var result: ServingResult?

    mutating func add(_ event: AnswerEvent) {
        switch event {
        case .reasoning(let text): reasoning += text
        case .content(let text): content += text
        case .callBegan, .callArguments: break
        case .call(let call): calls.append(call)
        case .scores(let scores): self.scores += scores
        case .finished(let result): self.result = result
        }
    }
}

/// A conversation on its way: prompt made, jobs started.
struct Answering: Sendable {
    let model: ServedModel
    let prompt: ChatPrompt
    let choices: [AsyncStream<ServingEvent>]
    private let allowsSeveralCalls: Bool

    /// Makes the prompt and starts one job per choice.
    /// - Parameter streamsCalls: whether calls are of use before they are complete.
    init(
        _ turn: ChatTurn, model: ServedModel, request: ServerRequest, deadline: ContinuousClock.Instant?,
        streamsCalls: Bool
    ) throws(APIError) {
        let prompt = try model.prompt(for: turn)
        let checkpoints = model.checkpoints(of: prompt, turn)
        var streams: [AsyncStream<ServingEvent>] = []
        for choice in 0..<turn.settings.choices {
            var job = turn.settings.job(prompt.tokens, choice: choice)
            job.checkpoints = checkpoints
            job.format = prompt.answer
            job.deadline = deadline
            job.id = request.id
            job.streamsCalls = streamsCalls
            do {
                streams.append(try model.scheduler.submit(job, until: request.disconnected))
            } catch {
                // Those that have started are of no use alone.
                request.disconnected.set()
                throw APIError(error)
            }
        }
        self.model = model
        self.prompt = prompt
        choices = streams
        allowsSeveralCalls = turn.request.isParallel
    }

    /// The events of all choices as they come, with the number of the choice.
    func events() -> AsyncStream<(choice: Int, event: AnswerEvent)> {
        let (stream, continuation) = AsyncStream.makeStream(of: (choice: Int, event: AnswerEvent).self)
        Task {
            await withTaskGroup(of: Void.self) { group in
                for (index, events) in choices.enumerated() {
                    group.addTask { await follow(events) { continuation.yield((index, $0)) } }
                }
            }
            continuation.finish()
        }
        return stream
    }

    /// All choices at their end.
    func collect() async throws(APIError) -> [CollectedAnswer] {
        var answers = choices.map { _ in CollectedAnswer() }
        for await (choice, event) in events() { answers[choice].add(event) }
        for answer in answers {
            if let failure = answer.result?.failure { throw failure }
        }
        return answers
    }

    private func follow(_ events: AsyncStream<ServingEvent>, _ emit: (AnswerEvent) -> Void) async {
        var calls = 0
        var isOpen = false
        // The arguments of the open call that have been given.
        var given = ""
        func open(_ name: String, _ arguments: String) {
            if !isOpen { emit(.callBegan(name: name)) }
            isOpen = true
            // A text that does not begin like what was given would be another call's; it is told at its end.
            guard arguments.utf8.count > given.utf8.count, arguments.utf8.starts(with: given.utf8) else { return }
            emit(.callArguments(String(decoding: arguments.utf8.dropFirst(given.utf8.count), as: UTF8.self)))
            given = arguments
        }
        for await event in events {
            switch event {
            case .openCall(let call):
                if allowsSeveralCalls || calls == 0 { open(call.name, call.arguments) }
            case .score(let score): emit(.scores([score]))
            case .answer(.text(let text)): emit(.content(text))
            case .answer(.reasoning(let text)): emit(.reasoning(text))
            case .answer(.toolCall(let call)):
                calls += 1
                guard allowsSeveralCalls || calls == 1 else { break }
                open(call.toolName, call.argumentsText)
                emit(.call(call))
                (isOpen, given) = (false, "")
            case .started, .promptScores, .answer: break
            case .finished(let result): emit(.finished(result))
            }
        }
    }
}
