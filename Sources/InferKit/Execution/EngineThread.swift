import Foundation

/// A thread of its own for everything that computes, so that a long calculation never holds up the threads that
/// Swift's concurrency shares among all tasks.
///
/// Actors choose it as their executor. It ends when the last reference to it goes away.
final class EngineThread: SerialExecutor {
    private let queue = JobQueue()

    init(name: String) {
        let queue = queue
        Thread.start(named: name) { queue.runUntilClosed() }
    }

    deinit { queue.close() }

    func enqueue(_ job: consuming ExecutorJob) { queue.push(UnownedJob(job), for: self) }

    /// Whether somebody else waits for the thread.
    var hasWaitingJobs: Bool { queue.hasJobs }
}

/// Jobs in the order in which they came.
private final class JobQueue: @unchecked Sendable {
    // All state is read and written under the condition's lock.
    private let condition = NSCondition()
    private var jobs: [(job: UnownedJob, executor: EngineThread)] = []
    private var isClosed = false

    func push(_ job: UnownedJob, for executor: EngineThread) {
        condition.lock()
        jobs.append((job, executor))
        condition.signal()
        condition.unlock()
    }

    var hasJobs: Bool {
        condition.lock()
        defer { condition.unlock() }
        return !jobs.isEmpty
    }

    func close() {
        condition.lock()
        isClosed = true
        condition.signal()
        condition.unlock()
    }

    func runUntilClosed() {
        while let (job, executor) = next() {
            // The executor is held until its job is done: the job may drop the last other reference.
            job.runSynchronously(on: executor.asUnownedSerialExecutor())
        }
    }

    private func next() -> (job: UnownedJob, executor: EngineThread)? {
        condition.lock()
        defer { condition.unlock() }
        while jobs.isEmpty, !isClosed { condition.wait() }
        return jobs.isEmpty ? nil : jobs.removeFirst()
    }
}
