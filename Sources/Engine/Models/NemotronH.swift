/// `nemotron_h` and `nemotron_h_moe`: Nemotron-H, Nemotron 3 Nano and Super.
///
/// Every block holds one branch: a Mamba2 mixer, attention without rotation, or a feed-forward network. Networks and
/// experts have no gate: down(relu(up · x)²). Routing is by sigmoid with a bias for the choice, and one expert is
/// shared; in Super the routed experts work in a smaller latent space.
///
/// Sources: NVIDIA 2025 (Nemotron-H, Nemotron 3), Hugging Face transformers `modeling_nemotron_h.py`.
package struct NemotronH: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        // Either name is in use for the epsilon of the RMS norms.
        let rmsKey = "attention.layer_norm_rms_epsilon"
        let epsilonKey = try hyper.optionalFloat(rmsKey, in: 0...1) == nil ? "attention.layer_norm_epsilon" : rmsKey
        let shape = try DecoderShape(hyper, nextTokenLayers: true, epsilonKey: epsilonKey)
        let mixture = hyper.architecture == "nemotron_h_moe"
        let blocks = shape.layers + shape.nextTokenLayers
        let widths = try hyper.ints("feed_forward_length", count: blocks, in: 0...(1 << 20))
        var dense = DenseBlock.Options()
        dense.activation = .plain(.reluSquared)
        var routed = ExpertsBlock.Options(
            score: .always(.sigmoid), normalize: .stated(default: true), shared: .added)
        routed.selectionBias = .required
        routed.grouped = true
        routed.activation = .plain(.reluSquared)
        routed.latentWidth = try hyper.optionalInt("moe_latent_size", in: 1...(1 << 17))

        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), experts: mixture ? ExpertCounts(hyper) : nil, predicts: false
        ) { index, tensors throws(EngineError) in
            // Whatever the branch, its norm is `attn_norm`.
            let norm = try Norm(tensors, "attn_norm", shape.embeddingLength, epsilon: shape.epsilon)
            var layer = DecoderLayer()
            if shape.headCountKV[index] > 0 {
                (layer.attnNorm, layer.mixer) = (norm, try AttentionBlock(tensors, shape, layer: index))
            } else if widths[index] == 0 {
                (layer.attnNorm, layer.mixer) = (norm, try Mamba2Block(tensors, hyper, shape))
            } else if mixture {
                (layer.ffnNorm, layer.feedForward) = (norm, try ExpertsBlock(tensors, hyper, shape, routed))
            } else {
                layer.ffnNorm = norm
                layer.feedForward = try DenseBlock(
                    tensors, embedding: shape.embeddingLength, width: widths[index], dense)
            }
            return layer
        }
    }
}
