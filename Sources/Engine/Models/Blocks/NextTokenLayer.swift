/// A layer that predicts one token further (multi-token prediction, DeepSeek-AI 2024): from the embedding of the
/// next token and the main model's normed hidden state it makes the input of one more block.
///
///     x = eh_proj · [enorm(embedding of token t + 1) | hnorm(hidden state t)]
///     logits = output · shared_head_norm(block(x))
///
/// Bound and checked with the rest of the file. The main pass does not run it; the hidden state it starts from is
/// what ``Architecture/forward(_:into:)`` yields.
package struct NextTokenLayer<Block: Sendable>: Sendable {
    let ehProj: Weight  // (2 · embedding → embedding)
    let enorm: FloatVector  // (embedding)
    let hnorm: FloatVector  // (embedding)
    let sharedHeadNorm: FloatVector  // (embedding)
    let block: Block

    package init(_ tensors: LayerWeights, _ shape: DecoderShape, block: Block) throws(EngineError) {
        let embedding = shape.embeddingLength
        ehProj = try tensors.matrix("nextn.eh_proj", in: 2 * embedding, out: embedding)
        enorm = try tensors.vector("nextn.enorm", embedding)
        hnorm = try tensors.vector("nextn.hnorm", embedding)
        sharedHeadNorm = try tensors.vector("nextn.shared_head_norm", embedding)
        self.block = block
    }
}
