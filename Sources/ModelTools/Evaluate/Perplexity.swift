import Engine
import Foundation
import Tokenization

/// How well a model foretells a text.
package struct Perplexity {
    /// What one window gave.
    package struct Part: Codable, Equatable, Sendable {
        package var window: Int
        /// Minus the logarithms of the probabilities of its scored tokens.
        package var loss: SampleSums
    }

    package let text: ScoredText
    private let scorer: SequenceScorer

    package init(_ scorer: SequenceScorer, _ text: ScoredText) {
        self.scorer = scorer
        self.text = text
    }

    /// Goes through the windows that `state` does not have yet.
    /// - Parameters:
    ///   - logits: takes the logits of every scored token.
    ///   - progress: called with the tokens scored and those to score; false stops.
    /// - Throws: `EvaluationError`, `EngineError`; `EvaluationError.cancelled` when `progress` said so. What was done is
    ///   in `state`.
    package func run(
        _ state: RunState<Part>, savingTo logits: LogitsWriter? = nil, progress: (Int, Int) -> Bool
    ) throws {
        let total = text.scoredCount
        var first = state.records.count
        if let logits {
            // Both files go on from the same window.
            let rows = try logits.existingRows()
            while text.scoredCount(windows: first) > rows { first -= 1 }
            try logits.go(to: text.scoredCount(windows: first))
        }
        var done = text.scoredCount(windows: first)
        for (number, window) in text.windows.enumerated().dropFirst(first) {
            var part = Part(window: number, loss: SampleSums())
            var failure: (any Error)?
            let target = text.target(window)
            let before = done
            try EvaluationError.translating { () throws(EngineError) in
                try scorer.score(
                    context: text.context(window), target: target,
                    isCancelled: { failure != nil || !progress(before + part.loss.count, total) }
                ) { place, row in
                    guard failure == nil else { return }
                    guard let best = LogProbability.maximum(row) else {
                        failure = EvaluationError.notFinite(position: window.scored.lowerBound + place)
                        return
                    }
                    part.loss.add(LogProbability.loss(row, of: Int(target[place]), maximum: best.value))
                    failure = Self.failure { try logits?.write(row, best: best.index) }
                }
            } unless: {
                failure
            }
            done += part.loss.count
            if number >= state.records.count { try state.append(part) }
            guard progress(done, total) || done == total else { throw EvaluationError.cancelled }
        }
        try logits?.commit()
    }

    private static func failure(of work: () throws -> Void) -> (any Error)? {
        do { try work() } catch { return error }
        return nil
    }

    /// The result of the windows that are done; nil without any.
    package static func result(_ parts: [Part], bytes: Int) -> Result? {
        var sums = SampleSums()
        for part in parts { sums.add(part.loss) }
        guard let loss = Estimate(sums) else { return nil }
        return Result(tokens: sums.count, loss: loss, bytes: bytes)
    }

    package struct Result: Equatable, Sendable {
        package let tokens: Int
        /// Mean of minus the logarithms, in nats per token.
        package let loss: Estimate
        /// Bytes of the scored tokens' text.
        package let bytes: Int

        package var perplexity: Estimate { loss.mapped(exp, derivative: exp(loss.value)) }

        /// Comparable between models of different vocabularies.
        package var bitsPerByte: Estimate? {
            guard bytes > 0 else { return nil }
            let factor = Double(tokens) / Double(bytes) / log(2)
            return loss.mapped({ $0 * factor }, derivative: factor)
        }
    }

    /// Bytes that the scored tokens of the first `windows` windows stand for.
    package func scoredBytes(windows: Int) -> Int {
        text.windows.prefix(windows).reduce(0) { sum, window in
            text.tokens[window.scored].reduce(sum) { $0 + scorer.tokenizer.bytes(of: $1, renderSpecial: true).count }
        }
    }
}

extension EvaluationError {
    /// Runs the engine; a failure noted on the way comes before its `.cancelled`, which becomes this type's own.
    static func translating(_ work: () throws(EngineError) -> Void, unless failure: () -> (any Error)?) throws {
        var found: EngineError?
        do { try work() } catch { found = error }
        if let error = failure() { throw error }
        if case .cancelled = found { throw EvaluationError.cancelled }
        if let found { throw found }
    }
}
