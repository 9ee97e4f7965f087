/// `minicpm3`: MiniCPM3 4B.
///
/// Hu et al. 2024 (MiniCPM). Latent attention with the rotation of half-split pairs, and three factors that files do not
/// hold: 12 on embeddings, 1.4 / √layers on what a branch adds to the residual stream, 256 / embedding on logits.
/// Source: Hugging Face transformers `modeling_minicpm3.py`.
package struct MiniCPM3: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var attention = LatentAttentionBlock.Options()
        attention.lengths = (
            key: shape.keyLength,
            value: try hyper.int(
                "attention.value_length", in: 1...4096, default: shape.embeddingLength / shape.headCount)
        )
        let networks = try FeedForwards(hyper, shape)
        var ends = OutputHead.Options()
        ends.embeddingScale = 12
        ends.logitScale = 256 / Float(shape.embeddingLength)
        let rotation = try Rotation(longRope: hyper, weights, shape, pairing: .neox)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends), rotations: [rotation]
        ) { index, tensors throws(EngineError) in
            var layer = try DecoderLayer(
                tensors, shape, mixer: LatentAttentionBlock(tensors, hyper, shape, attention),
                feedForward: networks.bind(tensors, layer: index))
            layer.residualScale = 1.4 / Float(shape.layers).squareRoot()
            return layer
        }
    }
}
