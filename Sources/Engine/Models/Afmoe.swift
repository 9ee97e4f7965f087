/// `afmoe`: Trinity Nano and Mini.
///
/// Arcee AI 2025. Every branch is normed before and after, query and key heads too, and a sigmoid gate of its own
/// multiplies what attention finds. Three of four layers have a window, and only these rotate. Experts are routed by
/// sigmoid with a bias for the choice beside a shared one; the first layers are dense. Embeddings times the root of
/// their length. Source: Hugging Face transformers `modeling_afmoe.py`.
package struct Afmoe: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let width = shape.embeddingLength
        let windows = try hyper.windows(shape, pattern: .period(4))
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        attention.gate = .own
        var routed = ExpertsBlock.Options(
            score: .stated(default: .sigmoid), normalize: .stated(default: true), shared: .addedIfPresent)
        routed.selectionBias = .required
        routed.normalizeEpsilon = 1e-20
        let networks = try FeedForwards(hyper, shape, routed: routed, mixture: .behindDense)
        var ends = OutputHead.Options()
        ends.embeddingScale = Float(width).squareRoot()
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength, baseKey: hyper.slidingBaseKey)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            attention.window = windows[index]
            var layer = try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: networks.bind(tensors, layer: index), rotation: windows[index] == nil ? nil : 0)
            layer.postAttentionNorm = try Norm(tensors, "post_attention_norm", width, epsilon: shape.epsilon)
            layer.postFfwNorm = try Norm(tensors, "post_ffw_norm", width, epsilon: shape.epsilon)
            return layer
        }
    }
}
