/// `glm4moe`: GLM-4.5, GLM-4.5-Air, GLM-4.6.
///
/// The first layers are dense. The others route by sigmoid scores with a bias on the choice, scale the weights of the
/// chosen, and add a shared expert. Queries, keys and values have biases, larger models also norm query and key heads,
/// and only the first half of a head is rotated. Layers behind the main ones predict a further token; the main pass
/// leaves them out. Source: Hugging Face transformers `modeling_glm4_moe.py`.
package struct Glm4Moe: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]
    /// Bound and checked, not run by the main pass.
    let nextToken: [NextTokenLayer<DecoderLayer>]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let blocks = shape.layers + shape.nextTokenLayers
        let widths = try hyper.ints("feed_forward_length", count: blocks, in: 1...(1 << 20))
        let denseLayers = try hyper.int("leading_dense_block_count", in: 0...blocks, default: 0)
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required
        attention.qkNorm = .perHeadIfPresent
        var routed = ExpertsBlock.Options(score: .always(.sigmoid), normalize: .stated(default: true), shared: .added)
        routed.selectionBias = .required
        routed.grouped = true

        func bind(_ index: Int) throws(EngineError) -> DecoderLayer {
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: "post_attention_norm",
                feedForward: index < denseLayers
                    ? .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index]))
                    : .experts(ExpertsBlock(tensors, hyper, shape, routed)))
        }

        rope = try RopeFrequencies(hyper, headDim: shape.keyLength).table(.neox)
        head = try OutputHead(weights, shape)
        experts = try ExpertCounts(hyper)
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in try bind(index) }
        nextToken = try (shape.layers..<blocks).map { index throws(EngineError) in
            try NextTokenLayer(LayerWeights(weights, layer: index), shape, block: bind(index))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
