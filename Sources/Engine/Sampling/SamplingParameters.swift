/// A step of the sampling chain that can be moved; raw values as in the field's command lines.
package enum SamplingStage: String, Sendable, CaseIterable {
    /// Repetition, frequency and presence penalty, in this order.
    case penalties
    case dry
    case topK = "top_k"
    case typicalP = "typ_p"
    case topP = "top_p"
    case minP = "min_p"
    case xtc
    case temperature
}

/// Everything that decides how a token is chosen from logits.
///
/// The chain: logit bias, then the stages of ``order``, then the draw. A stage with its neutral value does
/// nothing and is left out.
package struct SamplingParameters: Sendable, Equatable {
    /// Zero and less: always the most likely token (after bias and penalties).
    package var temperature: Float = 0.8
    /// 0: off.
    package var topK = 40
    /// 1: off.
    package var topP: Float = 0.95
    /// 0: off.
    package var minP: Float = 0.05
    /// 1: off.
    package var typicalP: Float = 1
    /// 0: off.
    package var xtcProbability: Float = 0
    package var xtcThreshold: Float = 0.1
    /// 1: off.
    package var repetitionPenalty: Float = 1
    /// 0: off.
    package var frequencyPenalty: Float = 0
    /// 0: off.
    package var presencePenalty: Float = 0
    /// How many of the last tokens the three penalties look at; negative: all.
    package var penaltyWindow = 64
    /// 0: off.
    package var dryMultiplier: Float = 0
    package var dryBase: Float = 1.75
    package var dryAllowedLength = 2
    /// How many of the last tokens DRY looks at; negative: all.
    package var dryWindow = -1
    /// Tokens at which a repeated sequence ends.
    package var dryBreakers: Set<Int32> = []
    /// Mirostat 2.0 in place of the truncating stages (top-k, typical-p, top-p, min-p, XTC).
    package var usesMirostat = false
    package var mirostatTau: Float = 5
    package var mirostatEta: Float = 0.1
    package var logitBias: [Int32: Float] = [:]
    package var seed: UInt64 = 0
    package var order = SamplingParameters.defaultOrder

    package static let defaultOrder: [SamplingStage] = [
        .penalties, .dry, .topK, .typicalP, .topP, .minP, .xtc, .temperature,
    ]

    package init() {}

    /// - Throws: the first value that is outside its range.
    package func validate() throws(SamplingError) {
        func check(_ name: String, _ value: Float, _ range: ClosedRange<Float>) throws(SamplingError) {
            guard range.contains(value) else {
                throw .outOfRange(name: name, value: value, lowest: range.lowerBound, highest: range.upperBound)
            }
        }
        let largest: Float = 1e6
        try check("temperature", temperature, 0...largest)
        try check("top-k", Float(topK), 0...Float(Int32.max))
        try check("top-p", topP, 0...1)
        try check("min-p", minP, 0...1)
        try check("typical-p", typicalP, 0...1)
        try check("XTC probability", xtcProbability, 0...1)
        try check("XTC threshold", xtcThreshold, 0...1)
        try check("repetition penalty", repetitionPenalty, 1e-3...1e3)
        try check("frequency penalty", frequencyPenalty, -1e3...1e3)
        try check("presence penalty", presencePenalty, -1e3...1e3)
        try check("DRY multiplier", dryMultiplier, 0...1e3)
        try check("DRY base", dryBase, 1...1e3)
        try check("DRY allowed length", Float(dryAllowedLength), 1...Float(Int32.max))
        try check("mirostat tau", mirostatTau, 0...1e3)
        try check("mirostat eta", mirostatEta, 0...1e3)
        for (id, bias) in logitBias where bias.isNaN || bias == .infinity {
            throw .notANumber(name: "logit bias of token \(id)", value: bias)
        }
    }
}

/// A sampling parameter that makes no sense.
package enum SamplingError: Error, Equatable, CustomStringConvertible {
    case outOfRange(name: String, value: Float, lowest: Float, highest: Float)
    case notANumber(name: String, value: Float)

    package var description: String {
        switch self {
        case .outOfRange(let name, let value, let lowest, let highest):
            "\(name) is \(Self.text(value)), expected \(Self.text(lowest)) to \(Self.text(highest))"
        case .notANumber(let name, let value):
            "\(name) is \(Self.text(value)), expected a finite number or -inf"
        }
    }

    /// As people write it: 40 and not 40.0.
    private static func text(_ value: Float) -> String {
        if value.isNaN { return "not a number" }
        return Int(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}
