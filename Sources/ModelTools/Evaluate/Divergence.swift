import Engine
import Foundation

/// How far a model's predictions are from those of a reference, token by token of a text.
package struct Divergence {
    /// What one window gave, one number per scored token.
    package struct Part: Codable, Equatable, Sendable {
        package var window: Int
        /// KL(reference ‖ model) in nats.
        package var divergences: [Double] = []
        /// 1 where both find the same token the most likely.
        package var agreements: [Int] = []
        /// Minus the logarithms of the text's tokens.
        package var referenceLosses: [Double] = []
        package var losses: [Double] = []
    }

    /// Where the reference's predictions come from.
    package enum Reference {
        case model(SequenceScorer)
        case file(LogitsFile)

        fileprivate var vocabularySize: Int {
            switch self {
            case .model(let scorer): scorer.vocabularySize
            case .file(let file): file.vocabularySize
            }
        }

        fileprivate var fingerprint: UInt64 {
            switch self {
            case .model(let scorer): scorer.vocabularyFingerprint
            case .file(let file): file.vocabularyFingerprint
            }
        }
    }

    package let text: ScoredText
    private let scorer: SequenceScorer
    private let reference: Reference

    /// - Throws: `EvaluationError.otherVocabulary`.
    package init(_ scorer: SequenceScorer, against reference: Reference, _ text: ScoredText) throws(EvaluationError) {
        self.scorer = scorer
        self.reference = reference
        self.text = text
        let sizes = (reference.vocabularySize, scorer.vocabularySize)
        guard sizes.0 == sizes.1 else {
            throw .otherVocabulary("the reference has \(sizes.0) tokens, the model \(sizes.1)")
        }
        guard reference.fingerprint == scorer.vocabularyFingerprint else {
            throw .otherVocabulary("both have \(sizes.0) tokens, but not the same ones")
        }
        guard scorer.lead == text.lead else {
            throw .otherVocabulary("one model wants a token at the beginning of a text, the other does not")
        }
    }

    /// Goes through the windows that `state` does not have yet; see `Perplexity.run`.
    package func run(_ state: RunState<Part>, progress: (Int, Int) -> Bool) throws {
        let total = text.scoredCount
        var done = text.scoredCount(windows: state.records.count)
        let rows = rowsAtOnce
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows * scorer.vocabularySize)
        defer { buffer.deallocate() }
        for (number, window) in text.windows.enumerated().dropFirst(state.records.count) {
            var part = Part(window: number)
            // In pieces of a few tokens, which bound the memory for the reference's logits; results do not depend on it.
            for first in stride(from: window.scored.lowerBound, to: window.scored.upperBound, by: rows) {
                let piece = ScoringWindow(
                    tokens: window.tokens, scored: first..<min(first + rows, window.scored.upperBound))
                let before = done + part.losses.count
                var bests = [Int](repeating: 0, count: piece.scored.count)
                try readReference(piece, row: before, into: buffer, &bests) { progress(before, total) }
                try compare(piece, buffer, bests, &part) { progress(before, total) }
            }
            done += part.losses.count
            try state.append(part)
            guard progress(done, total) || done == total else { throw EvaluationError.cancelled }
        }
    }

    /// A buffer of about 128 MB at most.
    private var rowsAtOnce: Int { max(1, min(512, (128 << 20) / (4 * scorer.vocabularySize))) }

    private func readReference(
        _ piece: ScoringWindow, row: Int, into buffer: UnsafeMutableBufferPointer<Float>, _ bests: inout [Int],
        goesOn: () -> Bool
    ) throws {
        let size = scorer.vocabularySize
        func slot(_ place: Int) -> UnsafeMutableBufferPointer<Float> {
            UnsafeMutableBufferPointer(rebasing: buffer[place * size..<(place + 1) * size])
        }
        switch reference {
        case .file(let file):
            for place in bests.indices { bests[place] = try file.read(row: row + place, into: slot(place)) }
        case .model(let reference):
            try each(piece, reference, goesOn) { place, logits, best in
                _ = slot(place).update(fromContentsOf: logits)
                bests[place] = best.index
            }
        }
    }

    private func compare(
        _ piece: ScoringWindow, _ buffer: UnsafeMutableBufferPointer<Float>, _ bests: [Int], _ part: inout Part,
        goesOn: () -> Bool
    ) throws {
        let size = scorer.vocabularySize
        try each(piece, scorer, goesOn) { place, logits, best in
            let reference = UnsafeBufferPointer(rebasing: buffer[place * size..<(place + 1) * size])
            let found = LogProbability.compare(
                reference: reference, referenceMaximum: reference[bests[place]], model: logits,
                modelMaximum: best.value, token: Int(text.tokens[piece.scored.lowerBound + place]))
            part.divergences.append(found.divergence)
            part.referenceLosses.append(found.referenceLoss)
            part.losses.append(found.modelLoss)
            part.agreements.append(best.index == bests[place] ? 1 : 0)
        }
    }

    private func each(
        _ piece: ScoringWindow, _ scorer: SequenceScorer, _ goesOn: () -> Bool,
        _ deliver: (Int, UnsafeBufferPointer<Float>, (value: Float, index: Int)) -> Void
    ) throws {
        var failure: (any Error)?
        try EvaluationError.translating { () throws(EngineError) in
            try scorer.score(
                context: text.context(piece), target: text.target(piece),
                isCancelled: { failure != nil || !goesOn() }
            ) { place, logits in
                guard failure == nil else { return }
                if let best = LogProbability.maximum(logits) {
                    deliver(place, logits, best)
                } else {
                    failure = EvaluationError.notFinite(position: piece.scored.lowerBound + place)
                }
            }
        } unless: {
            failure
        }
    }

    // MARK: Result

    package struct Result: Equatable, Sendable {
        package let tokens: Int
        /// KL(reference ‖ model) in nats per token.
        package let mean: Estimate
        package let median: Double
        package let percentile90: Double
        package let percentile99: Double
        package let percentile999: Double
        package let maximum: Double
        /// Share of tokens at which both find the same token the most likely.
        package let topAgreement: Estimate
        package let referencePerplexity: Estimate
        package let perplexity: Estimate
        /// Mean of model's minus reference's loss; its error is that of the difference, far smaller than those of both.
        package let lossDifference: Estimate
    }

    /// The result of the windows that are done; nil without any.
    package static func result(_ parts: [Part]) -> Result? {
        let divergences = parts.flatMap { $0.divergences }
        let quantiles = Quantiles(divergences)
        func loss(_ losses: [Double]) -> Estimate? {
            Estimate(mean: losses).map { $0.mapped(exp, derivative: exp($0.value)) }
        }
        let losses = parts.flatMap { $0.losses }
        let references = parts.flatMap { $0.referenceLosses }
        guard let mean = Estimate(mean: divergences),
            let agreement = Estimate(mean: parts.flatMap { $0.agreements.map(Double.init) }),
            let reference = loss(references), let own = loss(losses),
            let difference = Estimate(mean: zip(losses, references).map { $0 - $1 })
        else { return nil }
        func quantile(_ share: Double) -> Double { quantiles.value(at: share) ?? 0 }
        return Result(
            tokens: divergences.count, mean: mean, median: quantile(0.5), percentile90: quantile(0.9),
            percentile99: quantile(0.99), percentile999: quantile(0.999), maximum: quantile(1),
            topAgreement: agreement, referencePerplexity: reference, perplexity: own, lossDifference: difference)
    }
}
