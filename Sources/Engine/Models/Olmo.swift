/// `olmo`, `olmo2`: OLMo 1 to 3.
///
/// OLMo 1 (Groeneveld et al. 2024) has layer norms without weights and limits queries, keys and values. OLMo 2 (2025)
/// norms what branches add instead of what they read, and queries and keys over all heads together. OLMo 3 adds windows
/// in three of four layers, whose rotation is not scaled.
///
/// Sources: Hugging Face transformers `modeling_olmo.py`, `modeling_olmo2.py`, `modeling_olmo3.py`.
package struct Olmo: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let first = hyper.architecture == "olmo"
        let shape = try DecoderShape(
            hyper, epsilonKey: first ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon")
        let width = shape.embeddingLength
        let windows = try hyper.windows(shape, pattern: .period(4))
        var attention = AttentionBlock.Options()
        attention.qkNorm = first ? .none : .allHeads
        if first {
            let limit = Float(try hyper.float("attention.clamp_kqv", in: 0...1e6, default: 0))
            attention.clamp = limit > 0 ? limit : nil
        }
        let networks = try FeedForwards(hyper, shape)
        var ends = OutputHead.Options()
        ends.norm = first ? .weightless : .rms
        let full = try RopeFrequencies(hyper, headDim: shape.keyLength)
        let sliding =
            windows.contains { $0 != nil }
            ? try RopeFrequencies(
                hyper, headDim: shape.keyLength, baseKey: hyper.slidingBaseKey, unscaled: true) : full
        let pairing = first ? RopePairing.norm : .neox
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends),
            rotations: [Rotation(full.table(pairing)), Rotation(sliding.table(pairing))]
        ) { index, tensors throws(EngineError) in
            attention.window = windows[index]
            var layer = DecoderLayer()
            layer.mixer = try AttentionBlock(tensors, shape, layer: index, attention)
            layer.feedForward = try networks.bind(tensors, layer: index)
            layer.rotation = windows[index] == nil ? 0 : 1
            if first {
                layer.attnNorm = try Norm(tensors, "attn_norm", width, epsilon: shape.epsilon, .weightless)
                layer.ffnNorm = try Norm(tensors, "ffn_norm", width, epsilon: shape.epsilon, .weightless)
            } else {
                layer.postAttentionNorm = try Norm(tensors, "post_attention_norm", width, epsilon: shape.epsilon)
                layer.postFfwNorm = try Norm(tensors, "post_ffw_norm", width, epsilon: shape.epsilon)
            }
            return layer
        }
    }
}
