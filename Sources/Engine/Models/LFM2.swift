/// `lfm2` and `lfm2moe`: LFM2 and LFM2.5, dense or as a mixture.
///
/// Gated short convolutions with attention here and there, which may have a window; in the mixture experts routed by
/// sigmoid with a bias for the choice, after a few dense layers. The final norm is stored under the name of an embedding norm, and the output is tied.
///
/// Sources: Liquid AI 2025, Hugging Face transformers `modeling_lfm2.py`, `modeling_lfm2_moe.py`.
package struct LFM2: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let windows = try hyper.windows(shape, pattern: .all)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .always(true))
        routed.normalizeEpsilon = 1e-6
        routed.selectionBias = .required
        let networks = try FeedForwards(
            hyper, shape, routed: routed,
            mixture: hyper.architecture == "lfm2moe" ? .behindDense : .never)
        var ends = OutputHead.Options()
        ends.normName = "token_embd_norm"
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength, defaultBase: 1_000_000)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            attention.window = windows[index]
            return try DecoderLayer(
                tensors, shape,
                mixer: shape.headCountKV[index] > 0
                    ? AttentionBlock(tensors, shape, layer: index, attention)
                    : ShortConvBlock(tensors, hyper, shape),
                feedForward: networks.bind(tensors, layer: index))
        }
    }
}
