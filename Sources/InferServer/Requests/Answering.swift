import ChatTemplates
import InferKit

/// What happens while a request is answered.
enum AnswerEvent: Sendable {
    /// So many tokens of the prompt need not be computed.
    case started(cachedTokens: Int)
    case promptScores([TokenScore])
    case reasoning(String)
    case content(String)
    /// A call begins; its arguments follow.
    case callBegan(name: String)
    /// A piece of the open call's arguments: joined, the pieces are the arguments as JSON.
    case callArguments(String)
    /// The open call is complete.
    case call(Transcript.ToolCall)
    /// Scores of tokens whose text is part of the answer.
    case scores([TokenScore])
    /// The last event.
    case finished(AnswerOutcome)
}

extension Transcript.ToolCall {
    /// The arguments as JSON.
    var argumentsText: String { arguments.jsonString }
}

/// An answer put together, its parts in the order in which they came.
struct CollectedAnswer: Sendable {
    enum Part: Sendable {
        case reasoning(String)
        case content(String)
        case call(Transcript.ToolCall)
    }

    private(set) var parts: [Part] = []
    private(set) var scores: [TokenScore] = []
    private(set) var promptScores: [TokenScore] = []
    private(set) var outcome: AnswerOutcome?

    var content: String { parts.reduce(into: "") { if case .content(let text) = $1 { $0 += text } } }
    var reasoning: String { parts.reduce(into: "") { if case .reasoning(let text) = $1 { $0 += text } } }
    var calls: [Transcript.ToolCall] { parts.compactMap { if case .call(let call) = $0 { call } else { nil } } }
    var end: AnswerEnd { outcome?.end ?? .done }
    var result: ServingResult? { outcome?.result }

    mutating func add(_ event: AnswerEvent) {
        switch event {
        case .reasoning(let text):
            if case .reasoning(let before)? = parts.last {
                parts[parts.count - 1] = .reasoning(before + text)
            } else if !text.isEmpty {
                parts.append(.reasoning(text))
            }
        case .content(let text):
            if case .content(let before)? = parts.last {
                parts[parts.count - 1] = .content(before + text)
            } else if !text.isEmpty {
                parts.append(.content(text))
            }
        case .started, .callBegan, .callArguments: break
        case .call(let call): parts.append(.call(call))
        case .scores(let scores): self.scores += scores
        case .promptScores(let scores): promptScores += scores
        case .finished(let outcome): self.outcome = outcome
        }
    }
}

/// The jobs of one request on their way. No more of them are started at a time than run side by side: the others wait
/// for their turn here, so that one request never fills the queue of all.
struct Answering: Sendable {
    let model: ServedModel
    let jobs: [ServingJob]
    /// Older messages that were left out because there was no room.
    var droppedMessages = 0
    private let request: ServerRequest
    private let first: [AsyncStream<ServingEvent>]
    private let wantsOneCall: Bool

    /// - Throws: what keeps the first of them from being started.
    init(
        _ jobs: [ServingJob], model: ServedModel, request: ServerRequest, wantsOneCall: Bool = false
    ) throws(APIError) {
        for job in jobs where job.tokens.count > model.contextLength {
            throw APIError(ServingError.promptTooLong(tokens: job.tokens.count, contextLength: model.contextLength))
        }
        var streams: [AsyncStream<ServingEvent>] = []
        for job in jobs.prefix(max(model.scheduler.limits.parallel, 1)) {
            do {
                streams.append(try model.scheduler.submit(job, until: request.disconnected))
            } catch .queueFull where !streams.isEmpty {
                break
            } catch {
                // Those that have started are of no use alone.
                request.disconnected.set()
                throw APIError(error)
            }
        }
        (self.model, self.jobs, self.request, self.wantsOneCall) = (model, jobs, request, wantsOneCall)
        first = streams
    }

    /// The events of all jobs as they come, with the number of the job.
    func events() -> AsyncStream<(choice: Int, event: AnswerEvent)> {
        let (stream, continuation) = AsyncStream.makeStream(of: (choice: Int, event: AnswerEvent).self)
        Task {
            await withTaskGroup(of: Void.self) { group in
                for (index, events) in first.enumerated() {
                    group.addTask { await follow(events, jobs[index]) { continuation.yield((index, $0)) } }
                }
                for index in jobs.indices.dropFirst(first.count) {
                    await group.next()
                    group.addTask { await start(index) { continuation.yield((index, $0)) } }
                }
            }
            continuation.finish()
        }
        return stream
    }

    /// All answers at their end.
    func collect() async throws(APIError) -> [CollectedAnswer] {
        var answers = jobs.map { _ in CollectedAnswer() }
        for await (choice, event) in events() {
            answers[choice].add(event)
            if case .finished(let outcome) = event, let failure = outcome.end.failure {
                giveUp()
                throw failure
            }
        }
        return answers
    }

    /// Ends what still runs.
    func giveUp() { request.disconnected.set() }

    /// Starts a job whose turn has come; where others fill the queue meanwhile, it waits until there is room.
    private func start(_ index: Int, _ emit: (AnswerEvent) -> Void) async {
        let job = jobs[index]
        while true {
            do {
                let events = try model.scheduler.submit(job, until: request.disconnected)
                return await follow(events, job, emit)
            } catch .queueFull {
                let isLate = job.deadline.map { $0 <= .now } ?? false
                guard !isLate, !request.disconnected.isSet else {
                    let error = APIError.unavailable("the time for the request was over before the answer began")
                    return emit(.finished(AnswerOutcome(end: .failed(error))))
                }
                try? await Task.sleep(for: .milliseconds(20))
            } catch {
                return emit(.finished(AnswerOutcome(end: .failed(APIError(error)))))
            }
        }
    }

    private func follow(
        _ events: AsyncStream<ServingEvent>, _ job: ServingJob, _ emit: (AnswerEvent) -> Void
    ) async {
        var calls = 0
        var isOpen = false
        var cutsCall = false
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
            case .started(let cached): emit(.started(cachedTokens: cached))
            case .promptScores(let scores): emit(.promptScores(scores))
            case .openCall(let call):
                if !wantsOneCall || calls == 0 { open(call.name, call.arguments) }
            case .score(let score): emit(.scores([score]))
            case .answer(.text(let text)): emit(.content(text))
            case .answer(.reasoning(let text)): emit(.reasoning(text))
            case .answer(.toolCall(let call)):
                calls += 1
                guard !wantsOneCall || calls == 1 else { break }
                open(call.toolName, call.argumentsText)
                emit(.call(call))
                (isOpen, given) = (false, "")
            case .answer(.diagnostic(let problem)): cutsCall = cutsCall || problem.unfinishedCall != nil
            case .answer: break
            case .finished(let result):
                let end = AnswerEnd(result, cutsCall: cutsCall || isOpen, wantsOneCall: wantsOneCall)
                emit(.finished(AnswerOutcome(end: end, result: result)))
            }
        }
    }
}
