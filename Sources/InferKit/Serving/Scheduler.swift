package import Engine
import Foundation
import Synchronization

/// Answers many requests of one model side by side (continuous batching): jobs join and leave between tokens, and
/// each step takes one token of every running answer and a bounded piece of the newcomers' prompts through the
/// model together.
///
/// A step computes every sequence as if it were alone, so an answer does not depend on what else runs. All computing
/// happens on one thread of the scheduler's own.
package final class Scheduler: Sendable {
    package struct Limits: Sendable {
        /// Answers that run side by side.
        package var parallel = 8
        /// Jobs that may wait for their turn.
        package var queue = 64
        /// Bytes for beginnings of prompts that are kept; see ``PrefixCache``.
        package var cacheBytes = 1 << 30
        /// Where these are kept beyond the end of the program.
        package var cacheFolder: String?

        package init() {}
    }

    package let limits: Limits
    package let contextLength: Int
    private let backend: any ModelBackend
    private let inbox: JobInbox
    private let meter = ServingMeter()
    private let end = DispatchSemaphore(value: 0)

    /// A scheduler for a model. Other schedulers of the same model, its sessions' own among them, rest while it works.
    ///
    /// - Parameter log: receives lines for the operator, without any text of a prompt.
    /// - Throws: `EngineError`.
    package convenience init(
        _ languageModel: GGUFLanguageModel, limits: Limits = Limits(),
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        try self.init(languageModel.backend, limits: limits, log: log)
    }

    init(
        _ backend: any ModelBackend, limits: Limits, log: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        self.backend = backend
        self.limits = limits
        contextLength = backend.contextLength
        inbox = JobInbox(limit: limits.queue)
        let loop = try StepLoop(backend, limits: limits, inbox: inbox, meter: meter, log: log)
        let handover = Handover(loop)
        let end = end
        Thread.start(named: "inference") {
            handover.loop.run()
            end.signal()
        }
    }

    /// The loop is made here and used by its thread alone.
    private struct Handover: @unchecked Sendable {
        let loop: StepLoop
        init(_ loop: StepLoop) { self.loop = loop }
    }

    deinit { inbox.close(abandons: true) }

    /// Starts a job, or queues it. It ends within one step when the consumer stops listening.
    package func submit(_ job: ServingJob) throws(ServingError) -> AsyncStream<ServingEvent> {
        try submit(job, until: StopFlag())
    }

    /// The same, with a flag that ends the job with what there is.
    package func submit(_ job: ServingJob, until flag: StopFlag) throws(ServingError) -> AsyncStream<ServingEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: ServingEvent.self)
        continuation.onTermination = { if case .cancelled = $0 { flag.set() } }
        do throws(ServingError) {
            try submit(job, until: flag) { event in
                continuation.yield(event)
                if case .finished = event { continuation.finish() }
            }
        } catch {
            // The end of a stream that was refused would end what else hangs on the flag.
            continuation.onTermination = nil
            throw error
        }
        return stream
    }

    /// The same for somebody who hears of events where they happen, whatever becomes of his task.
    /// - Parameter deliver: called by the scheduler's threads, which wait for it, one event at a time.
    package func submit(
        _ job: ServingJob, until flag: StopFlag, deliver: @escaping @Sendable (ServingEvent) -> Void
    ) throws(ServingError) {
        try check(job)
        try inbox.add(Ticket(job: job, deliver: deliver, flag: flag, submitted: .now))
    }

    private func check(_ job: ServingJob) throws(ServingError) {
        let size = backend.vocabularySize
        guard !backend.isEncoder else { throw .encoderOnly }
        guard !job.tokens.isEmpty else { throw .emptyPrompt }
        if let strange = job.tokens.first(where: { $0 < 0 || Int($0) >= size }) {
            throw .tokenOutOfRange(strange, vocabularySize: size)
        }
        guard
            job.tokens.count < contextLength
                || job.tokens.count == contextLength && job.options.maximumResponseTokens == 0
        else {
            throw .promptTooLong(tokens: job.tokens.count, contextLength: contextLength)
        }
        do {
            // What cannot be made is told at once.
            try job.options.validate()
            if job.format?.pattern != nil {
                _ = try AnswerState(prompt: [], format: job.format, options: job.options, backend: backend)
            }
        } catch let error as LanguageModelSession.GenerationError {
            throw .refused(error)
        } catch {
            throw .invalidOption("\(error)")
        }
    }

    /// The vectors of texts, each of the model's length; computed between the steps of running answers.
    /// - Parameter flag: ends the work before the next text.
    /// - Throws: `EngineError`, `ServingError/closed`, `CancellationError`.
    package func embed(_ texts: [[Int32]], until flag: StopFlag = StopFlag()) async throws -> [[Float]] {
        var vectors: [[Float]] = []
        for text in texts {
            if flag.isSet { throw CancellationError() }
            vectors.append(
                try await withCheckedThrowingContinuation { continuation in
                    let isTaken = inbox.add { loop in continuation.resume(with: Result { try loop.embed(text) }) }
                    if !isTaken { continuation.resume(throwing: ServingError.closed) }
                })
        }
        return vectors
    }

    /// What is going on.
    package var metrics: ServingMetrics { meter.snapshot(waiting: inbox.waiting) }

    /// Takes no more jobs and lets those that run and wait come to their end.
    package func close() { inbox.close(abandons: false) }

    /// Takes no more jobs and ends those that run and wait, within one step, with what there is.
    package func abandon() { inbox.close(abandons: true) }

    /// Waits until the thread has ended, with everything written to disk. Once, after ``close()`` or ``abandon()``.
    package func waitUntilEnded() { end.wait() }
}

