/// Chooses one token after the other from logits: a chain of small filters and a draw at its end.
///
/// The same parameters (seed included), tokens and logits give the same choice on every machine.
package struct Sampler: Sendable {
    package let parameters: SamplingParameters
    private var filters: [any SamplingFilter] = []
    private var mirostat: MirostatV2?
    private let isGreedy: Bool
    private var candidates: Candidates
    private var history: TokenHistory
    private var random: RandomSource

    /// - Parameter vocabularySize: number of logits that a choice is made from.
    package init(_ parameters: SamplingParameters, vocabularySize: Int) {
        self.parameters = parameters
        isGreedy = parameters.temperature <= 0
        candidates = Candidates(vocabularySize: vocabularySize)
        history = TokenHistory(window: parameters.penaltyWindow)
        random = RandomSource(seed: parameters.seed)
        if !isGreedy, parameters.usesMirostat {
            mirostat = MirostatV2(tau: parameters.mirostatTau, eta: parameters.mirostatEta)
        }
        if !parameters.logitBias.isEmpty { filters.append(LogitBias(parameters.logitBias)) }
        for stage in parameters.order { addFilters(for: stage) }
    }

    private mutating func addFilters(for stage: SamplingStage) {
        let p = parameters
        // What only narrows down the draw has no say in a greedy choice, and Mirostat narrows down by itself.
        let truncates = !isGreedy && mirostat == nil
        switch stage {
        case .penalties:
            if p.repetitionPenalty != 1 { filters.append(RepetitionPenalty(p.repetitionPenalty)) }
            if p.frequencyPenalty != 0 { filters.append(FrequencyPenalty(p.frequencyPenalty)) }
            if p.presencePenalty != 0 { filters.append(PresencePenalty(p.presencePenalty)) }
        case .dry:
            guard p.dryMultiplier != 0 else { return }
            filters.append(
                DRYPenalty(
                    multiplier: p.dryMultiplier, base: p.dryBase, allowedLength: p.dryAllowedLength,
                    window: p.dryWindow, breakers: p.dryBreakers))
        case .topK: if truncates, p.topK > 0 { filters.append(TopK(p.topK)) }
        case .typicalP: if truncates, p.typicalP < 1 { filters.append(TypicalP(p.typicalP)) }
        case .topP: if truncates, p.topP < 1 { filters.append(TopP(p.topP)) }
        case .minP: if truncates, p.minP > 0 { filters.append(MinP(p.minP)) }
        case .xtc:
            guard truncates, p.xtcProbability > 0 else { return }
            filters.append(XTC(probability: p.xtcProbability, threshold: p.xtcThreshold))
        case .temperature:
            if !isGreedy, p.temperature != 1 { filters.append(Temperature(p.temperature)) }
        }
    }

    /// Tells the sampler that `token` is now part of the text; prompt tokens count too.
    package mutating func accept(_ token: Int32) { history.append(token) }

    /// Chooses the next token; the caller passes it to ``accept(_:)`` if it becomes part of the text.
    ///
    /// - Parameter logits: one for each token of the vocabulary.
    /// - Returns: nil when no token can be chosen: no logits, or none above `-inf`.
    package mutating func sample(_ logits: UnsafeBufferPointer<Float>) -> Int32? {
        if isGreedy, filters.isEmpty { return mostLikely(logits) }
        candidates.load(logits)
        for i in filters.indices {
            filters[i].apply(to: &candidates, history: history, random: &random)
        }
        if isGreedy { return candidates.best()?.id }
        if mirostat != nil { return mirostat?.draw(from: &candidates, random: &random) }
        return candidates.draw(random: &random)?.id
    }
}

/// Index of the largest value, the first of several; NaN never wins, and neither does `-inf`.
private func mostLikely(_ logits: UnsafeBufferPointer<Float>) -> Int32? {
    var best = -Float.infinity
    var index: Int32?
    for i in 0..<logits.count where logits[i] > best {
        best = logits[i]
        index = Int32(i)
    }
    return index
}
