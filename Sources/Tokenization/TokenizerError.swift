package import GGUF

/// Why a vocabulary could not be used: what was found, and what was expected.
package enum TokenizerError: Error, Equatable {
    /// A key is missing or has a value of the wrong type.
    case metadata(GGUFError)
    /// `tokenizer.ggml.model` names a kind of tokenizer that is not known.
    case unsupportedModel(found: String, known: [String])
    /// `tokenizer.ggml.pre` names a pre-tokenizer that is not known.
    case unknownPreTokenizer(found: String)
    case emptyVocabulary
    case tooManyTokens(found: Int, limit: Int)
    /// An array beside `tokenizer.ggml.tokens` does not have an element for every token.
    case arrayLength(key: String, found: Int, expected: Int)
    /// The normalisation table of a unigram vocabulary points outside itself.
    case characterMap(found: String, expected: String)
}

extension TokenizerError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .metadata(let error):
            error.description
        case .unsupportedModel(let found, let known):
            "tokenizer model \"\(found.printable(limit: 100))\" is not supported; known: \(known.joined(separator: ", "))"
        case .unknownPreTokenizer(let found):
            "pre-tokenizer \"\(found.printable(limit: 100))\" (tokenizer.ggml.pre) is not known"
        case .emptyVocabulary:
            "the vocabulary (tokenizer.ggml.tokens) is empty"
        case .tooManyTokens(let found, let limit):
            "the vocabulary has \(found) tokens, at most \(limit) are possible"
        case .arrayLength(let key, let found, let expected):
            "\(key) has \(found) elements, expected \(expected), one for every token"
        case .characterMap(let found, let expected):
            "tokenizer.ggml.precompiled_charsmap: found \(found), expected \(expected)"
        }
    }
}
