import ChatTemplates
import InferKit

/// How answers are made: what all APIs have under one name or another.
struct AnswerSettings: Sendable {
    var options = GenerationOptions()
    var choices = 1
    /// Alternatives per token when scores are wanted.
    var scoreAlternatives: Int?

    static let mostChoices = 128
    static let mostStops = 64

    init() { options.seed = .random(in: .min ... .max) }

    /// nil: until the model ends or the context is full.
    var maximumTokens: Int? {
        get { options.maximumResponseTokens }
        set { options.maximumResponseTokens = newValue }
    }

    /// The names of OpenAI's APIs and the extensions that servers of this kind share.
    init(_ fields: Fields) throws(APIError) {
        self.init()
        try readSampling(fields)
        for name in ["n_predict", "max_tokens", "max_completion_tokens"] {
            guard let limit = try fields.int(name) else { continue }
            guard limit >= -1 else { throw .invalid("max_tokens is \(limit), expected 0 or more", param: "max_tokens") }
            maximumTokens = limit < 0 ? nil : limit
        }
        try setStops(fields.strings("stop") ?? [], "stop")
        options.ignoresEndOfGeneration = try fields.bool("ignore_eos") ?? false
        choices = try fields.int("n", in: 1...Self.mostChoices) ?? 1
    }

    mutating func setStops(_ texts: [String], _ name: String) throws(APIError) {
        guard texts.count <= Self.mostStops else {
            throw .invalid("\(name) has \(texts.count) texts, at most \(Self.mostStops) are allowed", param: name)
        }
        options.stopSequences = texts.filter { !$0.isEmpty }
    }

    /// Everything that decides how a token is drawn.
    mutating func readSampling(_ fields: Fields) throws(APIError) {
        func float(_ names: String...) throws(APIError) -> Double? {
            for name in names {
                if let value = try fields.number(name) { return value }
            }
            return nil
        }
        var sampling = options.samplers
        if let value = try float("temperature") {
            guard value >= 0 else {
                throw .invalid("temperature is \(value), expected 0 to 2", param: "temperature")
            }
            sampling.temperature = value
        }
        if let value = try float("top_p") { sampling.topP = value }
        if let value = try fields.int("top_k") { sampling.topK = max(value, 0) }
        if let value = try float("min_p") { sampling.minP = value }
        if let value = try float("typical_p", "typ_p") { sampling.typicalP = value }
        if let value = try float("repeat_penalty", "repetition_penalty") { sampling.repetitionPenalty = value }
        if let value = try fields.int("repeat_last_n") { sampling.penaltyWindow = value }
        if let value = try float("presence_penalty") { sampling.presencePenalty = value }
        if let value = try float("frequency_penalty") { sampling.frequencyPenalty = value }
        if let value = try float("xtc_probability") { sampling.xtcProbability = value }
        if let value = try float("xtc_threshold") { sampling.xtcThreshold = value }
        if let value = try float("dry_multiplier") { sampling.dryMultiplier = value }
        if let value = try float("dry_base") { sampling.dryBase = value }
        if let value = try fields.int("dry_allowed_length") { sampling.dryAllowedLength = value }
        if let value = try fields.int("dry_penalty_last_n") { sampling.dryWindow = value }
        if let value = try fields.strings("dry_sequence_breakers") { sampling.dryBreakers = value }
        if let value = try fields.int("mirostat", in: 0...2) {
            guard value != 1 else { throw .invalid("mirostat is 1, supported are 0 and 2", param: "mirostat") }
            sampling.usesMirostat = value == 2
        }
        if let value = try float("mirostat_tau") { sampling.mirostatTau = value }
        if let value = try float("mirostat_eta") { sampling.mirostatEta = value }
        if let seed = try fields.seed("seed") { options.seed = seed }
        if let names = try fields.strings("samplers") { sampling.order = try Self.order(names) }
        sampling.logitBias = try Self.bias(fields)
        options.samplers = sampling
        do {
            try options.validate()
        } catch {
            throw .invalid("\(error)")
        }
    }

    private static func order(_ names: [String]) throws(APIError) -> [SamplerSettings.Stage] {
        try names.map { name throws(APIError) in
            guard let stage = SamplerSettings.Stage(rawValue: name == "typical_p" ? "typ_p" : name) else {
                let known = SamplerSettings.Stage.allCases.map(\.rawValue).joined(separator: ", ")
                throw .invalid("samplers names '\(name)', known are \(known)", param: "samplers")
            }
            return stage
        }
    }

    /// `{"123": -100}` as in OpenAI's API, or `[[123, -100], [124, false]]`.
    private static func bias(_ fields: Fields) throws(APIError) -> [Int32: Double] {
        guard let value = fields["logit_bias"] else { return [:] }
        var biases: [Int32: Double] = [:]
        func add(_ id: Int32?, _ bias: JSONValue) throws(APIError) {
            guard let id else { throw .invalid("logit_bias has a key that is not a token id", param: "logit_bias") }
            if bias.boolValue == false {
                biases[id] = -.infinity
            } else if let number = bias.doubleValue {
                biases[id] = number <= -100 ? -.infinity : number
            } else {
                throw .invalid("the logit_bias of token \(id) is \(bias.kind), expected a number", param: "logit_bias")
            }
        }
        if let object = value.objectValue {
            for (key, bias) in object.members { try add(Int32(key), bias) }
        } else if let pairs = value.arrayValue {
            for pair in pairs {
                try add(pair[0]?.intValue.flatMap { Int32(exactly: $0) }, pair[1] ?? .null)
            }
        } else {
            throw fields.wrong("logit_bias", value, "an object")
        }
        return biases
    }

    /// The job for one choice of an answer.
    func job(_ tokens: [Int32], choice: Int) -> ServingJob {
        var job = ServingJob(tokens: tokens)
        job.options = options
        job.options.seed = options.seed.map { $0 &+ UInt64(choice) }
        job.scoreAlternatives = scoreAlternatives
        return job
    }
}
