import Engine
import Foundation
import GGUF

/// How far a changed model's predictions are from the original's: the mean over positions of the Kullback–Leibler
/// divergence Σ p · ln(p / q), in nats per token.
struct DivergenceMeter {
    private let pieces: [[Int32]]
    private let threads: Int
    private let vocabulary: Int
    /// The original's probabilities: [positions][vocabulary].
    private let reference: [Float]
    /// Σ p · ln p over all positions.
    private let entropy: Double

    /// - Parameters:
    ///   - text: its pieces are read from the first on, as many as `tokens` and the memory for probabilities allow.
    ///   - tokens: about how many positions are compared.
    init(_ original: GGUFFile, text: CalibrationText, tokens: Int, threads: Int) throws(EngineError) {
        self.threads = threads
        let model = try Self.model(original, text.pieces[0].count, threads)
        vocabulary = model.architecture.head.vocabularySize
        let most = min(tokens, max(Self.mostValues / vocabulary, CalibrationText.minimumTokens))
        var pieces: [[Int32]] = []
        for piece in text.pieces {
            let room = most - pieces.reduce(0) { $0 + $1.count }
            guard room >= CalibrationText.minimumTokens else { break }
            pieces.append([Int32](piece.prefix(room)))
        }
        self.pieces = pieces
        var reference: [Float] = []
        reference.reserveCapacity(pieces.reduce(0) { $0 + $1.count } * vocabulary)
        var entropy = 0.0
        for piece in pieces {
            try model.makeGenerator(contextLength: piece.count).evaluate(piece) { _, logits in
                let normalizer = Self.logOfSum(logits)
                for logit in logits {
                    let logarithm = logit - normalizer
                    let probability = exp(logarithm)
                    reference.append(probability)
                    entropy += Double(probability * logarithm)
                }
            }
        }
        self.reference = reference
        self.entropy = entropy
    }

    /// Floats of probabilities that are kept.
    private static let mostValues = 64 << 20

    /// Mean divergence of a changed model, not below 0.
    func divergence(of changed: GGUFFile) throws(EngineError) -> Double {
        let model = try Self.model(changed, pieces[0].count, threads)
        var sum = entropy
        var position = 0
        for piece in pieces {
            try model.makeGenerator(contextLength: piece.count).evaluate(piece) { _, logits in
                // ln q = logit − ln Σ exp, and the probabilities of a position add up to one.
                let normalizer = Double(Self.logOfSum(logits))
                reference.withUnsafeBufferPointer { reference in
                    let first = position * vocabulary
                    var product = 0.0
                    for index in 0..<vocabulary { product += Double(reference[first + index]) * Double(logits[index]) }
                    sum += normalizer - product
                }
                position += 1
            }
        }
        return max(0, sum / Double(max(position, 1)))
    }

    private static func model(_ file: GGUFFile, _ length: Int, _ threads: Int) throws(EngineError) -> Model {
        var options = EngineOptions(
            threads: threads, contextLength: length, batchSize: length, keyCache: .f32, valueCache: .f32)
        options.allowsUntrainedContext = true
        return try Model.load(file, options: options)
    }

    /// ln Σ exp(logit).
    private static func logOfSum(_ logits: UnsafeMutableBufferPointer<Float>) -> Float {
        var highest = -Float.infinity
        for logit in logits { highest = max(highest, logit) }
        var sum = 0.0
        for logit in logits { sum += Double(exp(logit - highest)) }
        return highest + Float(log(sum))
    }
}
