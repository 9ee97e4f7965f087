/// `falcon-h1`: Falcon-H1.
///
/// TII 2025. In every layer attention and a Mamba2 mixer read the same norm of the residual stream, and their sum is
/// added to it. Converters fold the many multipliers of the configuration into the weights; the mixer's own norm is
/// optional. Source: Hugging Face transformers `modeling_falcon_h1.py`.
package struct FalconH1: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let width = shape.embeddingLength
        let networks = try FeedForwards(hyper, shape)
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))]
        ) { index, tensors throws(EngineError) in
            var layer = DecoderLayer()
            layer.attnNorm = try Norm(tensors, "attn_norm", width, epsilon: shape.epsilon)
            layer.mixer = MixerPair(
                try AttentionBlock(tensors, shape, layer: index),
                try Mamba2Block(tensors, hyper, shape, normIsOptional: true))
            layer.ffnNorm = try Norm(tensors, exactly: "ffn_norm", width, epsilon: shape.epsilon)
            layer.feedForward = try networks.bind(tensors, layer: index)
            return layer
        }
    }
}
