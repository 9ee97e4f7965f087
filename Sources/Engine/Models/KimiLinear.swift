/// `kimi-linear`: Kimi Linear 48B-A3B.
///
/// Kimi delta attention with latent attention here and there, neither with a rotation: the part of keys and queries
/// that other latent attention rotates is only concatenated. Experts routed by sigmoid with a bias for the choice,
/// always renormalised, beside a shared one; the first layers are dense.
///
/// Sources: Kimi Team 2025, Hugging Face transformers `modeling_kimi_linear.py`.
package struct KimiLinear: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .always(true), shared: .added)
        routed.selectionBias = .required
        routed.grouped = true
        let networks = try FeedForwards(hyper, shape, routed: routed, mixture: .behindDense)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), experts: networks.experts
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape,
                mixer: shape.headCountKV[index] > 0
                    ? LatentAttentionBlock(tensors, hyper, shape) : KimiDeltaBlock(tensors, hyper, shape),
                feedForward: networks.bind(tensors, layer: index), rotation: nil)
        }
    }
}
