import ArgumentParser
import InferKit

/// Shows how far the work on a file is and how long it still takes; Ctrl-C ends it in order.
final class WorkProgress {
    private var line = ProgressLine()
    private let stop = StopFlag()
    private let interrupts = Interrupts()
    private var isStopped = false

    init() { interrupts.handle { [stop] in stop.set() } }

    /// Does the work.
    /// - Parameter outcome: what an interrupted run leaves, as in "nothing is written".
    /// - Throws: what the work throws; the exit code of an interrupted program where it was stopped.
    func run<Result>(ifStopped outcome: String, _ work: (WorkProgress) throws -> Result) throws -> Result {
        defer { line.clear() }
        do {
            return try work(self)
        } catch  where isStopped {
            line.clear()
            Terminal.writeHint("interrupted; \(outcome)")
            throw ExitCode(130)
        }
    }

    /// One part of the work, with a time of its own.
    /// - Parameter activity: "writing", for example.
    /// - Returns: what is told how much is done and how much there is in all. It says false when the work is to stop,
    ///   and the work then throws.
    func part(_ activity: String) -> (Int, Int) -> Bool {
        var shown = -1
        var start = (done: 0, time: ContinuousClock.now)
        return { [self] done, total in
            let permille = Int(Double(done) / Double(max(1, total)) * 1000)
            // What was there before counts for nothing, nor does an earlier round.
            if shown < 0 || permille < shown { start = (done, .now) }
            if permille != shown {
                shown = permille
                line.show("\(activity) \(permille / 10).\(permille % 10) %" + timeLeft(done, total, start))
            }
            TestPause.work.hold { stop.isSet }
            isStopped = stop.isSet
            return !isStopped
        }
    }

    private func timeLeft(_ done: Int, _ total: Int, _ start: (done: Int, time: ContinuousClock.Instant)) -> String {
        let seconds = (ContinuousClock.now - start.time) / .seconds(1)
        guard done > start.done, seconds > 0.5 else { return "" }
        return ", \(EvalRun.duration(seconds * Double(total - done) / Double(done - start.done))) left"
    }
}
