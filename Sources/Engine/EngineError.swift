import GGUF

/// Everything that can go wrong between a model file and its logits. Each case says what was found and what
/// would have been right; nothing is thrown from inside a forward pass.
package enum EngineError: Error, Equatable {
    /// The container could not be read. The text is the reader's own message.
    case file(String)
    /// The file holds a vocabulary or other metadata but no weights.
    case vocabularyOnly(architecture: String)
    case unsupportedArchitecture(name: String, known: [String])
    /// A key is missing, of the wrong kind, out of bounds, or at odds with another one.
    case hyperparameter(key: String, found: String, expected: String)
    case missingTensor(name: String, expected: [Int])
    /// Shapes are in GGUF order, the contiguous dimension first.
    case tensorShape(name: String, expected: [Int], found: [Int])
    case unsupportedTensorType(tensor: String, type: String)
    /// The file has tensors that this family would leave out, so its logits would be wrong.
    case unexpectedTensors(names: [String])
    case vocabularySize(tensorRows: Int, tokens: Int)
    case tokenOutOfRange(token: Int32, vocabularySize: Int)
    /// `wanted` positions would be needed, the sequence has room for `limit`.
    case contextFull(limit: Int, wanted: Int)
    /// A context length the model was not trained for, asked for without saying so.
    case contextBeyondTraining(wanted: Int, trained: Int)
    case option(name: String, found: String, expected: String)
    /// The state of a sequence cannot be made.
    case state(StateError)
    /// The environment asks for an instruction set that this machine does not have.
    case instructionSet(InstructionSetError)
    case cancelled
}

extension EngineError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .file(let message):
            message
        case .vocabularyOnly(let architecture):
            "this file has a vocabulary for '\(architecture.printable(limit: 60))' but no tensors: it can tokenize, not generate"
        case .unsupportedArchitecture(let name, let known):
            "unsupported model architecture '\(name.printable(limit: 60))'; known are \(known.joined(separator: ", "))"
        case .hyperparameter(let key, let found, let expected):
            "metadata key '\(key)': found \(found.printable(limit: 200)), expected \(expected)"
        case .missingTensor(let name, let expected):
            "tensor '\(name)' \(expected) is missing"
        case .tensorShape(let name, let expected, let found):
            "tensor '\(name)' has shape \(found), expected \(expected)"
        case .unsupportedTensorType(let tensor, let type):
            "tensor '\(tensor)' has type \(type), which is not supported"
        case .unexpectedTensors(let names):
            "the file has tensors that this architecture does not use: \(Self.list(names))"
        case .vocabularySize(let rows, let tokens):
            "token_embd.weight has \(rows) rows but the vocabulary has \(tokens) tokens"
        case .tokenOutOfRange(let token, let size):
            "token id \(token) is outside the vocabulary of \(size) tokens"
        case .contextFull(let limit, let wanted):
            "the context is full: \(wanted) tokens are needed, \(limit) fit"
        case .contextBeyondTraining(let wanted, let trained):
            "a context of \(wanted) tokens exceeds the \(trained) the model was trained for"
        case .option(let name, let found, let expected):
            "option \(name): found \(found), expected \(expected)"
        case .state(let error):
            error.description
        case .instructionSet(let error):
            error.description
        case .cancelled:
            "cancelled"
        }
    }

    private static func list(_ names: [String]) -> String {
        let shown = names.prefix(5).map { $0.printable() }.joined(separator: ", ")
        return names.count > 5 ? "\(shown) and \(names.count - 5) more" : shown
    }
}
