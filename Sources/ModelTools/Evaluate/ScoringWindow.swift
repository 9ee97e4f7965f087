/// A stretch of a text that is run as one sequence, and the part of it that is scored.
///
/// Windows begin every `stride` tokens and reach over `length` of them. A token is scored in the first window that has
/// something before it: with a stride shorter than the window every token but the first is scored exactly once, and
/// sees at least `length - stride` tokens before it (but at the beginning of the text). With both alike the first token
/// of every window has nothing before it and is left out.
///
/// The same definition as in Hugging Face's guide "Perplexity of fixed-length models".
package struct ScoringWindow: Equatable, Sendable {
    /// Places in the text that the window covers.
    package let tokens: Range<Int>
    /// Those of them whose probability is asked for.
    package let scored: Range<Int>

    /// - Parameters:
    ///   - count: tokens of the text.
    ///   - length: tokens of a sequence, the lead included.
    ///   - stride: from 1 to `length`.
    ///   - hasLead: every window begins with a token that is not of the text, so that also its first token has something
    ///     before it; the window is one token shorter for it.
    package static func windows(count: Int, length: Int, stride: Int, hasLead: Bool) -> [ScoringWindow] {
        let room = hasLead ? length - 1 : length
        guard room >= 1, stride >= 1 else { return [] }
        let step = min(stride, room)
        var windows: [ScoringWindow] = []
        var begin = 0
        var done = 0
        while done < count {
            let end = begin + min(room, count - begin)
            let first = max(done, hasLead ? begin : begin + 1)
            if first < end { windows.append(ScoringWindow(tokens: begin..<end, scored: first..<end)) }
            done = end
            begin += step
        }
        return windows
    }
}
