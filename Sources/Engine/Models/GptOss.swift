/// `gpt-oss`: gpt-oss 20B and 120B.
///
/// OpenAI 2025 (gpt-oss model card). Every other layer sees a sliding window only, beginning with the first; every
/// attention head has a sink, one further logit without a value; projections, router and experts have biases. The
/// chosen logits alone go through the softmax, and the experts clamp what goes into their gated activation:
/// (up + 1) · gate · sigmoid(1.702 · gate). Source: Hugging Face transformers `modeling_gpt_oss.py`.
package struct GptOss: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let windows = try hyper.windows(shape, pattern: .period(2), required: true)
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required
        attention.outputBias = .required
        attention.sinks = true
        var routed = ExpertsBlock.Options(score: .always(.softmaxOfChosen), normalize: .always(false))
        routed.routerBias = .required
        routed.expertBias = .required
        routed.activation = .gated(.clamped(alpha: 1.702, limit: 7))
        let networks = try FeedForwards(hyper, shape, routed: routed, mixture: .always)
        // The released configuration does not round the bounds of YaRN's ramp; no key of the file says so.
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength, roundsYarnBounds: false)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            attention.window = windows[index]
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: "post_attention_norm", feedForward: networks.bind(tensors, layer: index))
        }
    }
}
