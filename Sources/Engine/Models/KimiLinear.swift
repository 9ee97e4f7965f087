/// `kimi-linear`: Kimi Linear 48B-A3B.
///
/// Kimi delta attention with latent attention here and there, neither with a rotation: the part of keys and queries
/// that other latent attention rotates is only concatenated. Experts routed by sigmoid with a bias for the choice,
/// always renormalised, beside a shared one; the first layers are dense.
///
/// Sources: Kimi Team 2025, Hugging Face transformers `modeling_kimi_linear.py`.
package struct KimiLinear: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let dense = try hyper.int("leading_dense_block_count", in: 0...1024, default: 0)
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .always(true), shared: .added)
        routed.selectionBias = .required
        routed.grouped = true

        head = try OutputHead(weights, shape)
        experts = try ExpertCounts(hyper)
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape,
                mixer: shape.headCountKV[index] > 0
                    ? LatentAttentionBlock(tensors, hyper, shape) : KimiDeltaBlock(tensors, hyper, shape),
                feedForward: index < dense
                    ? .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index]))
                    : .experts(ExpertsBlock(tensors, hyper, shape, routed)))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }
    package var layerKinds: [String] { layers.map(\.mixer.kind) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, nil, pass, into: hidden) }
}
