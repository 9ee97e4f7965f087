import Engine

/// How likely the model held a token to be, before any sampler had a say.
package struct TokenScore: Sendable, Equatable {
    package var token: Int32
    /// Natural logarithm, 0 or less.
    package var logProbability: Double
    /// The most likely tokens, falling; the smaller id first among equals.
    package var top: [Alternative] = []

    package struct Alternative: Sendable, Equatable {
        package var token: Int32
        package var logProbability: Double
    }
}

extension TokenScore {
    /// Log-softmax of `logits` at one token, and the `count` best.
    init(of token: Int32, top count: Int, in logits: UnsafeBufferPointer<Float>) {
        var largest = -Float.infinity
        for logit in logits where logit > largest { largest = logit }
        var sum = 0.0
        // Beyond 40 below the largest a token adds less than the sum's last bit.
        for logit in logits where logit > largest - 40 { sum += SamplingMath.exp(Double(logit) - Double(largest)) }
        let offset = Double(largest) + SamplingMath.log(sum)

        func value(_ id: Int) -> Double {
            let logit = Double(logits[id])
            // A number that JSON can hold, for a token that cannot be chosen.
            return logit.isFinite ? min(logit - offset, 0) : -9999
        }
        var best: [Int] = []
        if count > 0 {
            for id in 0..<logits.count {
                if best.count == count, let worst = best.last, !(logits[id] > logits[worst]) { continue }
                guard !logits[id].isNaN else { continue }
                let place = best.firstIndex { logits[id] > logits[$0] } ?? best.count
                best.insert(id, at: place)
                if best.count > count { best.removeLast() }
            }
        }
        self.token = token
        logProbability = value(Int(token))
        top = best.map { Alternative(token: Int32($0), logProbability: value($0)) }
    }
}
