/// `qwen3` and `qwen3moe`: Qwen 3, dense or as a mixture.
///
/// Yang et al. 2025 (Qwen3). The Llama form with an RMS norm of every query and key head before the rotation of
/// half-split pairs, no biases, and a head dimension of its own. The mixture normalises the weights of the chosen
/// experts and shares none.
package struct Qwen3: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let mixture = hyper.architecture == "qwen3moe"
        let widths = mixture ? [] : try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        let routed = ExpertsBlock.Options(score: .always(.softmax), normalize: .always(true))

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
