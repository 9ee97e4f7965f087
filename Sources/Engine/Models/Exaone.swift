/// `exaone4`, `exaone-moe`: EXAONE 4, K-EXAONE.
///
/// Query and key heads are normed, and where there are windows only layers with one rotate. EXAONE 4 norms what branches
/// add instead of what they read; the mixture has norms before its branches, dense layers first, sigmoid routing with a
/// bias for the choice, and a shared expert. Prediction layers are left out.
///
/// Sources: Hugging Face transformers `modeling_exaone4.py`, `modeling_exaone_moe.py`.
package struct Exaone: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let width = shape.embeddingLength
        let mixture = hyper.architecture == "exaone-moe"
        let windows = try hyper.windows(shape, pattern: .period(4))
        let hasWindows = windows.contains { $0 != nil }
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .stated(default: true), shared: .added)
        routed.selectionBias = .required
        routed.normalizeEpsilon = 1e-20
        routed.grouped = true
        let networks = try FeedForwards(hyper, shape, routed: routed, mixture: mixture ? .behindDense : .never)
        var rope = try RopeFrequencies(
            hyper, headDim: shape.keyLength, baseKey: hasWindows ? hyper.slidingBaseKey : nil)
        if let divisors = try weights.optionalVector("rope_freqs.weight", rope.perPair.count) {
            try rope.divide(by: divisors, "rope_freqs.weight")
        }
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts, predicts: false
        ) { index, tensors throws(EngineError) in
            func norm(_ name: String) throws(EngineError) -> Norm {
                try Norm(tensors, name, width, epsilon: shape.epsilon)
            }
            attention.window = windows[index]
            var layer = DecoderLayer()
            layer.mixer = try AttentionBlock(tensors, shape, layer: index, attention)
            layer.feedForward = try networks.bind(tensors, layer: index)
            layer.rotation = hasWindows && windows[index] == nil ? nil : 0
            if mixture {
                (layer.attnNorm, layer.ffnNorm) = (try norm("attn_norm"), try norm("ffn_norm"))
            } else {
                layer.postAttentionNorm = try norm("post_attention_norm")
                layer.postFfwNorm = try norm("post_ffw_norm")
            }
            return layer
        }
    }
}
