/// `bert`: BERT and the text encoders built like it.
///
/// Devlin et al. 2018. An encoder: every token sees every other one, and the result is a hidden state for each. Learned
/// positions are added to the embeddings, layer norms stand behind the branches, everything has biases, and the
/// network is not gated. Source: Hugging Face transformers `modeling_bert.py`.
package struct Bert: Architecture {
    package let stack: DecoderStack
    package var isEncoder: Bool { true }
    let positionEmbd: Weight  // (positions, embedding)
    let tokenType: FloatVector  // (embedding), the first of token_types: texts without a second half
    let tokenEmbdNorm: Norm  // (embedding)

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, epsilonKey: "attention.layer_norm_epsilon")
        let width = shape.embeddingLength
        guard try !hyper.bool("attention.causal", default: false) else {
            throw hyper.conflict("attention.causal", found: "true", expected: "false")
        }
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required
        attention.outputBias = .required
        attention.isCausal = false
        var dense = DenseBlock.Options()
        dense.activation = .plain(.gelu)
        dense.biases = .required
        let networks = try FeedForwards(hyper, shape, dense: dense)

        func norm(_ tensors: LayerWeights, _ name: String) throws(EngineError) -> Norm {
            try Norm(layer: tensors, name, width, epsilon: shape.epsilon)
        }
        positionEmbd = try weights.matrix("position_embd.weight", in: width, out: shape.contextLength)
        let types = try weights.rowCount("token_types.weight", cols: width)
        tokenType = try weights.table("token_types.weight", cols: width, rows: types).slice(0..<width)
        tokenEmbdNorm = try norm(LayerWeights(outside: weights), "token_embd_norm")
        stack = try DecoderStack(shape, weights, OutputHead(encoder: weights, shape)) {
            index, tensors throws(EngineError) in
            var layer = DecoderLayer()
            layer.mixer = try AttentionBlock(tensors, shape, layer: index, attention)
            layer.attnOutputNorm = try norm(tensors, "attn_output_norm")
            layer.feedForward = try networks.bind(tensors, layer: index)
            layer.layerOutputNorm = try norm(tensors, "layer_output_norm")
            return layer
        }
    }

    package func enter(_ pass: inout Pass) -> Matrix {
        let x = stack.stream(pass)
        head.embed(pass, into: x)
        pass.work.scoped {
            let y = pass.matrix(shape.embeddingLength)
            pass.cpu.embed(pass.batch.positions, positionEmbd, into: y)
            pass.cpu.add(tokenType, to: x)
            pass.add(y, to: x, thenNorm: tokenEmbdNorm, into: x)
        }
        return x
    }
}
