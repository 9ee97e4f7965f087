/// `ernie4_5` and `ernie4_5-moe`: ERNIE 4.5, dense or as a mixture.
///
/// In the mixture the first layers are dense. The others route by softmax scores with a bias on the choice, normalise the weights of
/// the chosen, and add a shared expert. The rotation takes interleaved pairs; there are no biases elsewhere.
/// Sources: Hugging Face transformers `modeling_ernie4_5.py`,
/// `modeling_ernie4_5_moe.py`.
package struct Ernie45: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var routed = ExpertsBlock.Options(score: .always(.softmax), normalize: .always(true), shared: .added)
        routed.selectionBias = .required
        routed.normalizeMinimum = 1e-12
        let mixture = hyper.architecture == "ernie4_5-moe"
        let networks = try FeedForwards(
            hyper, shape, routed: routed, mixture: mixture ? .behindDense : .never, interval: mixture)
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.norm))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index),
                feedForward: networks.bind(tensors, layer: index))
        }
    }
}
