package import Engine
import Synchronization

/// Watches the routers of a model while it runs.
package final class ExpertObserver: ComputeObserver {
    private let layers = Mutex<[Int: ExpertStatistics]>([:])

    package init() {}

    package func route(_ router: Weight, _ routing: Routing) {
        guard let layer = router.layer else { return }
        layers.withLock { layers in
            var statistics = layers.removeValue(forKey: layer) ?? ExpertStatistics(experts: routing.experts)
            for token in 0..<routing.tokens {
                let slots = token * routing.topK..<(token + 1) * routing.topK
                statistics.add(slots.map { routing.ids[$0] })
            }
            layers[layer] = statistics
        }
    }

    /// The next tokens follow on nothing.
    func startSequence() {
        layers.withLock { layers in
            for layer in layers.keys { layers[layer]?.startSequence() }
        }
    }

    /// By layer, in their order.
    package var statistics: [(layer: Int, statistics: ExpertStatistics)] {
        layers.withLock { layers in layers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
    }

    /// Runs a text, window after window, each as a sequence of its own.
    /// - Parameters:
    ///   - windows: of a model that this observer was given to.
    ///   - progress: called with the tokens done and all; false stops.
    /// - Throws: `EngineError`; `EvaluationError.cancelled` when `progress` said so.
    package func run(_ text: ScoredText, _ model: Model, progress: (Int, Int) -> Bool) throws {
        let generator = try model.makeGenerator(contextLength: text.length)
        var done = 0
        for window in text.windows {
            startSequence()
            generator.reset()
            let tokens = (text.lead.map { [$0] } ?? []) + text.tokens[window.tokens]
            let before = done
            try EvaluationError.translating { () throws(EngineError) in
                try generator.sync(tokens, isCancelled: { !progress(before, text.tokens.count) }) { processed, _ in
                    _ = progress(before + processed, text.tokens.count)
                }
            } unless: {
                nil
            }
            done += window.tokens.count
        }
        guard progress(text.tokens.count, text.tokens.count) else { throw EvaluationError.cancelled }
    }
}
