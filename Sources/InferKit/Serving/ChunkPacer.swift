/// How many prompt rows ride along with running answers, so that the gap between two of their tokens grows no more than
/// wanted.
///
/// It only learns from times, and times never change a result: a prompt may be cut anywhere.
struct ChunkPacer {
    /// A step with prompt rows is meant to take so many times as long as one without.
    static let goal = 1.8
    /// More than this is too long. Between the two nothing changes, so that a number of rows that is good stays.
    static let most = 1.95
    /// At least so many rows, so that prompts get on while others answer.
    static let fewest = 4
    /// After so many steps with prompt rows one without them tells anew what such a step takes.
    static let trust = 48
    /// After so many steps a number of rows that took too long is tried again.
    static let memory = 512

    private let mostRows: Int
    private var limit = Self.fewest
    /// What steps with ``limit`` rows take in proportion to ones without, smoothed; nil: not known yet. It rises faster
    /// than it sinks: what counts is the longest gaps, not the middle of them.
    private var stretch: Double?
    /// From this number of rows on steps took too long, so many steps ago: one row more may be a lot, where another
    /// way of multiplying begins.
    private var tooMany: (rows: Int, age: Int)?
    /// Seconds of a step of so many answers alone, smoothed over so many times, and the steps since it was last seen.
    private var alone: [Int: (seconds: Double, times: Int, age: Int)] = [:]

    init(most: Int) { mostRows = max(most, Self.fewest) }

    /// Rows for the next step beside so many answers; 0 when a step of the answers alone is to be seen first.
    func rows(besides answers: Int) -> Int {
        guard let known = alone[answers], known.age < Self.trust else { return 0 }
        return limit
    }

    /// - Parameters:
    ///   - answers: sequences that got a token.
    ///   - promptRows: rows of prompts beside them.
    mutating func record(seconds: Double, answers: Int, promptRows: Int) {
        guard answers > 0 else { return }
        guard promptRows > 0 else {
            let known = alone[answers] ?? (seconds, 0, 0)
            let times = min(known.times + 1, 10)
            alone[answers] = (known.seconds + (seconds - known.seconds) / Double(times), times, 0)
            return
        }
        guard let known = alone[answers] else { return }
        alone[answers]?.age += 1
        if let before = tooMany { tooMany = before.age < Self.memory ? (before.rows, before.age + 1) : nil }
        // The last piece of a prompt tells nothing about a whole one.
        guard promptRows >= limit else { return }
        let seen = seconds / max(known.seconds, 1e-9)
        let stretch = self.stretch.map { $0 + (seen - $0) * (seen > $0 ? 0.5 : 0.05) } ?? seen
        self.stretch = stretch
        if stretch > Self.most {
            tooMany = (limit, 0)
            change(to: min(Int(Double(limit) * max(Self.goal / stretch, 0.5)), limit - 1))
        } else if stretch < Self.goal {
            // No more than half as many again, so that the first step of too many is not far too long.
            var wanted = Int((Double(limit) * min(Self.goal / stretch, 1.5)).rounded())
            if let tooMany { wanted = min(wanted, tooMany.rows - 1) }
            change(to: max(wanted, limit))
        }
    }

    private mutating func change(to rows: Int) {
        let rows = min(max(rows, Self.fewest), mostRows)
        if rows != limit { stretch = nil }
        limit = rows
    }
}
