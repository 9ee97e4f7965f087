/// A layer that predicts one token further (multi-token prediction, DeepSeek-AI 2024): from the embedding of the
/// next token and the main model's normed hidden state it makes the input of one more block.
///
///     x = eh_proj · [enorm(embedding of token t + 1) | hnorm(hidden state t)]
///     logits = output · shared_head_norm(block(x))
///
/// The main pass does not run it; the hidden state it starts from is what ``Architecture/forward(_:into:)`` yields.
package struct NextTokenLayer: Sendable {
    let ehProj: Weight  // (2 · embedding → embedding)
    let enorm: FloatVector  // (embedding)
    let hnorm: FloatVector  // (embedding)
    let sharedHeadNorm: FloatVector  // (embedding)
    let epsilon: Float
    let block: DecoderLayer

    package init(_ tensors: LayerWeights, _ shape: DecoderShape, block: DecoderLayer) throws(EngineError) {
        let embedding = shape.embeddingLength
        ehProj = try tensors.matrix("nextn.eh_proj", in: 2 * embedding, out: embedding)
        enorm = try tensors.vector("nextn.enorm", embedding)
        hnorm = try tensors.vector("nextn.hnorm", embedding)
        sharedHeadNorm = try tensors.vector("nextn.shared_head_norm", embedding)
        epsilon = shape.epsilon
        self.block = block
    }

    var state: LayerState { block.states[0] }

    /// See ``Architecture/predictFurther(_:_:into:)``.
    func forward(_ pass: Pass, _ hidden: Matrix, _ stack: DecoderStack, into predicted: Matrix) {
        let (cpu, width) = (pass.cpu, hidden.cols)
        let joined = pass.matrix(2 * width)
        let x = pass.matrix(width)
        stack.head.embed(pass, into: joined.columns(0..<width))
        cpu.rmsNorm(joined.columns(0..<width), enorm, eps: epsilon, into: joined.columns(0..<width))
        cpu.rmsNorm(hidden, hnorm, eps: epsilon, into: joined.columns(width..<2 * width))
        cpu.matmul(ehProj, pass.prepare(joined, for: ehProj), into: x)
        let rotation = stack.rotations.isEmpty ? nil : block.rotation
        block.forward(x, rotation.map { stack.rotations[$0].angles(pass) }, slot: 0, pass)
        cpu.gather(x, rows: pass.batch.logitRows, into: predicted)
        cpu.rmsNorm(predicted, sharedHeadNorm, eps: epsilon, into: predicted)
    }
}
