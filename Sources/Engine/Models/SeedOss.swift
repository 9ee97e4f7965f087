/// `seed_oss`: Seed-OSS.
///
/// The Llama form with biases on queries, keys and values, rotation of half-split pairs and a head dimension of its
/// own. Source: Hugging Face transformers `modeling_seed_oss.py`.
package struct SeedOss: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var attention = AttentionBlock.Options()
        attention.qkvBias = .required
        let networks = try FeedForwards(hyper, shape)
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))]
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: "post_attention_norm", feedForward: networks.bind(tensors, layer: index))
        }
    }
}
