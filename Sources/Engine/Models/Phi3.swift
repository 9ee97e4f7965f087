/// `phi3` (Phi-3, Phi-4, Phi-4-mini) and `phimoe` (Phi-3.5-MoE).
///
/// Abdin et al. 2024. The dense form has one tensor for queries, keys and values and one for gate and up. The mixture
/// has layer norms, biases on all projections, and SparseMixer routing. Both extend their context by LongRoPE: beyond
/// the length they were first trained for, every position is rotated with other frequencies.
/// Sources: Hugging Face transformers `modeling_phi3.py`, `modeling_phimoe.py`.
package struct Phi3: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let mixture = hyper.architecture == "phimoe"
        let windows = try hyper.windows(shape, pattern: .all)
        var attention = AttentionBlock.Options()
        attention.qkvBias = mixture ? .required : .absent
        attention.outputBias = mixture ? .required : .absent
        var dense = DenseBlock.Options()
        dense.gateInUp = true
        let networks = try FeedForwards(
            hyper, shape, dense: dense,
            routed: .init(score: .always(.sparseMixer(jitter: 0.01)), normalize: .always(false)),
            mixture: mixture ? .always : .never)
        var ends = OutputHead.Options()
        ends.norm = mixture ? .layer(bias: .required) : .rms
        ends.bias = mixture ? .required : .absent

        let rotation = try Rotation(
            longRope: hyper, weights, shape, pairing: .neox,
            amplitude: { stated, original in
                Self.releasedAmplitude(hyper, stated: stated, shape.contextLength, original)
            })
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends), rotations: [rotation],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            attention.window = windows[index]
            var layer = DecoderLayer()
            layer.attnNorm = try Norm(tensors, "attn_norm", shape.embeddingLength, epsilon: shape.epsilon, ends.norm)
            layer.mixer = try AttentionBlock(tensors, shape, layer: index, attention)
            layer.ffnNorm = try Norm(tensors, "ffn_norm", shape.embeddingLength, epsilon: shape.epsilon, ends.norm)
            layer.feedForward = try networks.bind(tensors, layer: index)
            return layer
        }
    }

    /// Phi-3.5-MoE's configuration states the amplitude itself (`short_mscale`, `long_mscale`), but converters write
    /// what the formula of its relatives gives for its context lengths.
    private static func releasedAmplitude(
        _ hyper: Hyperparameters, stated: Double, _ context: Int, _ original: Int
    ) -> Double {
        let isRelease = hyper.architecture == "phimoe" && (original, context) == (4096, 131_072)
        return isRelease && abs(stated - 1.190_238) < 1e-4 ? 1.243_163_121_016_122 : stated
    }
}
