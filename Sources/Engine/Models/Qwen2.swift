/// `qwen2` and `qwen2moe`: Qwen 1.5 to 2.5, dense or as a mixture.
///
/// Yang et al. 2024 (Qwen2). The Llama form with biases on queries, keys and values, and rotation of half-split
/// pairs. The mixture adds a shared expert behind a gate of its own; the weights of the chosen experts are not
/// normalised.
package struct Qwen2: Architecture {
    struct Layer {
        let attnNorm: FloatVector  // (embedding)
        let attention: AttentionBlock
        let ffnNorm: FloatVector  // (embedding)
        let feedForward: FeedForward
    }

    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [Layer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let embedding = shape.embeddingLength
        let mixture = hyper.architecture == "qwen2moe"
        let widths = mixture ? [] : try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required

        rope = try RopeFrequencies(hyper, headDim: shape.keyLength, defaultBase: 1_000_000).table(.neox)
        head = try OutputHead(weights, shape)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return Layer(
                attnNorm: try tensors.vector("attn_norm", embedding),
                attention: try AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: try tensors.vector("ffn_norm", embedding),
                feedForward: mixture
                    ? .experts(
                        try ExpertsBlock(
                            tensors, hyper, shape, .init(score: .softmax, normalize: false, shared: .gated)))
                    : .dense(try DenseBlock(tensors, embedding: embedding, width: widths[index])))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.attention.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let (cpu, eps) = (pass.cpu, shape.epsilon)
        let x = pass.matrix(shape.embeddingLength)  // the residual stream
        let h = pass.matrix(shape.embeddingLength)  // a branch's normed input
        let y = pass.matrix(shape.embeddingLength)  // a branch's output
        let angles = cpu.angles(rope, pass.batch, pass.work)

        head.embed(pass, into: x)
        for (index, layer) in layers.enumerated() {
            cpu.rmsNorm(x, layer.attnNorm, eps: eps, into: h)
            layer.attention.forward(h, angles, layer: index, pass, into: y)
            cpu.addRMSNorm(y, to: x, layer.ffnNorm, eps: eps, into: h)
            layer.feedForward.forward(h, pass, into: y)
            cpu.add(y, to: x)
        }
        head.norm(x, pass, into: hidden)
    }
}
