/// `phi3` (Phi-3, Phi-4, Phi-4-mini) and `phimoe` (Phi-3.5-MoE).
///
/// Abdin et al. 2024. The dense form has one tensor for queries, keys and values and one for gate and up. The mixture
/// has layer norms, biases on all projections, and SparseMixer routing. Both extend their context by LongRoPE: beyond
/// the length they were first trained for, every position is rotated with other frequencies.
/// Sources: Hugging Face transformers `modeling_phi3.py`, `modeling_phimoe.py`.
package struct Phi3: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    package let longContext: Int?
    let rope: RopeTable
    /// For sequences beyond ``longContext``.
    let longRope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let mixture = hyper.architecture == "phimoe"
        let widths = mixture ? [] : try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        var attention = AttentionBlock.Options()
        attention.qkvBias = mixture ? .required : .absent
        attention.outputBias = mixture ? .required : .absent
        attention.window = try hyper.window()
        var dense = DenseBlock.Options()
        dense.gateInUp = true
        let routed = ExpertsBlock.Options(score: .always(.sparseMixer(jitter: 0.01)), normalize: .always(false))
        var ends = OutputHead.Options()
        ends.layerNorm = mixture
        ends.bias = mixture ? .required : .absent

        func norm(_ tensors: LayerWeights, _ name: String) throws(EngineError) -> Norm {
            mixture
                ? try Norm(layer: tensors, name, shape.embeddingLength, epsilon: shape.epsilon)
                : try Norm(tensors, name, shape.embeddingLength, epsilon: shape.epsilon)
        }

        (rope, longRope, longContext) = try Self.longRope(hyper, weights, shape)
        head = try OutputHead(weights, shape, ends)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return DecoderLayer(
                attnNorm: try norm(tensors, "attn_norm"),
                mixer: try AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: try norm(tensors, "ffn_norm"),
                feedForward: mixture
                    ? .experts(try ExpertsBlock(tensors, hyper, shape, routed))
                    : .dense(try DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index], dense)))
        }
    }

    /// LongRoPE (Ding et al. 2024): the frequencies divided by `rope_factors_short`, beyond the original context by
    /// `rope_factors_long`; cosine and sine times `rope.scaling.attn_factor`. A file without factors rotates plainly.
    private static func longRope(
        _ hyper: Hyperparameters, _ weights: WeightMap, _ shape: DecoderShape
    ) throws(EngineError) -> (RopeTable, RopeTable, Int?) {
        let plain = try RopeFrequencies(hyper, headDim: shape.keyLength)
        let (shortName, longName) = ("rope_factors_short.weight", "rope_factors_long.weight")
        guard weights.contains(shortName) || weights.contains(longName) else {
            return (plain.table(.neox), plain.table(.neox), nil)
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
        return (short.table(.neox), long.table(.neox), original)
    }

    /// Phi-3.5-MoE's configuration states the amplitude itself (`short_mscale`, `long_mscale`), but converters write
    /// what the formula of its relatives gives for its context lengths.
    private static func releasedAmplitude(
        _ hyper: Hyperparameters, stated: Double, _ context: Int, _ original: Int
    ) -> Double {
        let isRelease = hyper.architecture == "phimoe" && (original, context) == (4096, 131_072)
        return isRelease && abs(stated - 1.190_238) < 1e-4 ? 1.243_163_121_016_122 : stated
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let x = pass.matrix(shape.embeddingLength)  // the residual stream
        let angles = pass.cpu.angles(pass.batch, pass.work) { $0.sequence.isLong ? longRope : rope }
        head.embed(pass, into: x)
        for (index, layer) in layers.enumerated() { layer.forward(x, angles, layer: index, pass) }
        head.norm(x, pass, into: hidden)
    }
}
