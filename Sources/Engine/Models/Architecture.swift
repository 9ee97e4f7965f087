/// A model family: the layers of one file, bound and ready to run.
///
/// A family binds its tensors in `init`, says what each layer remembers, and runs a batch. It holds no state of
/// a sequence and no scratch memory, so any number of sequences can share it.
package protocol Architecture: Sendable {
    var shape: DecoderShape { get }
    /// What each layer remembers between tokens, in layer order.
    var layerStates: [LayerState] { get }
    /// What each layer is, in the field's words.
    var layerKinds: [String] { get }
    var experts: ExpertCounts? { get }
    /// The projection to the vocabulary, and how to embed a token.
    var head: OutputHead { get }

    /// True for models that yield hidden states only: every token sees the whole text, so a sequence is computed in
    /// one pass, and nothing is predicted.
    var isEncoder: Bool { get }
    /// Sequences longer than this rotate every position in another way (see ``SequenceState/isLong``); nil for most.
    var longContext: Int? { get }

    /// What the first prediction layer remembers; nil where there is none or the family leaves it out.
    var nextTokenState: LayerState? { get }

    /// Binds the family's tensors.
    init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError)

    /// Runs every token of the pass's batch through all layers, updating the batch's sequences.
    /// - Parameter hidden: receives (logit rows, embedding): the state after the final norm of the rows that
    ///   are asked for logits.
    func forward(_ pass: Pass, into hidden: Matrix)

    /// Runs the first prediction layer. The pass's sequences hold its state alone (as layer 0), and row r of the pass
    /// is the token that follows the one that `hidden` row r was made from.
    /// - Parameters:
    ///   - hidden: (rows, embedding), as ``forward(_:into:)`` made it.
    ///   - predicted: receives (logit rows, embedding), ready for ``head``.
    func predictFurther(_ pass: Pass, _ hidden: Matrix, into predicted: Matrix)
}

extension Architecture {
    package var isEncoder: Bool { false }
    package var longContext: Int? { nil }
    package var nextTokenState: LayerState? { nil }
    package func predictFurther(_: Pass, _: Matrix, into _: Matrix) {
        preconditionFailure("the family has no prediction layer")
    }
    package var layerKinds: [String] { layerStates.map(\.kind) }
}

/// How many experts there are and how many of them a token visits.
package struct ExpertCounts: Sendable, Equatable {
    package let count: Int
    package let used: Int
}
