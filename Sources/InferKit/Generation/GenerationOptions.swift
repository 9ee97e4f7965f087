import Engine

/// How an answer is made.
public struct GenerationOptions: Sendable, Equatable {
    /// How the next token is chosen.
    public struct SamplingMode: Sendable, Equatable {
        enum Kind: Sendable, Equatable {
            case greedy
            case top(Int, seed: UInt64?)
            case nucleus(Double, seed: UInt64?)
        }

        let kind: Kind

        /// Always the most likely token.
        public static var greedy: SamplingMode { SamplingMode(kind: .greedy) }

        /// One of the `top` most likely tokens, drawn by probability.
        public static func random(top: Int, seed: UInt64? = nil) -> SamplingMode {
            SamplingMode(kind: .top(top, seed: seed))
        }

        /// One of the most likely tokens that together reach the threshold, drawn by probability.
        public static func random(probabilityThreshold: Double, seed: UInt64? = nil) -> SamplingMode {
            SamplingMode(kind: .nucleus(probabilityThreshold, seed: seed))
        }
    }

    /// How the next token is chosen; nil: by ``samplers`` alone. A mode takes the place of their top-k, top-p,
    /// min-p and typical-p.
    public var sampling: SamplingMode?
    /// Overrides that of ``samplers``. 0: always the most likely token.
    public var temperature: Double?
    /// The answer ends after so many tokens; nil: when the model ends it or the context is full.
    public var maximumResponseTokens: Int?
    /// The answer ends before any of these texts.
    public var stopSequences: [String] = []
    /// The same seed gives the same answer to the same prompt; nil: another answer every time.
    public var seed: UInt64?
    /// The finer points of choosing tokens.
    public var samplers = SamplerSettings()
    /// Goes on when the model says that it is done.
    public var ignoresEndOfGeneration = false
    /// Whether and how long the model thinks before it answers; nil: as its template has it.
    public var reasoning: Reasoning?
    /// How hard to think: `low`, `medium`, `high` or what else the model's template knows.
    public var reasoningEffort: String?
    /// Which tools of the session the model may or must call.
    public var toolChoice = ToolChoice.auto
    /// Whether the model may call several tools at once.
    public var allowsParallelToolCalls = true
    /// A GBNF grammar that the answer's text obeys; thoughts are free.
    public var grammar: String?
    /// Further variables of the model's chat template.
    public var templateVariables: [String: GeneratedContent] = [:]

    /// Thoughts before an answer. A model that does not mark its thoughts takes no notice.
    public enum Reasoning: Sendable, Equatable {
        /// The model answers at once.
        case off
        /// The model thinks as long as it wants.
        case on
        /// The model thinks; after so many tokens the thought is ended, and the answer begins.
        case budget(Int)
    }

    /// Options as in Apple's FoundationModels; the properties have more.
    public init(
        sampling: SamplingMode? = nil, temperature: Double? = nil, maximumResponseTokens: Int? = nil
    ) {
        self.sampling = sampling
        self.temperature = temperature
        self.maximumResponseTokens = maximumResponseTokens
    }
}

extension GenerationOptions {
    /// - Throws: ``LanguageModelSession/GenerationError/invalidOption(_:)`` for the first value that makes no sense.
    public func validate() throws { _ = try decidedParameters() }

    /// The engine's parameters for one answer.
    func samplingParameters(_ backend: any ModelBackend) throws -> SamplingParameters {
        var parameters = try decidedParameters()
        if parameters.dryMultiplier > 0 {
            parameters.dryBreakers = backend.tokens(containing: samplers.dryBreakers)
        }
        return parameters
    }

    /// With everything that is left open decided.
    private func decidedParameters() throws -> SamplingParameters {
        var parameters = samplers.parameters
        var seed = seed
        switch sampling?.kind {
        case nil: break
        case .greedy:
            parameters.temperature = 0
        case .top(let k, let modeSeed):
            parameters.setTruncation(topK: k, topP: 1)
            seed = modeSeed ?? seed
        case .nucleus(let p, let modeSeed):
            parameters.setTruncation(topK: 0, topP: Float(p))
            seed = modeSeed ?? seed
        }
        if let temperature, sampling != .greedy { parameters.temperature = Float(temperature) }
        parameters.seed = seed ?? .random(in: .min ... .max)
        if let maximumResponseTokens, maximumResponseTokens < 0 {
            throw LanguageModelSession.GenerationError.invalidOption(
                .init(debugDescription: "maximumResponseTokens is \(maximumResponseTokens), expected 0 or more"))
        }
        do {
            try parameters.validate()
        } catch {
            throw LanguageModelSession.GenerationError.invalidOption(.init(debugDescription: error.description))
        }
        return parameters
    }
}

extension SamplingParameters {
    fileprivate mutating func setTruncation(topK: Int, topP: Float) {
        self.topK = topK
        self.topP = topP
        minP = 0
        typicalP = 1
    }
}
