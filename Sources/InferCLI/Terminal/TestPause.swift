import Foundation
import Synchronization

/// A place where a test can hold the program, so that what it does next never comes too late.
///
/// `INFER_TEST_PAUSE=work infer edit …` waits at the place of that name until what the place waits for has happened,
/// at most a minute. Nothing else reads the variable, and without it a place does nothing.
enum TestPause: String {
    /// Work on a file has shown its progress for the first time: waits for Ctrl-C.
    case work
    /// An evaluation has shown how long it still takes: waits for Ctrl-C.
    case evaluation

    /// Once in the life of a program.
    private static let isHeld = Atomic(false)
    private static let wanted = ProcessInfo.processInfo.environment["INFER_TEST_PAUSE"]

    func hold(until isOver: () -> Bool) {
        guard Self.wanted == rawValue,
            Self.isHeld.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged
        else { return }
        let end = ContinuousClock.now + .seconds(60)
        while !isOver(), ContinuousClock.now < end { usleep(1000) }
    }
}
