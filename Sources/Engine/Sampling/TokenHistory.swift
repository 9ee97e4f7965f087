/// The tokens so far, prompt included, and how often each occurs in the last ``window`` of them.
package struct TokenHistory: Sendable {
    package private(set) var tokens: [Int32] = []
    /// Occurrences within the window; a token that does not occur has no entry.
    package private(set) var counts: [Int32: Int] = [:]
    /// How many of the last tokens are counted; negative: all.
    package let window: Int

    package init(window: Int) { self.window = window }

    package mutating func append(_ token: Int32) {
        tokens.append(token)
        guard window != 0 else { return }
        counts[token, default: 0] += 1
        guard window > 0, tokens.count > window else { return }
        let leaving = tokens[tokens.count - 1 - window]
        if let count = counts[leaving] { counts[leaving] = count > 1 ? count - 1 : nil }
    }
}
