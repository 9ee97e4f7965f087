import Engine
import Synchronization

/// What a scheduler has done and is doing, for monitoring.
package struct ServingMetrics: Sendable {
    package var waiting = 0
    package var running = 0
    package var requests = 0
    package var cancelled = 0
    package var promptTokens = 0
    package var cachedTokens = 0
    package var generatedTokens = 0
    package var cacheBytes = 0
    package var steps = 0
    package var stepSeconds = 0.0
    package var queueSeconds = Histogram([0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300])
    package var firstTokenSeconds = Histogram([0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300])
    package var tokenSeconds = Histogram([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5])

    /// Counts of values up to each bound, as Prometheus wants them.
    package struct Histogram: Sendable {
        package let bounds: [Double]
        package private(set) var counts: [Int]
        package private(set) var count = 0
        package private(set) var sum = 0.0

        init(_ bounds: [Double]) {
            self.bounds = bounds
            counts = bounds.map { _ in 0 }
        }

        mutating func add(_ value: Double, times: Int = 1) {
            for (index, bound) in bounds.enumerated() where value <= bound { counts[index] += times }
            count += times
            sum += value * Double(times)
        }
    }
}

/// Gathers ``ServingMetrics``; written by the scheduler's thread, read by any.
final class ServingMeter: Sendable {
    private let metrics = Mutex(ServingMetrics())

    func snapshot(waiting: Int) -> ServingMetrics {
        metrics.withLock { metrics in
            var copy = metrics
            copy.waiting = waiting
            return copy
        }
    }

    func update(running: Int, cacheBytes: Int) {
        metrics.withLock { metrics in
            metrics.running = running
            metrics.cacheBytes = cacheBytes
        }
    }

    func started(promptTokens: Int, cachedTokens: Int) {
        metrics.withLock { metrics in
            metrics.running += 1
            metrics.requests += 1
            metrics.promptTokens += promptTokens
            metrics.cachedTokens += cachedTokens
        }
    }

    /// - Parameters:
    ///   - answers: sequences that were waiting for their next token.
    ///   - generated: tokens that were chosen, the first ones of newcomers included.
    func stepped(seconds: Double, answers: Int, generated: Int) {
        metrics.withLock { metrics in
            metrics.steps += 1
            metrics.stepSeconds += seconds
            metrics.generatedTokens += generated
            if answers > 0 { metrics.tokenSeconds.add(seconds, times: answers) }
        }
    }

    func finished(_ result: ServingResult) {
        metrics.withLock { metrics in
            if result.reason == .cancelled { metrics.cancelled += 1 }
            metrics.queueSeconds.add(result.timing.queued / .seconds(1))
            if let first = result.timing.firstToken { metrics.firstTokenSeconds.add(first / .seconds(1)) }
        }
    }
}