extension Model {
    /// Tokens of the longest sequence. Positions that an encoder has learnt end where its training did, whatever the
    /// other models of a server are to have.
    package func servedContextLength() throws(EngineError) -> Int {
        guard architecture.isEncoder else { return try contextLength() }
        return try contextLength(min(options.contextLength ?? .max, info.trainedContextLength))
    }
}

/// Jobs on their way to the scheduler's thread.
final class JobInbox: @unchecked Sendable {
    // All state is read and written under the condition's lock.
    private let condition = NSCondition()
    private var arrived: [Ticket] = []
    private var tasks: [(StepLoop) -> Void] = []
    /// Jobs that have not started, here or with the thread.
    private var unstarted = 0
    private var isClosed = false
    private var abandons = false
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var waiting: Int { condition.withLock { unstarted } }
    var isAbandoned: Bool { condition.withLock { abandons } }

    func add(_ ticket: Ticket) throws(ServingError) {
        condition.lock()
        defer { condition.unlock() }
        guard !isClosed else { throw .closed }
        guard unstarted < limit else { throw .queueFull(limit: limit) }
        unstarted += 1
        arrived.append(ticket)
        condition.signal()
    }

    /// - Returns: false when nothing is taken any more.
    func add(task: @escaping (StepLoop) -> Void) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isClosed else { return false }
        tasks.append(task)
        condition.signal()
        return true
    }

    func takeTask() -> ((StepLoop) -> Void)? { condition.withLock { tasks.isEmpty ? nil : tasks.removeFirst() } }

    /// - Parameter waits: whether to wait for jobs when there are none.
    /// - Returns: nil when there are none and never will be.
    func take(waits: Bool) -> [Ticket]? {
        condition.lock()
        defer { condition.unlock() }
        while waits, arrived.isEmpty, tasks.isEmpty, !isClosed { condition.wait() }
        if arrived.isEmpty { return isClosed && waits && tasks.isEmpty ? nil : [] }
        defer { arrived = [] }
        return arrived
    }

    /// So many jobs run now, or never will.
    func didStart(_ count: Int) { condition.withLock { unstarted -= count } }

    func close(abandons: Bool) {
        condition.lock()
        isClosed = true
        self.abandons = self.abandons || abandons
        condition.signal()
        condition.unlock()
    }
}
