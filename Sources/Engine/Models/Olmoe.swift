/// `olmoe`: OLMoE.
///
/// Muennighoff et al. 2024. Every layer is a mixture of many small experts whose weights are not normalised, and
/// queries and keys are normed over all heads together before they are split.
package struct Olmoe: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .allHeads
        let networks = try FeedForwards(
            hyper, shape, routed: .init(score: .always(.softmax), normalize: .always(false)), mixture: .always)
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
