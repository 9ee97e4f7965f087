/// `ernie4_5-moe`: ERNIE 4.5 as a mixture.
///
/// The first layers are dense. The others route by softmax scores with a bias on the choice, normalise the weights of
/// the chosen, and add a shared expert. The rotation takes interleaved pairs; there are no biases elsewhere.
/// Source: Hugging Face transformers `modeling_ernie4_5_moe.py`.
package struct Ernie45: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        let denseLayers = try hyper.int("leading_dense_block_count", in: 0...shape.layers, default: 0)
        let interval = try hyper.int("interleave_moe_layer_step", in: 1...1024, default: 1)
        var routed = ExpertsBlock.Options(score: .always(.softmax), normalize: .always(true), shared: .added)
        routed.selectionBias = .required
        routed.normalizeMinimum = 1e-12

        rope = try RopeFrequencies(hyper, headDim: shape.keyLength).table(.norm)
        head = try OutputHead(weights, shape)
        experts = try ExpertCounts(hyper)
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            let mixture = index >= denseLayers && (index + 1).isMultiple(of: interval)
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index),
                feedForward: mixture
                    ? .experts(ExpertsBlock(tensors, hyper, shape, routed))
                    : .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index])))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
