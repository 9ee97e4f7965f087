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
        ends.layerNorm = mixture
        ends.bias = mixture ? .required : .absent

        func norm(_ tensors: LayerWeights, _ name: String) throws(EngineError) -> Norm {
            mixture
                ? try Norm(layer: tensors, name, shape.embeddingLength, epsilon: shape.epsilon)
                : try Norm(tensors, name, shape.embeddingLength, epsilon: shape.epsilon)
        }
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends), rotations: [Self.longRope(hyper, weights, shape)],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            attention.window = windows[index]
            var layer = DecoderLayer()
            layer.attnNorm = try norm(tensors, "attn_norm")
            layer.mixer = try AttentionBlock(tensors, shape, layer: index, attention)
            layer.ffnNorm = try norm(tensors, "ffn_norm")
            layer.feedForward = try networks.bind(tensors, layer: index)
            return layer
        }
    }

    /// LongRoPE (Ding et al. 2024): the frequencies divided by `rope_factors_short`, beyond the original context by
    /// `rope_factors_long`; cosine and sine times `rope.scaling.attn_factor`. A file without factors rotates plainly.
    private static func longRope(
        _ hyper: Hyperparameters, _ weights: WeightMap, _ shape: DecoderShape
    ) throws(EngineError) -> Rotation {
        let plain = try RopeFrequencies(hyper, headDim: shape.keyLength)
        let (shortName, longName) = ("rope_factors_short.weight", "rope_factors_long.weight")
        guard weights.contains(shortName) || weights.contains(longName) else {
            return Rotation(plain.table(.neox))
        }
        guard plain == (try RopeFrequencies(hyper, headDim: shape.keyLength, unscaled: true)) else {
            throw hyper.conflict(
                "rope.scaling.type", found: try hyper.optionalString("rope.scaling.type") ?? "linear",
                expected: "none beside the tensors \(shortName) and \(longName)")
        }
        let original = try hyper.int("rope.scaling.original_context_length", in: 2...(1 << 26))
        let amplitude = try hyper.float("rope.scaling.attn_factor", in: 1e-6...1e6)
        var (short, long) = (plain, plain)
        let pairs = plain.perPair.count
        try short.divide(by: weights.vector(shortName, pairs), shortName)
        try long.divide(by: weights.vector(longName, pairs), longName)
        short.amplitude = releasedAmplitude(hyper, stated: amplitude, shape.contextLength, original)
        long.amplitude = short.amplitude
        return Rotation(short.table(.neox), long: (original, long.table(.neox)))
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
