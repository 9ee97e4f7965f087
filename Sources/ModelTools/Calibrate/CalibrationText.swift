package import Tokenization

/// A text as pieces of tokens, each of which the model reads as a sequence of its own.
package struct CalibrationText: Sendable {
    package let pieces: [[Int32]]
    /// Tokens of a full piece.
    package let pieceLength: Int

    /// Less says nothing about what a model's activations are like.
    package static let minimumTokens = 32

    /// - Parameters:
    ///   - pieceLength: at least `minimumTokens`. A last piece shorter than that is left out.
    ///   - limit: the most pieces; nil: all of the text.
    ///   - parseSpecial: control tokens written out in the text become what they name.
    /// - Throws: `CalibrationError.tooShort`.
    package init(
        _ text: String, _ tokenizer: Tokenizer, pieceLength: Int, limit: Int? = nil, parseSpecial: Bool = false
    ) throws(CalibrationError) {
        self.pieceLength = pieceLength
        let tokens = tokenizer.encode(text, addSpecial: false, parseSpecial: parseSpecial)
        guard tokens.count >= Self.minimumTokens else {
            throw .tooShort(found: tokens.count, expected: Self.minimumTokens)
        }
        let beginning = tokenizer.addBOS ? [tokenizer.bos].compactMap { $0 } : []
        let length = max(pieceLength, Self.minimumTokens) - beginning.count
        pieces = stride(from: 0, to: tokens.count, by: length).prefix(limit ?? .max)
            .map { tokens[$0..<min($0 + length, tokens.count)] }
            .filter { $0.count >= Self.minimumTokens - 1 }
            .map { beginning + $0 }
    }

    package var tokenCount: Int { pieces.reduce(0) { $0 + $1.count } }
}

package enum CalibrationError: Error, Equatable, CustomStringConvertible {
    case tooShort(found: Int, expected: Int)
    case nothingSeen
    case notFinite(tensor: String)
    case cancelled

    package var description: String {
        switch self {
        case .tooShort(let found, let expected):
            "the text has \(found) tokens, expected at least \(expected); some ten thousand are good"
        case .nothingSeen: "no matrix that could be quantized took part in reading the text"
        case .notFinite(let tensor): "the activations of \"\(tensor)\" are not finite"
        case .cancelled: "stopped"
        }
    }
}
