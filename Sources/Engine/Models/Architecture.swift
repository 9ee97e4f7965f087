/// A model family: the layers of one file, bound and ready to run.
///
/// A family binds its tensors in `init`, says what each layer remembers, and runs a batch. It holds no state of
/// a sequence and no scratch memory, so any number of sequences can share it.
package protocol Architecture: Sendable {
    var shape: DecoderShape { get }
    /// What each layer remembers between tokens, in layer order.
    var layerStates: [LayerState] { get }
    var experts: ExpertCounts? { get }
    /// The projection to the vocabulary, and how to embed a token.
    var head: OutputHead { get }

    /// Binds the family's tensors.
    init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError)

    /// Runs every token of the pass's batch through all layers, updating the batch's sequences.
    /// - Parameter hidden: receives (logit rows, embedding): the state after the final norm of the rows that
    ///   are asked for logits.
    func forward(_ pass: Pass, into hidden: Matrix)
}

/// How many experts there are and how many of them a token visits.
package struct ExpertCounts: Sendable, Equatable {
    package let count: Int
    package let used: Int
}

/// Which families exist. A new family adds a line here.
package enum Registry {
    private static let families: [(names: [String], type: any Architecture.Type)] = [
        (["llama"], Llama.self),
        (["qwen2", "qwen2moe"], Qwen2.self),
        (["qwen3", "qwen3moe"], Qwen3.self),
        (["qwen35", "qwen35moe"], Qwen35.self),
    ]

    /// The values of `general.architecture` that can be run.
    package static let names: [String] = families.flatMap(\.names)

    static func family(_ name: String) throws(EngineError) -> any Architecture.Type {
        guard let family = families.first(where: { $0.names.contains(name) }) else {
            throw .unsupportedArchitecture(name: name, known: names)
        }
        return family.type
    }
}
