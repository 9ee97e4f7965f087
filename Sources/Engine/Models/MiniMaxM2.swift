/// `minimax-m2`: MiniMax-M2.
///
/// Every layer is a mixture with sigmoid scores and a bias on the choice of experts. Queries and keys are normed over
/// all heads together before they are split, and only the first part of a head is rotated.
/// Source: Hugging Face transformers `modeling_minimax_m2.py`.
package struct MiniMaxM2: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .allHeads
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .always(true))
        routed.selectionBias = .required

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
