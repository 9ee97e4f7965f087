/// Restricts which token may come next: a grammar at one place of a text.
///
/// One value follows one answer. It sees only the tokens of the part that it restricts: not those of a thought before a
/// restricted answer.
package protocol TokenConstraint: Sendable {
    /// Makes `mask` exactly the set of tokens that may come next. Tokens that end an answer are in it where the text may
    /// end; tokens without bytes are never in it otherwise.
    ///
    /// - Parameter mask: of the vocabulary's size; what it held before means nothing.
    mutating func mask(into mask: inout TokenMask)

    /// Goes on behind `token`, which the mask for this place allows and which does not end the answer.
    mutating func accept(_ token: Int32)
}

/// A set of token ids: one bit for each token of a vocabulary.
package struct TokenMask: Sendable, Equatable {
    /// Tokens of the vocabulary.
    package let count: Int
    /// Bit `id % 64` of word `id / 64` stands for token `id`; bits from ``count`` on mean nothing.
    package var words: [UInt64]

    /// The empty set.
    package init(count: Int) {
        self.count = count
        words = Array(repeating: 0, count: (count + 63) / 64)
    }

    package subscript(token: Int32) -> Bool {
        get { words[Int(token) / 64] >> (UInt64(token) % 64) & 1 == 1 }
        set {
            let bit: UInt64 = 1 << (UInt64(token) % 64)
            if newValue { words[Int(token) / 64] |= bit } else { words[Int(token) / 64] &= ~bit }
        }
    }

    package mutating func removeAll() {
        for i in words.indices { words[i] = 0 }
    }

    package mutating func formUnion(_ other: TokenMask) {
        for i in words.indices where i < other.words.count { words[i] |= other.words[i] }
    }

    /// Writes `-inf` over the logits of tokens that are not in the set.
    package func apply(to logits: UnsafeMutableBufferPointer<Float>) {
        for (index, word) in words.enumerated() where word != .max {
            let start = index * 64
            for bit in 0..<max(0, min(64, logits.count - start)) where word >> UInt64(bit) & 1 == 0 {
                logits[start + bit] = -.infinity
            }
        }
    }
}

/// The bytes of every token, as constraints see them.
///
/// One object per model, made once; whatever is derived from it may be cached by its identity.
package final class TokenVocabulary: Sendable {
    /// Tokens that end an answer.
    package let endOfGeneration: Set<Int32>
    private let bytes: [UInt8]
    /// The bytes of token `id` are those from `starts[id]` to `starts[id + 1]`.
    private let starts: [Int]

    /// - Parameter bytes: of each token id: what it adds to the text. Empty for tokens that add nothing, among them
    ///   control tokens other than those that mark reasoning or tool calls.
    package init(count: Int, endOfGeneration: Set<Int32>, bytes: (Int32) -> [UInt8]) {
        self.endOfGeneration = endOfGeneration
        var all: [UInt8] = []
        var starts = [0]
        starts.reserveCapacity(count + 1)
        for id in 0..<Int32(count) {
            all += bytes(id)
            starts.append(all.count)
        }
        self.bytes = all
        self.starts = starts
    }

    package var count: Int { starts.count - 1 }

    package func bytes(of token: Int32) -> ArraySlice<UInt8> { bytes[starts[Int(token)]..<starts[Int(token) + 1]] }
}
