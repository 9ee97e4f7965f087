/// A model family: the layers of one file, bound and ready to run.
///
/// A family binds its tensors in `init`, which makes a ``DecoderStack``; the rest follows from that, unless the family
/// says otherwise. It holds no state of a sequence and no scratch memory, so any number of sequences can share it.
package protocol Architecture: Sendable {
    /// Binds the family's tensors.
    init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError)

    var stack: DecoderStack { get }

    /// True for models that yield hidden states only: every token sees the whole text, so a sequence is computed in
    /// one pass, and nothing is predicted.
    var isEncoder: Bool { get }

    /// Linear maps behind a pooled vector of hidden states, in order; none for most.
    var pooledLayers: [Weight] { get }

    /// What the first prediction layer remembers; nil where there is none or the family leaves it out.
    var nextTokenState: LayerState? { get }

    /// Makes what the layers work on: the residual stream in front of the first one, and in `pass` what they share.
    func enter(_ pass: inout Pass) -> Matrix

    /// Norms the rows that are asked for logits.
    /// - Parameters:
    ///   - x: the residual stream behind the last layer.
    ///   - hidden: receives (logit rows, embedding).
    func leave(_ x: Matrix, _ pass: Pass, into hidden: Matrix)

    /// Runs the first prediction layer. The pass's sequences hold its state alone (as layer 0), and row r of the pass
    /// is the token that follows the one that `hidden` row r was made from.
    /// - Parameters:
    ///   - hidden: (rows, embedding), as ``forward(_:into:)`` made it.
    ///   - predicted: receives (logit rows, embedding), ready for ``head``.
    func predictFurther(_ pass: Pass, _ hidden: Matrix, into predicted: Matrix)
}

extension Architecture {
    package var shape: DecoderShape { stack.shape }
    /// What a sequence remembers between tokens.
    package var layerStates: [LayerState] { stack.states }
    /// What each layer is, in the field's words.
    package var layerKinds: [String] { stack.layers.map(\.kind) }
    package var experts: ExpertCounts? { stack.experts }
    /// The projection to the vocabulary, and how to embed a token.
    package var head: OutputHead { stack.head }
    /// Sequences longer than this rotate every position in another way (see ``SequenceState/isLong``); nil for most.
    package var longContext: Int? { stack.rotations.lazy.compactMap(\.long?.limit).first }

    package var isEncoder: Bool { false }
    package var pooledLayers: [Weight] { [] }
    package var nextTokenState: LayerState? { stack.nextToken.first?.state }

    package func enter(_ pass: inout Pass) -> Matrix {
        let x = stack.stream(pass)
        head.embed(pass, into: x)
        return x
    }

    package func leave(_ x: Matrix, _ pass: Pass, into hidden: Matrix) { head.norm(x, pass, into: hidden) }

    /// Runs every token of the pass's batch through all layers, updating the batch's sequences.
    /// - Parameter hidden: receives (logit rows, embedding): the state after the final norm of the rows that
    ///   are asked for logits.
    package func forward(_ pass: Pass, into hidden: Matrix) {
        var pass = pass
        let x = enter(&pass)
        stack.forward(x, layers: 0..<stack.layers.count, pass)
        leave(x, pass, into: hidden)
    }

    package func predictFurther(_ pass: Pass, _ hidden: Matrix, into predicted: Matrix) {
        stack.nextToken.first?.forward(pass, hidden, stack, into: predicted)
    }
}

/// How many experts there are and how many of them a token visits.
package struct ExpertCounts: Sendable, Equatable {
    package let count: Int
    package let used: Int
}
