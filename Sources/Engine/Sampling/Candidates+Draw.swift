extension Candidates {
    /// Draws one candidate by its probability, nil when none can be chosen.
    package mutating func draw(random: inout RandomSource) -> Candidate? {
        guard softmax() else { return nil }
        let target = random.nextUnit()
        var sum = 0.0
        var lastPossible: Candidate?
        for i in 0..<count where self[i].probability > 0 {
            sum += Double(self[i].probability)
            lastPossible = self[i]
            if target < sum { break }
        }
        // Rounding may leave the sum a little under 1: then the last possible candidate is it.
        return lastPossible
    }

    /// The most likely candidate, nil when none can be chosen.
    package func best() -> Candidate? {
        var best: Candidate?
        for i in 0..<count where self[i].logit > -.infinity {
            guard let known = best else {
                best = self[i]
                continue
            }
            if self[i].logit > known.logit || (self[i].logit == known.logit && self[i].id < known.id) {
                best = self[i]
            }
        }
        return best
    }
}
