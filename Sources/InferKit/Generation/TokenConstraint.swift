/// Restricts which token may come next: a grammar at one place of a text.
///
/// One value follows one part of one answer, and sees only the tokens of that part: not those of a thought before a
/// restricted answer.
package protocol TokenConstraint {
    /// Makes `mask` exactly the set of tokens that may come next. Tokens that end an answer are in it where the text may
    /// end; tokens without bytes are never in it otherwise.
    ///
    /// - Parameter mask: of the vocabulary's size; what it held before means nothing.
    mutating func mask(into mask: inout TokenMask) throws

    /// Goes on behind `token`, which is allowed here and does not end the answer.
    mutating func accept(_ token: Int32) throws
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
            if word == 0, start + 64 <= logits.count {
                UnsafeMutableBufferPointer(rebasing: logits[start..<(start + 64)]).update(repeating: -.infinity)
                continue
            }
            for bit in 0..<max(0, min(64, logits.count - start)) where word >> UInt64(bit) & 1 == 0 {
                logits[start + bit] = -.infinity
            }
        }
    }
}
