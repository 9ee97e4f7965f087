import Dispatch
import Foundation
import Synchronization

/// Ctrl-C as an event: the program decides what it means.
final class Interrupts: Sendable {
    private let handler = Mutex<(@Sendable () -> Void)?>(nil)
    // Written once, and only kept alive after that.
    nonisolated(unsafe) private let source: any DispatchSourceSignal

    /// From now on Ctrl-C does not end the program.
    init() {
        signal(SIGINT, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
        source.setEventHandler { [weak self] in
            self?.handler.withLock { $0 }?()
        }
        source.resume()
    }

    /// What happens on the next one; nil: nothing.
    func handle(_ action: (@Sendable () -> Void)?) { handler.withLock { $0 = action } }
}
