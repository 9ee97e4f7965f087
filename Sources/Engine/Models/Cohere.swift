/// `command-r`, `cohere2`, `cohere2moe`: Command R, Command R7B and Command A, North Mini Code.
///
/// Attention and network read the same norm of the residual stream and are added to it together; the norm is a layer
/// norm without bias. Logits have a factor. From the second generation on three of four layers have a window, and only
/// these rotate. The mixture takes half of the sum of its experts and a shared one; its first layers are dense, see
/// everything, and rotate.
///
/// Sources: Hugging Face transformers `modeling_cohere.py`, `modeling_cohere2.py`, `modeling_cohere2_moe.py`.
package struct Cohere: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let mixture = hyper.architecture == "cohere2moe"
        let hasWindows = mixture || hyper.architecture == "cohere2"
        // Configurations of the mixture may name an RMS norm instead.
        let rmsKey = "attention.layer_norm_rms_epsilon"
        let isRMS = mixture ? try hyper.optionalFloat(rmsKey, in: 1e-12...1) != nil : false
        let shape = try DecoderShape(
            hyper, nextTokenLayers: mixture, epsilonKey: isRMS ? rmsKey : "attention.layer_norm_epsilon")
        let norm = isRMS ? Norm.Form.rms : .layer(bias: .absent)
        let windows =
            hasWindows
            ? try hyper.windows(shape, pattern: mixture ? .stated : .period(4), required: true, fullFirst: mixture)
            : []
        let leading = mixture ? try hyper.int("leading_dense_block_count", in: 0...1024, default: 0) : 0
        var attention = AttentionBlock.Options()
        let networks = try FeedForwards(
            hyper, shape,
            routed: .init(score: .stated(default: .sigmoid), normalize: .stated(default: true), shared: .averaged),
            mixture: mixture ? .behindDense : .never)
        var ends = OutputHead.Options()
        ends.norm = norm
        ends.logitScale = Float(try hyper.float("logit_scale", in: 1e-6...1e6))
        let rope = try RopeFrequencies(
            hyper, headDim: shape.keyLength, baseKey: hasWindows ? hyper.slidingBaseKey : nil)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends), rotations: [Rotation(rope.table(.norm))],
            experts: networks.experts, predicts: false
        ) { index, tensors throws(EngineError) in
            if hasWindows { attention.window = windows[index] }
            var layer = DecoderLayer()
            layer.attnNorm = try Norm(tensors, "attn_norm", shape.embeddingLength, epsilon: shape.epsilon, norm)
            layer.mixer = try AttentionBlock(tensors, shape, layer: index, attention)
            layer.feedForward = try networks.bind(tensors, layer: index)
            layer.isParallel = true
            layer.rotation = hasWindows && windows[index] == nil && index >= leading ? nil : 0
            return layer
        }
    }
}
