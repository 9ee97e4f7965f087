import Engine

/// The finer points of choosing tokens. What each does is described with the sampler of its name in the engine.
///
/// Logit bias comes first, then the ``Stage``s in ``order``, then the draw.
public struct SamplerSettings: Sendable, Equatable {
    /// A step whose place in the order can be changed; raw values as on the command line.
    public enum Stage: String, Sendable, CaseIterable {
        /// Repetition, frequency and presence penalty.
        case penalties
        /// Penalty for continuing a repeated sequence.
        case dry
        /// The `k` most likely tokens.
        case topK = "top_k"
        /// Tokens near the expected information content.
        case typicalP = "typ_p"
        /// The most likely tokens up to a sum of probability.
        case topP = "top_p"
        /// Tokens not too far behind the most likely one.
        case minP = "min_p"
        /// Leaves out the top choices now and then.
        case xtc
        /// More variety above 1, less below.
        case temperature
    }

    /// 0: always the most likely token.
    public var temperature = 0.8
    /// 0: off.
    public var topK = 40
    /// 1: off.
    public var topP = 0.95
    /// 0: off.
    public var minP = 0.05
    /// 1: off.
    public var typicalP = 1.0
    /// How often XTC acts; 0: off.
    public var xtcProbability = 0.0
    /// XTC leaves out tokens at least this likely, but the least likely of them.
    public var xtcThreshold = 0.1
    /// Factor against tokens that occurred; 1: off.
    public var repetitionPenalty = 1.0
    /// Against tokens for each time they occurred; 0: off.
    public var frequencyPenalty = 0.0
    /// Against tokens that occurred; 0: off.
    public var presencePenalty = 0.0
    /// How many of the last tokens the three penalties look at; -1: all.
    public var penaltyWindow = 64
    /// Strength of DRY; 0: off.
    public var dryMultiplier = 0.0
    /// Growth of the DRY penalty with each repeated token.
    public var dryBase = 1.75
    /// Repetitions up to this length are free of the DRY penalty.
    public var dryAllowedLength = 2
    /// How many of the last tokens DRY looks at; -1: all.
    public var dryWindow = -1
    /// Texts at which a repeated sequence ends: every token that contains one of them.
    public var dryBreakers = ["\n", ":", "\"", "*"]
    /// Mirostat 2.0 in place of top-k, typical-p, top-p, min-p and XTC.
    public var usesMirostat = false
    /// Mirostat's target surprise in bits.
    public var mirostatTau = 5.0
    /// Mirostat's learning rate.
    public var mirostatEta = 0.1
    /// Added to the logits of tokens; `-.infinity` bans one.
    public var logitBias: [Int32: Double] = [:]
    /// The stages in order; one that is left out does not act.
    public var order = SamplerSettings.defaultOrder

    /// Penalties, DRY, top-k, typical-p, top-p, min-p, XTC, temperature.
    public static var defaultOrder: [Stage] {
        SamplingParameters.defaultOrder.compactMap { Stage(rawValue: $0.rawValue) }
    }

    /// The usual settings: temperature 0.8, top-k 40, top-p 0.95, min-p 0.05.
    public init() {}

    var parameters: SamplingParameters {
        var result = SamplingParameters()
        result.temperature = Float(temperature)
        result.topK = topK
        result.topP = Float(topP)
        result.minP = Float(minP)
        result.typicalP = Float(typicalP)
        result.xtcProbability = Float(xtcProbability)
        result.xtcThreshold = Float(xtcThreshold)
        result.repetitionPenalty = Float(repetitionPenalty)
        result.frequencyPenalty = Float(frequencyPenalty)
        result.presencePenalty = Float(presencePenalty)
        result.penaltyWindow = penaltyWindow
        result.dryMultiplier = Float(dryMultiplier)
        result.dryBase = Float(dryBase)
        result.dryAllowedLength = dryAllowedLength
        result.dryWindow = dryWindow
        result.usesMirostat = usesMirostat
        result.mirostatTau = Float(mirostatTau)
        result.mirostatEta = Float(mirostatEta)
        result.logitBias = logitBias.mapValues { Float($0) }
        result.order = order.compactMap { SamplingStage(rawValue: $0.rawValue) }
        return result
    }
}
