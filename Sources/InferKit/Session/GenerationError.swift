import Engine
public import Foundation

extension LanguageModelSession {
    /// Why an answer cannot be given. Names as in Apple's FoundationModels where it has one.
    public enum GenerationError: Error, Sendable, Equatable {
        /// What happened, in words.
        public struct Context: Sendable, Equatable {
            /// One line for people.
            public let debugDescription: String

            /// A context with its description.
            public init(debugDescription: String) { self.debugDescription = debugDescription }
        }

        /// The conversation has more tokens than the session has room for.
        case exceededContextWindowSize(Context)
        /// The session is answering another prompt.
        case concurrentRequests(Context)
        /// The model came to a point where no token can follow.
        case decodingFailure(Context)
        /// An option has a value that makes no sense.
        case invalidOption(Context)
        /// The prompt is empty or not made of the model's tokens.
        case invalidPrompt(Context)
        /// The model's chat template cannot be read.
        case unsupportedChatTemplate(Context)
        /// The model's chat template refuses the conversation; the context has its words.
        case conversationRefused(Context)
        /// A schema or a grammar is wrong or needs something that is not supported; the context names it.
        case unsupportedGuide(Context)
        /// The memory for the session cannot be had.
        case insufficientMemory(Context)
    }
}

extension LanguageModelSession.GenerationError: LocalizedError, CustomStringConvertible {
    /// What happened.
    public var context: Context {
        switch self {
        case .exceededContextWindowSize(let context), .concurrentRequests(let context),
            .decodingFailure(let context), .invalidOption(let context), .invalidPrompt(let context),
            .unsupportedChatTemplate(let context), .conversationRefused(let context), .unsupportedGuide(let context),
            .insufficientMemory(let context):
            context
        }
    }

    /// One line for people.
    public var description: String { context.debugDescription }

    /// The same line.
    public var errorDescription: String? { description }
}

extension LanguageModelSession.GenerationError {
    init(_ error: EngineError) {
        let context = Context(debugDescription: error.description)
        switch error {
        case .contextFull, .contextBeyondTraining: self = .exceededContextWindowSize(context)
        case .tokenOutOfRange: self = .invalidPrompt(context)
        case .state: self = .insufficientMemory(context)
        default: self = .invalidOption(context)
        }
    }

    /// Why a job was not taken.
    init(_ error: ServingError) {
        switch error {
        case .refused(let error): self = error
        case .promptTooLong:
            self = .exceededContextWindowSize(Context(debugDescription: error.description))
        case .emptyPrompt:
            self = .invalidPrompt(
                Context(debugDescription: "the prompt is empty, and the model has no token to begin a text with"))
        case .tokenOutOfRange: self = .invalidPrompt(Context(debugDescription: error.description))
        case .queueFull, .closed, .invalidOption, .encoderOnly:
            self = .invalidOption(Context(debugDescription: error.description))
        }
    }

    /// Why nothing can be computed.
    init(starting error: any Error) {
        if let error = error as? EngineError {
            self.init(error)
        } else {
            self = .insufficientMemory(Context(debugDescription: "\(error)"))
        }
    }
}
