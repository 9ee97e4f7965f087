/// `llama`: Llama 1 to 3, Yi, Mistral and everything else in that form, and with `expert_count` Mixtral.
///
/// Touvron et al. 2023. Pre-norm residual layers of grouped-query attention and a SiLU-gated network. Queries and
/// keys are stored permuted, so the rotation takes interleaved pairs. Llama 3's frequency scaling comes as the
/// tensor `rope_freqs`; some relatives have biases.
package struct Llama: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        let mixture = try hyper.int("expert_count", in: 0...4096, default: 0) > 0
        var attention = AttentionBlock.Options()
        attention.qkvBias = .optional
        attention.outputBias = .optional
        attention.window = try hyper.window()
        var dense = DenseBlock.Options()
        dense.biases = .optional

        var frequencies = try RopeFrequencies(hyper, headDim: shape.keyLength)
        if let divisors = try weights.optionalVector("rope_freqs.weight", frequencies.perPair.count) {
            try frequencies.divide(by: divisors, "rope_freqs.weight")
        }
        rope = frequencies.table(.norm)
        head = try OutputHead(weights, shape)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: mixture
                    ? .experts(
                        ExpertsBlock(tensors, hyper, shape, .init(score: .always(.softmax), normalize: .always(true))))
                    : .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index], dense)))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
