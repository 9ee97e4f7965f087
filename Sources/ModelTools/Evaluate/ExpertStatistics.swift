import Foundation

/// How a router uses the experts of one layer, counted token by token.
package struct ExpertStatistics: Sendable {
    /// Distances at which picks are compared.
    package static let farthestRepeat = 16

    package let experts: Int
    package private(set) var tokens = 0
    /// Picks of each expert.
    package private(set) var loads: [Int]
    /// Tokens that picked both, [smaller][larger], the whole square.
    private var together: [UInt32]
    /// Picks of the last tokens of the sequence, the last at the end.
    private var recent: [[Int32]] = []
    /// Per distance from 1: picks that the token so many before had too, and picks that were compared.
    private var repeated = [Int](repeating: 0, count: farthestRepeat)
    private var compared = [Int](repeating: 0, count: farthestRepeat)
    /// Experts in the order of their last use, the last one first.
    private var order: [Int32] = []
    /// Per place in that order: picks that found their expert there.
    private var depths: [Int]

    package init(experts: Int) {
        self.experts = experts
        loads = [Int](repeating: 0, count: experts)
        depths = [Int](repeating: 0, count: experts)
        together = [UInt32](repeating: 0, count: experts * experts)
    }

    /// The next tokens follow on nothing: repeats are not looked for across the gap. A cache keeps what it has.
    package mutating func startSequence() { recent.removeAll() }

    /// One token's experts, all different.
    package mutating func add(_ picks: [Int32]) {
        tokens += 1
        for (place, pick) in picks.enumerated() {
            let expert = Int(pick)
            loads[expert] += 1
            for other in picks.dropFirst(place + 1) {
                together[min(expert, Int(other)) * experts + max(expert, Int(other))] += 1
            }
            use(pick)
        }
        for distance in 1...Self.farthestRepeat where distance <= recent.count {
            let before = recent[recent.count - distance]
            compared[distance - 1] += picks.count
            repeated[distance - 1] += picks.count { before.contains($0) }
        }
        if recent.count == Self.farthestRepeat { recent.removeFirst() }
        recent.append(picks)
    }

    private mutating func use(_ expert: Int32) {
        if let depth = order.firstIndex(of: expert) {
            depths[depth] += 1
            order.remove(at: depth)
        }
        order.insert(expert, at: 0)
    }

    // MARK: Figures

    package var picks: Int { loads.reduce(0, +) }

    /// Share of the tokens that picked each expert; together they are the experts per token.
    package var shares: [Double] { loads.map { tokens > 0 ? Double($0) / Double(tokens) : 0 } }

    /// Entropy of the picks in bits; log₂ of the number of experts when all are used alike.
    package var entropy: Double {
        let all = Double(max(1, picks))
        return loads.reduce(0) { sum, load in
            guard load > 0 else { return sum }
            let share = Double(load) / all
            return sum - share * log2(share)
        }
    }

    /// Share of picks whose expert the token `distance` before picked too; nil when there are no such tokens.
    package func repeats(after distance: Int) -> Double? {
        guard 1...Self.farthestRepeat ~= distance, compared[distance - 1] > 0 else { return nil }
        return Double(repeated[distance - 1]) / Double(compared[distance - 1])
    }

    /// The same if every token picked by the loads alone, whatever was before.
    package var repeatsByChance: Double {
        let perToken = Double(picks) / Double(max(1, tokens))
        return perToken > 0 ? shares.reduce(0) { $0 + $1 * $1 } / perToken : 0
    }

    /// Share of picks that a cache of `size` experts of this layer would have had, when the least recently used one
    /// makes room. It begins empty; a token's picks come one after another.
    package func hitRate(cache size: Int) -> Double {
        guard picks > 0 else { return 0 }
        return Double(depths.prefix(max(0, size)).reduce(0, +)) / Double(picks)
    }

    package struct Pair: Equatable, Sendable {
        package let first: Int
        package let second: Int
        package let tokens: Int
        /// Tokens that picked both, over those to be expected from the two loads alone. Expectations are in proportion to
        /// the product of the loads and add up to all pairs that there were.
        package let lift: Double
    }

    /// The pairs that were picked together most often.
    package func pairs(most count: Int) -> [Pair] {
        var pairs: [Pair] = []
        let all = together.reduce(0.0) { $0 + Double($1) }
        let squares = loads.reduce(0.0) { $0 + Double($1) * Double($1) }
        let products = (Double(picks) * Double(picks) - squares) / 2
        for first in 0..<experts {
            for second in first + 1..<max(experts, first + 1) {
                let both = Int(together[first * experts + second])
                guard both > 0 else { continue }
                let lift = Double(both) / (all * Double(loads[first]) * Double(loads[second]) / products)
                pairs.append(Pair(first: first, second: second, tokens: both, lift: lift))
            }
        }
        pairs.sort { ($1.tokens, $0.first, $0.second) < ($0.tokens, $1.first, $1.second) }
        return Array(pairs.prefix(count))
    }
}
