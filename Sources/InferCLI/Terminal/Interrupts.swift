import Foundation
import Synchronization

/// Ctrl-C as an event: the program decides what it means.
final class Interrupts: Sendable {
    private let handler = Mutex<(@Sendable () -> Void)?>(nil)

    /// From now on, and from no moment later, Ctrl-C does not end the program.
    init() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        let readEnd = ends[0]
        interruptWriteEnd = ends[1]
        // All that a signal handler may do is to wake a thread.
        signal(SIGINT) { _ in
            let saved = errno
            var byte: UInt8 = 0
            _ = write(interruptWriteEnd, &byte, 1)
            errno = saved
        }
        let thread = Thread { [self] in
            var byte: UInt8 = 0
            while true {
                let count = read(readEnd, &byte, 1)
                if count == 1 { handler.withLock { $0 }?() } else if count == 0 || errno != EINTR { return }
            }
        }
        thread.start()
    }

    /// What happens on the next one; nil: nothing.
    func handle(_ action: (@Sendable () -> Void)?) { handler.withLock { $0 = action } }
}

/// Written once before the handler is installed; a signal handler can reach nothing else.
nonisolated(unsafe) private var interruptWriteEnd: Int32 = -1
