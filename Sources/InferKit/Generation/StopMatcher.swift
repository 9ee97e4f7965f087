/// Finds stop sequences in a text that comes in pieces, and never lets a part of one through.
///
/// Text that could still become a stop sequence is held back: the longest suffix that is the beginning of one.
package struct StopMatcher: Sendable {
    // Bytes rather than characters: a stop sequence matches what was written, whatever the pieces combine to.
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    package private(set) var hasMatched = false

    /// Empty stop sequences are ignored.
    package init(_ stops: [String]) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
    }

    /// - Returns: the text that is certain not to be part of a stop sequence, and the stop sequence that was found.
    ///   After one was found there is no more text.
    package mutating func append(_ piece: String) -> (text: String, stop: String?) {
        guard !hasMatched else { return ("", nil) }
        guard !stops.isEmpty else { return (piece, nil) }
        held += piece.utf8
        if let (start, stop) = firstMatch() {
            hasMatched = true
            let text = String(decoding: held[..<start], as: UTF8.self)
            held = []
            return (text, String(decoding: stop, as: UTF8.self))
        }
        let certain = held.count - longestPossibleBeginning()
        let text = String(decoding: held[..<certain], as: UTF8.self)
        held.removeFirst(certain)
        return (text, nil)
    }

    /// What was held back, when the text is over.
    package mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    /// The match that starts first; of several there the longest.
    private func firstMatch() -> (start: Int, stop: [UInt8])? {
        for start in held.indices {
            let matches = stops.filter { held[start...].starts(with: $0) }
            if let longest = matches.max(by: { $0.count < $1.count }) { return (start, longest) }
        }
        return nil
    }

    /// Length of the longest suffix that a stop sequence could begin with.
    private func longestPossibleBeginning() -> Int {
        let longest = stops.reduce(0) { max($0, $1.count - 1) }
        for length in stride(from: min(longest, held.count), to: 0, by: -1) {
            let suffix = held.suffix(length)
            if stops.contains(where: { $0.count > length && $0.starts(with: suffix) }) { return length }
        }
        return 0
    }
}
