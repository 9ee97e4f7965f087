/// `qwen3` and `qwen3moe`: Qwen 3, dense or as a mixture; `qwen3vl` and `qwen3vlmoe`: the text models of Qwen3-VL.
///
/// Yang et al. 2025 (Qwen3). The Llama form with an RMS norm of every query and key head before the rotation of
/// half-split pairs, no biases, and a head dimension of its own. The mixture normalises the weights of the chosen
/// experts and shares none. The models that see turn their pairs by time, height and width, interleaved; for text these
/// agree. What their towers put behind the first layers comes with the batch.
package struct Qwen3: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let sees = hyper.architecture.hasPrefix("qwen3vl")
        if sees { _ = try hyper.int("n_deepstack_layers", in: 0...shape.layers, default: 0) }
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        let networks = try FeedForwards(
            hyper, shape, routed: .init(score: .always(.softmax), normalize: .always(true)),
            mixture: hyper.architecture.hasSuffix("moe") ? .always : .never)
        let rope = try RopeFrequencies(
            hyper, headDim: shape.keyLength, defaultBase: 1_000_000, axes: sees ? .interleaved : nil)
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
