/// `bert`: BERT and the text encoders built like it.
///
/// Devlin et al. 2018. An encoder: every token sees every other one, and the result is a hidden state for each. Learned
/// positions are added to the embeddings, layer norms stand behind the branches, everything has biases, and the
/// network is not gated. Source: Hugging Face transformers `modeling_bert.py`.
package struct Bert: Architecture {
    struct Layer {
        let attention: AttentionBlock
        let attnOutputNorm: Norm  // (embedding)
        let feedForward: DenseBlock
        let layerOutputNorm: Norm  // (embedding)
    }

    package let shape: DecoderShape
    package let experts: ExpertCounts? = nil
    package let head: OutputHead
    package var isEncoder: Bool { true }
    let positionEmbd: Weight  // (positions, embedding)
    let tokenType: FloatVector  // (embedding), the first of token_types: texts without a second half
    let tokenEmbdNorm: Norm  // (embedding)
    let layers: [Layer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, epsilonKey: "attention.layer_norm_epsilon")
        let width = shape.embeddingLength
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
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

        func norm(_ tensors: LayerWeights, _ name: String) throws(EngineError) -> Norm {
            try Norm(layer: tensors, name, width, epsilon: shape.epsilon)
        }
        head = try OutputHead(encoder: weights, shape)
        positionEmbd = try weights.matrix("position_embd.weight", in: width, out: shape.contextLength)
        let types = try weights.rowCount("token_types.weight", cols: width)
        tokenType = try weights.table("token_types.weight", cols: width, rows: types).slice(0..<width)
        tokenEmbdNorm = try norm(LayerWeights(outside: weights), "token_embd_norm")
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return Layer(
                attention: try AttentionBlock(tensors, shape, layer: index, attention),
                attnOutputNorm: try norm(tensors, "attn_output_norm"),
                feedForward: try DenseBlock(tensors, embedding: width, width: widths[index], dense),
                layerOutputNorm: try norm(tensors, "layer_output_norm"))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.attention.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let x = pass.matrix(shape.embeddingLength)
        let y = pass.matrix(shape.embeddingLength)  // a branch's output

        head.embed(pass, into: x)
        pass.cpu.embed(pass.batch.positions, positionEmbd, into: y)
        pass.cpu.add(tokenType, to: x)
        pass.add(y, to: x, thenNorm: tokenEmbdNorm, into: x)
        for (index, layer) in layers.enumerated() {
            layer.attention.forward(x, nil, layer: index, pass, into: y)
            pass.add(y, to: x, thenNorm: layer.attnOutputNorm, into: x)
            layer.feedForward.forward(x, pass, into: y)
            pass.add(y, to: x, thenNorm: layer.layerOutputNorm, into: x)
        }
        head.norm(x, pass, into: hidden)
    }
}
