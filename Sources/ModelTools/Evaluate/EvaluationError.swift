/// Why an evaluation cannot be made, in one line.
package enum EvaluationError: Error, Equatable, CustomStringConvertible {
    case textTooShort(tokens: Int)
    case window(length: Int, capacity: Int)
    case stride(Int, window: Int)
    case notFinite(position: Int)
    case otherVocabulary(String)
    case wrongOption(String)
    case damaged(path: String, String)
    case otherRun(path: String, found: String, expected: String)
    case io(path: String, String)
    case cancelled

    package var description: String {
        switch self {
        case .textTooShort(let tokens): "the text has \(tokens) tokens, expected at least 2"
        case .window(let length, let capacity):
            "the window is \(length) tokens long, expected 2 to \(capacity)"
        case .stride(let stride, let window):
            "the stride is \(stride), expected 1 to the length of the window, \(window)"
        case .notFinite(let position): "the model's logits at token \(position) are not all finite numbers"
        case .otherVocabulary(let what): "the vocabularies differ: \(what)"
        case .wrongOption(let what): what
        case .damaged(let path, let what): "\(path): \(what)"
        case .otherRun(let path, let found, let expected):
            "\(path) belongs to another evaluation (\(found)), this one is \(expected); remove it or name another file "
                + "with --state"
        case .io(let path, let what): "\(path): \(what)"
        case .cancelled: "interrupted"
        }
    }
}
