import ArgumentParser
import ModelTools
import Synchronization

/// Shows how far a file is, and lets Ctrl-C end the work without leaving anything behind.
final class FileProgress {
    private var line = ProgressLine()
    private var shown = -1
    private let verb: String
    private let isStopped = StopSwitch()
    private let interrupts = Interrupts()

    /// - Parameter verb: "writing", for example.
    init(_ verb: String) {
        self.verb = verb
        interrupts.handle { [isStopped] in isStopped.turn() }
    }

    /// - Returns: false when the work is to stop.
    func show(_ done: Int, of total: Int) -> Bool {
        let permille = Int(Double(done) / Double(max(1, total)) * 1000)
        if permille != shown {
            shown = permille
            line.show("\(verb) \(permille / 10).\(permille % 10) %")
        }
        return !isStopped.isTurned
    }

    /// Does the work.
    /// - Throws: what it throws; the exit code of an interrupted program where it was stopped.
    func run<Result>(_ work: (@escaping (Int, Int) -> Bool) throws -> Result) throws -> Result {
        defer { line.clear() }
        do {
            return try work { done, total in self.show(done, of: total) }
        } catch EditError.cancelled {
            throw ExitCode(130)
        }
    }
}

/// Turned once, from any thread.
private final class StopSwitch: Sendable {
    private let state = Atomic<Bool>(false)

    func turn() { state.store(true, ordering: .relaxed) }
    var isTurned: Bool { state.load(ordering: .relaxed) }
}
