/// `glm4moe`: GLM-4.5, GLM-4.5-Air, GLM-4.6.
///
/// The first layers are dense. The others route by sigmoid scores with a bias on the choice, scale the weights of the
/// chosen, and add a shared expert. Queries, keys and values have biases, larger models also norm query and key heads,
/// and only the first half of a head is rotated. Layers behind the main ones predict a further token; the main pass
/// leaves them out. Source: Hugging Face transformers `modeling_glm4_moe.py`.
package struct Glm4Moe: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        var attention = AttentionBlock.Options()
        // `attention_bias` of the configuration, which the format does not keep.
        attention.qkvBias = .optional
        attention.qkNorm = .perHeadIfPresent
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .stated(default: true), shared: .added)
        routed.selectionBias = .required
        routed.grouped = true
        let networks = try FeedForwards(hyper, shape, routed: routed, mixture: .behindDense)
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: "post_attention_norm", feedForward: networks.bind(tensors, layer: index))
        }
    }

    /// The prediction layers are bound and checked only.
    package var nextTokenState: LayerState? { nil }
}
