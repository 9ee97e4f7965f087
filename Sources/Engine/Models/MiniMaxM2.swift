/// `minimax-m2`: MiniMax-M2.
///
/// Every layer is a mixture with sigmoid scores and a bias on the choice of experts. Queries and keys are normed over
/// all heads together before they are split, and only the first part of a head is rotated.
/// Source: Hugging Face transformers `modeling_minimax_m2.py`.
package struct MiniMaxM2: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .allHeads
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .always(true))
        routed.selectionBias = .required
        let networks = try FeedForwards(
            hyper, shape, routed: routed, mixture: .always)
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength)
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
