/// How many prompt rows ride along with running answers, so that the gap between two of their tokens grows no more than
/// wanted.
///
/// It only learns from times, and times never change a result: a prompt may be cut anywhere.
struct ChunkPacer {
    /// A step with prompt rows may take so many times as long as one without.
    static let stretch = 1.8
    /// At least so many rows, so that prompts get on while others answer.
    static let fewest = 4

    let most: Int
    private(set) var rows = 32
    /// Seconds of a step of running answers alone, smoothed.
    private var alone: Double?

    init(most: Int) { self.most = max(most, Self.fewest) }

    /// - Parameters:
    ///   - answers: sequences that got a token.
    ///   - promptRows: rows of prompts beside them.
    mutating func record(seconds: Double, answers: Int, promptRows: Int) {
        guard answers > 0 else { return }
        if promptRows == 0 {
            alone = alone.map { $0 * 0.7 + seconds * 0.3 } ?? seconds
        } else if let alone, promptRows * 2 >= rows {
            // Between half and one and a half of what there was, so that one slow step does not decide.
            let factor = min(max(alone * Self.stretch / max(seconds, 1e-9), 0.5), 1.5)
            rows = min(max(Int(Double(rows) * factor), Self.fewest), most)
        }
    }
}
