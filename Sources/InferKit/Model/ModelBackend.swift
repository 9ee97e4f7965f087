package import ChatTemplates

/// What sessions need of a model: text to tokens, tokens to text, and something that computes logits.
///
/// The engine implements it; tests put a scripted model in its place.
package protocol ModelBackend: Sendable {
    var information: ModelInformation { get }
    /// Tokens that one sequence has room for.
    var contextLength: Int { get }
    var vocabularySize: Int { get }
    /// Tokens that end an answer.
    var endOfGeneration: Set<Int32> { get }
    /// The token that a prompt begins with; nil where the model wants none.
    var beginOfText: Int32? { get }
    var chatTemplates: ChatTemplateSources { get }

    /// The tokens that are no ordinary parts of a text.
    var controlTexts: ControlTexts { get }

    /// - Parameter seams: offsets in the text's UTF-8 that no control token reaches over, in rising order.
    func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool, seams: [Int]) -> [Int32]
    func decode(_ tokens: [Int32], renderSpecial: Bool) -> String
    /// Whether the token is no text but a sign for the model.
    func isControl(_ token: Int32) -> Bool
    /// - Parameter control: the control tokens whose text is written out.
    func makeTextDecoder(showing control: ShownControlTokens) -> any TextDecoder
    /// Tokens whose text contains one of `texts`.
    func tokens(containing texts: [String]) -> Set<Int32>
    /// A grammar for the form, at its beginning. Compiled forms are kept, so that asking again is cheap.
    /// - Throws: what is wrong with a schema or a grammar, or not supported.
    func makeConstraint(_ pattern: OutputPattern) throws -> any TokenConstraint
    /// Whether it only makes vectors.
    var isEncoder: Bool { get }
    /// What computes the steps of a scheduler.
    /// - Parameter parallel: sequences that a step may have.
    func makeRunner(parallel: Int) throws -> any StepRunner
}

extension ModelBackend {
    package var isEncoder: Bool { false }

    package func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool) -> [Int32] {
        encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial, seams: [])
    }
}

/// Which control tokens become text.
package enum ShownControlTokens: Sendable, Equatable {
    case none, all
    case some(Set<Int32>)

    package func contains(_ token: Int32) -> Bool {
        switch self {
        case .none: false
        case .all: true
        case .some(let tokens): tokens.contains(token)
        }
    }
}

/// Text from token ids as they come, whole characters only.
package protocol TextDecoder {
    mutating func append(_ token: Int32) -> String
    /// What is left at the end.
    mutating func finish() -> String
}
