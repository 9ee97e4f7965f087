/// `qwen2` and `qwen2moe`: Qwen 1.5 to 2.5, dense or as a mixture; `qwen2vl`: the text model of Qwen2-VL and Qwen2.5-VL.
///
/// Yang et al. 2024 (Qwen2). The Llama form with biases on queries, keys and values, and rotation of half-split
/// pairs. The mixture adds a shared expert behind a gate of its own; the weights of the chosen experts are not
/// normalised. The model that sees turns its pairs by time, height and width, one section behind the other; for text
/// these agree.
package struct Qwen2: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required
        let networks = try FeedForwards(
            hyper, shape, routed: .init(score: .always(.softmax), normalize: .always(false), shared: .gated),
            mixture: hyper.architecture == "qwen2moe" ? .always : .never)
        let rope = try RopeFrequencies(
            hyper, headDim: shape.keyLength, defaultBase: 1_000_000,
            axes: hyper.architecture == "qwen2vl" ? .consecutive : nil)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: networks.bind(tensors, layer: index))
        }
    }
}
