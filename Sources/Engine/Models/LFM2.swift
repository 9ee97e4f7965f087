/// `lfm2moe`: LFM2-8B-A1B.
///
/// Gated short convolutions with attention here and there; experts routed by sigmoid with a bias for the choice,
/// after a few dense layers. The final norm is stored under the name of an embedding norm, and the output is tied.
///
/// Sources: Liquid AI 2025, Hugging Face transformers `modeling_lfm2_moe.py`.
package struct LFM2: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let dense = try hyper.int("leading_dense_block_count", in: 0...1024, default: 0)
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .always(true))
        routed.normalizeEpsilon = 1e-6
        routed.selectionBias = .required

        rope = try RopeFrequencies(hyper, headDim: shape.keyLength, defaultBase: 1_000_000).table(.neox)
        var ends = OutputHead.Options()
        ends.normName = "token_embd_norm"
        head = try OutputHead(weights, shape, ends)
        experts = try ExpertCounts(hyper)
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape,
                mixer: shape.headCountKV[index] > 0
                    ? AttentionBlock(tensors, shape, layer: index, attention)
                    : ShortConvBlock(tensors, hyper, shape),
                feedForward: index < dense
                    ? .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index]))
                    : .experts(ExpertsBlock(tensors, hyper, shape, routed)))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }
    package var layerKinds: [String] { layers.map(\.mixer.kind) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
