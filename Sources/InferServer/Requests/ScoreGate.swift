import InferKit

/// Lets the scores of tokens through once it is certain that the tokens are part of the answer, and not of the stop text
/// that ends it: a token that begins where the stop text does, or behind, is not.
struct ScoreGate {
    private let stops: [[UInt8]]
    private let longest: Int
    /// The last bytes of the answer, as far back as a stop text may reach.
    private var tail: [UInt8] = []
    /// Where ``tail`` begins in the answer.
    private var tailStart = 0
    private var waiting: [(score: TokenScore, start: Int)] = []

    init(stops: [String]) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
        longest = self.stops.map(\.count).max() ?? 0
    }

    /// - Parameter bytes: what the token says.
    /// - Returns: what is certain now.
    mutating func add(_ score: TokenScore, _ bytes: [UInt8]) -> [TokenScore] {
        guard longest > 0 else { return [score] }
        waiting.append((score, tailStart + tail.count))
        let old = tail.count
        tail += bytes
        let certain = tailStart + (firstMatch(endingBehind: old) ?? tail.count - longestBeginning())
        let released = waiting.prefix { $0.start < certain }.map(\.score)
        waiting.removeFirst(released.count)
        let surplus = tail.count - longest
        if surplus > 0 {
            tail.removeFirst(surplus)
            tailStart += surplus
        }
        return released
    }

    /// What is left at the end.
    mutating func finish(_ end: AnswerEnd) -> [TokenScore] {
        defer { waiting = [] }
        switch end {
        case .stop, .cut(.stopInCall): return []
        default: return waiting.map(\.score)
        }
    }

    /// Where the stop text begins that ends first behind an offset of ``tail``.
    private func firstMatch(endingBehind offset: Int) -> Int? {
        guard offset < tail.count else { return nil }
        for end in (offset + 1)...tail.count {
            let matches = stops.filter { $0.count <= end && tail[..<end].suffix($0.count).elementsEqual($0) }
            if let length = matches.map(\.count).max() { return end - length }
        }
        return nil
    }

    /// Length of the longest suffix that a stop text could begin with.
    private func longestBeginning() -> Int {
        for length in stride(from: min(longest - 1, tail.count), to: 0, by: -1) {
            let suffix = tail.suffix(length)
            if stops.contains(where: { $0.count > length && $0.starts(with: suffix) }) { return length }
        }
        return 0
    }
}
