package import GGUF

/// Formats for the matrices of a model such that the estimated divergence is least at a given size.
package struct BitBudget {
    /// One way to store a tensor.
    package struct Choice: Equatable, Sendable {
        package let type: GGUFTensorType
        package let bytes: Int
        /// Estimated divergence from the original, in nats per token.
        package let cost: Double
    }

    /// A tensor and the ways to store it.
    package struct Candidate: Sendable {
        package let tensor: String
        /// At least one.
        package let choices: [Choice]

        package init(tensor: String, choices: [Choice]) {
            self.tensor = tensor
            self.choices = choices
        }
    }

    /// The types by tensor.
    package let types: [String: GGUFTensorType]
    /// Σ of the choices' costs.
    package let cost: Double
    package let bytes: Int

    /// Every tensor begins with its smallest choice. Then that step up is taken, again and again, which saves most
    /// divergence per byte; of each tensor's choices only those on the lower convex hull of (bytes, cost) take part, so
    /// that the steps of a tensor come in the order of their worth.
    /// - Parameter limit: bytes for all candidates together.
    /// - Returns: nil when even the smallest choices are larger.
    package init?(_ candidates: [Candidate], limit: Int) {
        let hulls = candidates.map { Self.hull($0.choices) }
        var level = hulls.map { _ in 0 }
        var bytes = hulls.reduce(0) { $0 + $1[0].bytes }
        guard bytes <= limit else { return nil }
        while true {
            var best: (tensor: Int, worth: Double)?
            for (index, hull) in hulls.enumerated() where level[index] + 1 < hull.count {
                let (now, next) = (hull[level[index]], hull[level[index] + 1])
                guard bytes + next.bytes - now.bytes <= limit else { continue }
                let worth = (now.cost - next.cost) / Double(next.bytes - now.bytes)
                if best.map({ worth > $0.worth }) ?? true { best = (index, worth) }
            }
            guard let best else { break }
            bytes += hulls[best.tensor][level[best.tensor] + 1].bytes - hulls[best.tensor][level[best.tensor]].bytes
            level[best.tensor] += 1
        }
        self.bytes = bytes
        let chosen = zip(hulls, level).map { $0[$1] }
        cost = chosen.reduce(0) { $0 + $1.cost }
        types = Dictionary(zip(candidates.map(\.tensor), chosen.map(\.type)), uniquingKeysWith: { $1 })
    }

    /// The choices that no mixture of two others beats, from the smallest on.
    static func hull(_ choices: [Choice]) -> [Choice] {
        var hull: [Choice] = []
        for choice in choices.sorted(by: { ($0.bytes, $0.cost) < ($1.bytes, $1.cost) }) {
            if let last = hull.last, choice.cost >= last.cost { continue }
            while hull.count > 1 {
                let (a, b) = (hull[hull.count - 2], hull[hull.count - 1])
                let before = (a.cost - b.cost) * Double(choice.bytes - b.bytes)
                guard before <= (b.cost - choice.cost) * Double(b.bytes - a.bytes) else { break }
                hull.removeLast()
            }
            hull.append(choice)
        }
        return hull
    }
}
