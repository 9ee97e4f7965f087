import Foundation

/// Probabilities from logits, computed in double precision.
enum LogProbability {
    /// The largest value and where it first occurs; nil when one is not a finite number.
    static func maximum(_ logits: UnsafeBufferPointer<Float>) -> (value: Float, index: Int)? {
        var best = -Float.infinity
        var index = 0
        var sum: Float = 0
        for place in 0..<logits.count {
            let value = logits[place]
            // Zero for every finite number, and not a number for the others.
            sum += value * 0
            if value > best { (best, index) = (value, place) }
        }
        return sum == 0 && logits.count > 0 ? (best, index) : nil
    }

    /// Minus the logarithm of the probability of one token.
    static func loss(_ logits: UnsafeBufferPointer<Float>, of token: Int, maximum: Float) -> Double {
        let shift = Double(maximum)
        var sum = 0.0
        for value in logits { sum += exp(Double(value) - shift) }
        return log(sum) + shift - Double(logits[token])
    }

    /// Two distributions compared: the divergence KL(reference ‖ model), and the loss of one token under both.
    ///
    /// With a = reference − its maximum, b = model − its maximum: Σ p (ln p − ln q) =
    /// Σ eᵃ (a − b) / Σ eᵃ − ln Σ eᵃ + ln Σ eᵇ.
    static func compare(
        reference: UnsafeBufferPointer<Float>, referenceMaximum: Float, model: UnsafeBufferPointer<Float>,
        modelMaximum: Float, token: Int
    ) -> (divergence: Double, referenceLoss: Double, modelLoss: Double) {
        let (shiftA, shiftB) = (Double(referenceMaximum), Double(modelMaximum))
        var sumA = 0.0
        var sumB = 0.0
        var weighted = 0.0
        for index in 0..<min(reference.count, model.count) {
            let a = Double(reference[index]) - shiftA
            let b = Double(model[index]) - shiftB
            let p = exp(a)
            sumA += p
            sumB += exp(b)
            weighted += p * (a - b)
        }
        let divergence = weighted / sumA - log(sumA) + log(sumB)
        return (
            max(0, divergence), log(sumA) + shiftA - Double(reference[token]),
            log(sumB) + shiftB - Double(model[token])
        )
    }
}
