/// `olmoe`: OLMoE.
///
/// Muennighoff et al. 2024. Every layer is a mixture of many small experts whose weights are not normalised, and
/// queries and keys are normed over all heads together before they are split.
package struct Olmoe: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .allHeads
        let routed = ExpertsBlock.Options(score: .always(.softmax), normalize: .always(false))

        rope = try RopeFrequencies(hyper, headDim: shape.keyLength).table(.neox)
        head = try OutputHead(weights, shape)
        experts = try ExpertCounts(hyper)
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: .experts(ExpertsBlock(tensors, hyper, shape, routed)))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
