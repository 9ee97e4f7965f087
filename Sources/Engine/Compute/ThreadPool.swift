import CKernels
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A fixed set of own threads that share out the chunks of one loop at a time; the caller takes part.
///
/// Chunks are handed out from one counter, so a slow or stolen core costs only its share, and the caller waits
/// only for threads that are inside a chunk: one that has not woken up in time is left out. A thread that waits
/// spins briefly, then gives its core away, then sleeps. Beside another busy process the pool therefore slows
/// down in proportion. Which thread runs which chunk is never fixed, so a loop's result must not depend on it.
package final class ThreadPool: Sendable {
    /// Threads that work, the caller included.
    package let threads: Int
    private let core: PoolCore
    private let handles: Handles

    package init(threads: Int) {
        self.threads = max(threads, 1)
        core = PoolCore(threads: self.threads)
        handles = Handles()
        for worker in 1..<self.threads {
            let start = Unmanaged.passRetained(WorkerStart(core: core, worker: worker))
            // A pool with fewer threads than asked for is slower, not wrong.
            if !handles.start(start.toOpaque()) {
                start.release()
                break
            }
        }
    }

    deinit {
        core.stop()
        handles.join()
    }

    /// Runs `body` over all of `0..<count`, in chunks of `grain`, on all threads, and returns when all is done.
    ///
    /// Tapering chunks begin large and shrink to `grain` towards the end: for streams through memory, which lose
    /// speed wherever a chunk begins, and still end at the same time on all threads.
    ///
    /// `body` gets `context`, a chunk and its thread. It must not capture anything (a capture would allocate):
    /// what it needs comes in through `context`. It must not call `run` itself.
    ///
    /// - Parameter scratch: bytes of ``Worker/scratch`` that a chunk needs.
    @inline(__always)
    package func run<Context>(
        _ count: Int, grain: Int = 1, tapering: Bool = false, scratch: Int = 0, _ context: Context,
        _ body: @escaping (Context, Range<Int>, Worker) -> Void
    ) {
        guard count > 0 else { return }
        let frame = Frame(context: context, body: body)
        withUnsafePointer(to: frame) { pointer in
            core.run(
                count, grain: max(grain, 1), tapering: tapering, scratch: scratch,
                frame: UnsafeRawPointer(pointer), enter: Frame<Context>.enter)
        }
    }

    /// How often per-thread scratch memory had to grow.
    package var growths: Int { core.growths.load(ordering: .relaxed) }

    /// What one loop works on, on the caller's stack.
    private struct Frame<Context> {
        let context: Context
        let body: (Context, Range<Int>, Worker) -> Void

        static func enter(_ frame: UnsafeRawPointer, _ range: Range<Int>, _ worker: Worker) {
            let frame = frame.assumingMemoryBound(to: Frame<Context>.self)
            frame.pointee.body(frame.pointee.context, range, worker)
        }
    }
}

/// The thread that runs a chunk.
package struct Worker {
    /// 0 is the caller.
    package let index: Int
    /// Memory of this thread alone, aligned to 64 bytes; its content does not outlive a chunk.
    package let scratch: UnsafeMutableRawPointer
}

/// What the threads share. It outlives the pool until the last of them has ended.
private final class PoolCore: @unchecked Sendable {
    typealias Entry = (UnsafeRawPointer, Range<Int>, Worker) -> Void

    /// The running loop: written by the caller before it opens the gate, constant until the gate is closed and
    /// the last worker has left.
    private struct Loop {
        var frame: UnsafeRawPointer
        var enter: Entry
        var count: Int
        var grain: Int
        var tapering: Bool
    }

    private let threads: Int
    private let loop: UnsafeMutablePointer<Loop>
    private let scratch: UnsafeMutablePointer<MappedMemory>
    /// loop number << 32 | open << 31 | workers inside.
    private let gate = Atomic<UInt64>(0)
    private let next = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    private let callerSleeps = Atomic<Bool>(false)
    private let stopping = Atomic<Bool>(false)
    let growths = Atomic<Int>(0)
    private let callers = Lock()
    private let bed = Lock()

    private static let open: UInt64 = 1 << 31
    private static let insideMask: UInt64 = open - 1
    private static let spins = 2000
    private static let yields = 100
    private static let taper = 4

    init(threads: Int) {
        self.threads = threads
        loop = .allocate(capacity: 1)
        let idle = Loop(frame: UnsafeRawPointer(loop), enter: { _, _, _ in }, count: 0, grain: 1, tapering: false)
        loop.initialize(to: idle)
        scratch = .allocate(capacity: threads)
        for worker in 0..<threads { (scratch + worker).initialize(to: MappedMemory.reserve(1 << 20)) }
    }

    deinit {
        loop.deinitialize(count: 1)
        loop.deallocate()
        scratch.deinitialize(count: threads)
        scratch.deallocate()
    }

