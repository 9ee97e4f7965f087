/// `seed_oss`: Seed-OSS.
///
/// The Llama form with biases on queries, keys and values, rotation of half-split pairs and a head dimension of its
/// own. Source: Hugging Face transformers `modeling_seed_oss.py`.
package struct SeedOss: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts? = nil
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required

        rope = try RopeFrequencies(hyper, headDim: shape.keyLength).table(.neox)
        head = try OutputHead(weights, shape)
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: "post_attention_norm",
                feedForward: .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index])))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
