/// `gpt-oss`: gpt-oss 20B and 120B.
///
/// OpenAI 2025 (gpt-oss model card). Every other layer sees a sliding window only, beginning with the first; every
/// attention head has a sink, one further logit without a value; projections, router and experts have biases. The
/// chosen logits alone go through the softmax, and the experts clamp what goes into their gated activation:
/// (up + 1) · gate · sigmoid(1.702 · gate). Source: Hugging Face transformers `modeling_gpt_oss.py`.
package struct GptOss: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let window = try hyper.int("attention.sliding_window", in: 1...(1 << 31))
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required
        attention.outputBias = .required
        attention.sinks = true
        var routed = ExpertsBlock.Options(score: .always(.softmaxOfChosen), normalize: .always(false))
        routed.routerBias = .required
        routed.expertBias = .required
        routed.activation = .gated(.clamped(alpha: 1.702, limit: 7))

        // The released configuration does not round the bounds of YaRN's ramp; no key of the file says so.
        rope = try RopeFrequencies(hyper, headDim: shape.keyLength, roundsYarnBounds: false).table(.neox)
        head = try OutputHead(weights, shape)
        experts = try ExpertCounts(hyper)
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            attention.window = index.isMultiple(of: 2) ? window : nil
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: "post_attention_norm",
                feedForward: .experts(ExpertsBlock(tensors, hyper, shape, routed)))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
