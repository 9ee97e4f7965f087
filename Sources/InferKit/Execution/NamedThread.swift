import Foundation

extension Thread {
    /// Runs `body` on a new thread with the stack that the engine may want.
    ///
    /// - Parameter name: what debuggers and `top -H` show; Linux keeps 15 bytes.
    static func start(named name: String, _ body: @escaping @Sendable () -> Void) {
        // On Linux a thread that is named before it runs keeps the name of the one that made it, and Foundation knows
        // which thread to name only when `start` has returned.
        let hasStarted = DispatchSemaphore(value: 0)
        let thread = Thread {
            hasStarted.wait()
            Thread.current.name = name
            body()
        }
        // Foundation gives half a megabyte to threads that it makes; the engine may want what `main` has.
        thread.stackSize = 8 << 20
        thread.start()
        hasStarted.signal()
    }
}
