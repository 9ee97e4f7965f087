/// Finds stop sequences in a text that comes in pieces, and never lets a part of one through.
///
/// Text that could still become a stop sequence is held back: the longest suffix that is the beginning of one. The
/// stop sequence that ends first counts, of several that end there the longest.
package struct StopMatcher: Sendable {
    // Bytes rather than characters: a stop sequence matches what was written, whatever the pieces combine to.
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    package private(set) var hasMatched = false
    /// Bytes from the beginning of the stop sequence that was found to the end of what was given.
    private(set) var cutBytes = 0

    /// Empty stop sequences are ignored.
    package init(_ stops: [String]) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
    }

    /// - Returns: the text that is certain not to be part of a stop sequence, and the stop sequence that was found.
    ///   After one was found there is no more text.
    package mutating func append(_ piece: String) -> (text: String, stop: String?) {
        guard !hasMatched else { return ("", nil) }
        guard !stops.isEmpty else { return (piece, nil) }
        // Byte by byte, so that the result does not depend on how the text was cut into pieces.
        for (place, byte) in piece.utf8.enumerated() {
            held.append(byte)
            guard let stop = matchAtEnd() else { continue }
            hasMatched = true
            cutBytes = stop.count + piece.utf8.count - place - 1
            let text = String(decoding: held.dropLast(stop.count), as: UTF8.self)
            held = []
            return (text, String(decoding: stop, as: UTF8.self))
        }
        let certain = held.count - longestPossibleBeginning()
        let text = String(decoding: held[..<certain], as: UTF8.self)
        held.removeFirst(certain)
        return (text, nil)
    }

    var isEmpty: Bool { stops.isEmpty }
    var heldBytes: Int { held.count }

    /// Goes on behind a stop sequence that is to end nothing.
    mutating func resume() { hasMatched = false }

    /// What was held back, when the text is over or is interrupted by something that no stop sequence reaches over.
    package mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    /// The longest stop sequence that the held text ends with.
    private func matchAtEnd() -> [UInt8]? {
        var longest: [UInt8]?
        for stop in stops where stop.count > longest?.count ?? 0 && held.suffix(stop.count).elementsEqual(stop) {
            longest = stop
        }
        return longest
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
