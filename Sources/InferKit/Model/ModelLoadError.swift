import Engine
public import Foundation
import GGUF

/// Why a model file cannot be used.
public enum ModelLoadError: Error, Sendable, Equatable {
    /// The file is not there or may not be read.
    case unreadable(path: String, reason: String)
    /// The file is not a GGUF file, or it is damaged.
    case malformed(path: String, reason: String)
    /// A sound file that needs something this version does not have: another architecture, tensor type or
    /// tokenizer.
    case unsupported(path: String, reason: String)
    /// The configuration does not suit the model or the machine.
    case invalidConfiguration(reason: String)
}

extension ModelLoadError: LocalizedError, CustomStringConvertible {
    /// One line: which file and what is wrong with it.
    public var description: String {
        switch self {
        case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
        case .malformed(let path, let reason): "\(path): \(reason)"
        case .unsupported(let path, let reason): "\(path): \(reason)"
        case .invalidConfiguration(let reason): reason
        }
    }

    /// The same line.
    public var errorDescription: String? { description }
}

extension ModelLoadError {
    init(path: String, _ error: GGUFError) {
        switch error {
        // Of a split file it may be another part than the one that was named.
        case .io(let part, _, let code):
            self = .unreadable(path: part, reason: String(cString: strerror(code)).lowercased())
        case .notARegularFile(let part):
            self = .unreadable(path: part, reason: "not a regular file")
        case .bigEndian, .unsupportedVersion, .unknownTensorType:
            self = .unsupported(path: path, reason: error.description)
        case .truncated, .tooMany, .tensorOutOfFile:
            // What a broken-off download looks like.
            self = .malformed(path: path, reason: error.description + " (is the file complete?)")
        default:
            self = .malformed(path: path, reason: error.description)
        }
    }

    init(path: String, _ error: EngineError) {
        switch error {
        case .unsupportedArchitecture, .encoderOnly, .unsupportedTensorType, .unexpectedTensors, .vocabularyOnly:
            self = .unsupported(path: path, reason: error.description)
        case .contextBeyondTraining, .option, .state, .instructionSet, .contextFull:
            self = .invalidConfiguration(reason: error.description)
        default:
            self = .malformed(path: path, reason: error.description)
        }
    }
}
