import ArgumentParser
import InferKit

/// How tokens are chosen and when an answer ends.
struct SamplingOptions: ParsableArguments {
    @Option(
        name: [.customShort("n"), .customLong("predict")],
        help: ArgumentHelp("Most tokens of an answer (default: no limit but the context).", valueName: "tokens"))
    var predict: Int?

    @Option(help: ArgumentHelp("End the answer before this text. May be given several times.", valueName: "text"))
    var stop: [String] = []

    @Flag(help: "Go on when the model says that it is done.")
    var ignoreEos = false

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "The same seed gives the same answer (default: another one every time).", valueName: "number"))
    var seed: UInt64?

    @Option(
        name: [.customLong("temp"), .customLong("temperature")], parsing: .unconditional,
        help: "Above 1 more variety, below less; 0: always the most likely token.")
    var temperature = 0.8

    @Option(help: "Only the so many most likely tokens; 0: all.")
    var topK = 40

    @Option(help: "Only the most likely tokens that together reach this probability; 1: all.")
    var topP = 0.95

    @Option(help: "Only tokens at least so likely as this part of the most likely one; 0: all.")
    var minP = 0.05

    @Option(
        name: [.customLong("typical"), .customLong("typical-p")],
        help: "Only tokens near the expected information content, up to this probability; 1: all.")
    var typical = 1.0

    @Option(help: "How often to exclude the top choices (XTC); 0: never.")
    var xtcProbability = 0.0

    @Option(help: "What counts as a top choice for XTC.")
    var xtcThreshold = 0.1

    @Option(help: "Divides the odds of tokens that occurred lately; 1: off.")
    var repeatPenalty = 1.0

    @Option(parsing: .unconditional, help: "How many of the last tokens count for penalties; -1: all.")
    var repeatLastN = 64

    @Option(parsing: .unconditional, help: "Lowers tokens that occurred lately; 0: off.")
    var presencePenalty = 0.0

    @Option(parsing: .unconditional, help: "Lowers tokens each time they occurred lately; 0: off.")
    var frequencyPenalty = 0.0

    @Option(help: "Strength against repeated sequences (DRY); 0: off.")
    var dryMultiplier = 0.0

    @Option(help: "Growth of the DRY penalty with each repeated token.")
    var dryBase = 1.75

    @Option(help: "Repetitions up to this length are free for DRY.")
    var dryAllowedLength = 2

    @Option(parsing: .unconditional, help: "How many of the last tokens DRY looks at; -1: all.")
    var dryPenaltyLastN = -1

    @Option(
        name: .customLong("dry-sequence-breaker"),
        help: ArgumentHelp(
            "Text at which a repeated sequence ends for DRY, in place of line break, colon, quote and asterisk. "
                + "May be given several times.", valueName: "text"))
    var dryBreakers: [String] = []

    @Option(help: "2: Mirostat 2.0 in place of top-k, typical-p, top-p, min-p and XTC; 0: off.")
    var mirostat = 0

    @Option(name: .customLong("mirostat-ent"), help: "Mirostat's target surprise in bits.")
    var mirostatTau = 5.0

    @Option(name: .customLong("mirostat-lr"), help: "Mirostat's learning rate.")
    var mirostatEta = 0.1

    @Option(
        name: [.customShort("l"), .long],
        help: ArgumentHelp(
            "Adds to the odds of a token: 15043+1, 15043-1, 15043-inf. May be given several times.",
            valueName: "id±bias"))
    var logitBias: [LogitBiasArgument] = []

    @Option(
        help: ArgumentHelp(
            "The order of the samplers; one that is left out does not act.",
            discussion: "default: \(SamplerOrderArgument.default.description)", valueName: "a;b;c"))
    var samplers: SamplerOrderArgument?

    func validate() throws {
        if let predict, predict < 0 { throw ValidationError("--predict must be 0 or more") }
        guard mirostat == 0 || mirostat == 2 else {
            throw ValidationError("--mirostat is \(mirostat); there are 0 (off) and 2")
        }
        do {
            try options(seed: 0).validate()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// - Parameter seed: used when the user gave none.
    func options(seed: UInt64) -> GenerationOptions {
        var samplers = SamplerSettings()
        samplers.temperature = temperature
        samplers.topK = topK
        samplers.topP = topP
        samplers.minP = minP
        samplers.typicalP = typical
        samplers.xtcProbability = xtcProbability
        samplers.xtcThreshold = xtcThreshold
        samplers.repetitionPenalty = repeatPenalty
        samplers.penaltyWindow = repeatLastN
        samplers.presencePenalty = presencePenalty
        samplers.frequencyPenalty = frequencyPenalty
        samplers.dryMultiplier = dryMultiplier
        samplers.dryBase = dryBase
        samplers.dryAllowedLength = dryAllowedLength
        samplers.dryWindow = dryPenaltyLastN
        if !dryBreakers.isEmpty { samplers.dryBreakers = dryBreakers }
        samplers.usesMirostat = mirostat == 2
        samplers.mirostatTau = mirostatTau
        samplers.mirostatEta = mirostatEta
        samplers.logitBias = Dictionary(logitBias.map { ($0.id, $0.bias) }, uniquingKeysWith: +)
        if let order = self.samplers { samplers.order = order.stages }
        var options = GenerationOptions(maximumResponseTokens: predict)
        options.samplers = samplers
        options.stopSequences = stop
        options.seed = self.seed ?? seed
        options.ignoresEndOfGeneration = ignoreEos
        return options
    }
}

/// `15043+1`, `15043-inf`.
struct LogitBiasArgument: ExpressibleByArgument {
    let id: Int32
    let bias: Double

    init?(argument: String) {
        guard let sign = argument.dropFirst().firstIndex(where: { $0 == "+" || $0 == "-" }),
            let id = Int32(argument[..<sign]), let bias = Double(argument[sign...]), !bias.isNaN, bias < .infinity
        else { return nil }
        self.id = id
        self.bias = bias
    }
}

/// `penalties;top_k;temperature`.
struct SamplerOrderArgument: ExpressibleByArgument, CustomStringConvertible {
    let stages: [SamplerSettings.Stage]

    static var `default`: SamplerOrderArgument { SamplerOrderArgument(stages: SamplerSettings.defaultOrder) }

    private init(stages: [SamplerSettings.Stage]) { self.stages = stages }

    init?(argument: String) {
        let names = argument.split(whereSeparator: { $0 == ";" || $0 == "," }).map(String.init)
        let stages = names.compactMap { SamplerSettings.Stage(rawValue: $0) }
        guard stages.count == names.count, Set(stages).count == stages.count else { return nil }
        self.stages = stages
    }

    var description: String { stages.map(\.rawValue).joined(separator: ";") }
}