    func run(
        _ count: Int, grain: Int, tapering: Bool, scratch bytes: Int, frame: UnsafeRawPointer, enter: @escaping Entry
    ) {
        callers.lock()
        defer { callers.unlock() }
        if bytes > scratch[0].count {
            growths.add(1, ordering: .relaxed)
            for worker in 0..<threads { scratch[worker] = MappedMemory.reserve(bytes) }
        }
        let caller = Worker(index: 0, scratch: scratch[0].pointer)
        if threads == 1 || count <= grain {
            let grain = tapering ? count : grain
            var low = 0
            while low < count {
                let high = low + min(grain, count - low)
                enter(frame, low..<high, caller)
                low = high
            }
            return
        }
        loop.pointee = Loop(frame: frame, enter: enter, count: count, grain: grain, tapering: tapering)
        next.store(0, ordering: .relaxed)
        let number = (gate.load(ordering: .relaxed) >> 32) &+ 1
        gate.store(number << 32 | Self.open, ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 { bed.wakeAll() }
        work(caller)
        // Whoever has not come in by now is not waited for.
        let before = gate.bitwiseAnd(~Self.open, ordering: .acquiringAndReleasing).oldValue
        if before & Self.insideMask != 0 { waitUntilEmpty() }
    }

    private func work(_ worker: Worker) {
        let loop = loop
        let (count, grain) = (loop.pointee.count, loop.pointee.grain)
        if loop.pointee.tapering {
            while let chunk = takeTapering(count, grain) { loop.pointee.enter(loop.pointee.frame, chunk, worker) }
            return
        }
        while true {
            let low = next.add(grain, ordering: .relaxed).oldValue
            if low >= count { return }
            loop.pointee.enter(loop.pointee.frame, low..<(low + min(grain, count - low)), worker)
        }
    }

    /// A fixed part of what each thread would still have to do, but at least `grain`.
    private func takeTapering(_ count: Int, _ grain: Int) -> Range<Int>? {
        var low = next.load(ordering: .relaxed)
        while low < count {
            let size = max(grain, (count - low) / (Self.taper * threads))
            let high = low + min(size, count - low)
            let (done, now) = next.weakCompareExchange(expected: low, desired: high, ordering: .relaxed)
            if done { return low..<high }
            low = now
        }
        return nil
    }

    private func waitUntilEmpty() {
        var turns = 0
        while gate.load(ordering: .acquiring) & Self.insideMask != 0 {
            turns += 1
            if turns < Self.spins {
                ck_cpu_relax()
            } else if turns < Self.spins + Self.yields {
                sched_yield()
            } else {
                callerSleeps.store(true, ordering: .sequentiallyConsistent)
                bed.sleep(while: { gate.load(ordering: .sequentiallyConsistent) & Self.insideMask != 0 })
                callerSleeps.store(false, ordering: .relaxed)
            }
        }
    }

    /// The life of worker `index`.
    func serve(_ index: Int) {
        var seen: UInt64 = 0
        while true {
            let number = waitForLoop(after: seen)
            guard let number else { return }
            seen = number
            var state = gate.load(ordering: .relaxed)
            // Enter only while this very loop is still open.
            while state >> 32 == number && state & Self.open != 0 {
                let (done, now) = gate.weakCompareExchange(
                    expected: state, desired: state + 1, ordering: .acquiringAndReleasing)
                if done {
                    work(Worker(index: index, scratch: scratch[index].pointer))
                    let left = gate.subtract(1, ordering: .sequentiallyConsistent).newValue
                    if left & Self.insideMask == 0 && callerSleeps.load(ordering: .sequentiallyConsistent) {
                        bed.wakeAll()
                    }
                    break
                }
                state = now
            }
        }
    }

    /// The number of an open loop other than `seen`; nil when the pool ends.
    private func waitForLoop(after seen: UInt64) -> UInt64? {
        func ready() -> Bool {
            let state = gate.load(ordering: .sequentiallyConsistent)
            return (state >> 32 != seen && state & Self.open != 0) || stopping.load(ordering: .relaxed)
        }
        var turns = 0
        while !ready() {
            turns += 1
            if turns < Self.spins {
                ck_cpu_relax()
            } else if turns < Self.spins + Self.yields {
                sched_yield()
            } else {
                sleepers.add(1, ordering: .sequentiallyConsistent)
                bed.sleep(while: { !ready() })
                sleepers.subtract(1, ordering: .relaxed)
            }
        }
        return stopping.load(ordering: .relaxed) ? nil : gate.load(ordering: .relaxed) >> 32
    }

    func stop() {
        stopping.store(true, ordering: .sequentiallyConsistent)
        bed.wakeAll()
    }
}

/// A mutex with a condition. (The standard library's `Mutex` cannot be waited on.)
private final class Lock: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    func lock() { pthread_mutex_lock(mutex) }
    func unlock() { pthread_mutex_unlock(mutex) }

    func sleep(while asleep: () -> Bool) {
        lock()
        while asleep() { pthread_cond_wait(condition, mutex) }
        unlock()
    }

    func wakeAll() {
        lock()
        pthread_cond_broadcast(condition)
        unlock()
    }
}

private final class WorkerStart: Sendable {
    let core: PoolCore
    let worker: Int

    init(core: PoolCore, worker: Int) {
        self.core = core
        self.worker = worker
    }
}

/// The started threads.
private final class Handles: @unchecked Sendable {
    private var started: [pthread_t] = []

    /// False when the system gives no further thread.
    func start(_ argument: UnsafeMutableRawPointer) -> Bool {
        #if canImport(Glibc)
            var handle = pthread_t()
            let status = pthread_create(
                &handle, nil,
                { argument in
                    guard let argument else { return nil }
                    ThreadPool.main(argument)
                    return nil
                }, argument)
            if status == 0 { started.append(handle) }
            return status == 0
        #else
            var handle: pthread_t?
            let status = pthread_create(
                &handle, nil,
                { argument in
                    ThreadPool.main(argument)
                    return nil
                }, argument)
            if let handle, status == 0 { started.append(handle) }
            return status == 0
        #endif
    }

    func join() {
        for handle in started { pthread_join(handle, nil) }
    }
}

extension ThreadPool {
    fileprivate static func main(_ argument: UnsafeMutableRawPointer) {
        let start = Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
        start.core.serve(start.worker)
    }
}
