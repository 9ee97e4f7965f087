/// `qwen2` and `qwen2moe`: Qwen 1.5 to 2.5, dense or as a mixture.
///
/// Yang et al. 2024 (Qwen2). The Llama form with biases on queries, keys and values, and rotation of half-split
/// pairs. The mixture adds a shared expert behind a gate of its own; the weights of the chosen experts are not
/// normalised.
package struct Qwen2: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let mixture = hyper.architecture == "qwen2moe"
        let widths = mixture ? [] : try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required
        let routed = ExpertsBlock.Options(score: .always(.softmax), normalize: .always(false), shared: .gated)

        rope = try RopeFrequencies(hyper, headDim: shape.keyLength, defaultBase: 1_000_000).table(.neox)
        head = try OutputHead(weights, shape)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: mixture
                    ? .experts(ExpertsBlock(tensors, hyper, shape, routed))
                    : .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index])))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
