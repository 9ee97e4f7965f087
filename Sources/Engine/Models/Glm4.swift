/// `glm4`: GLM-4-0414, GLM-Z1.
///
/// Every branch is normed before and after; queries, keys and values may have biases; half of a head is rotated, in
/// interleaved pairs; one tensor holds gate and up. Source: Hugging Face transformers `modeling_glm4.py`.
package struct Glm4: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let width = shape.embeddingLength
        var attention = AttentionBlock.Options()
        attention.qkvBias = .optional
        var dense = DenseBlock.Options()
        dense.gateInUp = true
        let networks = try FeedForwards(hyper, shape, dense: dense)
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength, axes: .consecutive)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.norm))], predicts: false
        ) { index, tensors throws(EngineError) in
            var layer = try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: networks.bind(tensors, layer: index))
            layer.postAttentionNorm = try Norm(tensors, "post_attention_norm", width, epsilon: shape.epsilon)
            layer.postFfwNorm = try Norm(tensors, "post_ffw_norm", width, epsilon: shape.epsilon)
            return layer
        }
    }
}
