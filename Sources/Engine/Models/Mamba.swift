/// `mamba`, `mamba2`: Mamba 1 and 2, Falcon-Mamba, Codestral-Mamba; `jamba`: Jamba.
///
/// A Mamba model is nothing but mixers. Falcon-Mamba norms what makes the steps, without weights. Jamba (AI21 2024) has
/// the same norms with weights, attention without rotation in some layers, and a network in every one, in some of them
/// experts whose weights are not normalised.
///
/// Sources: Hugging Face transformers `modeling_mamba.py`, `modeling_mamba2.py`, `modeling_falcon_mamba.py`,
/// `modeling_jamba.py`.
package struct Mamba: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, attends: false)
        let isSecond = hyper.architecture == "mamba2"
        let isNormed = isSecond ? false : try hyper.bool("ssm.dt_b_c_rms", default: false)
        let norms = isNormed ? Mamba1Block.Norms.weightless : .none
        stack = try DecoderStack(shape, weights, OutputHead(weights, shape)) { index, tensors throws(EngineError) in
            var layer = DecoderLayer()
            layer.attnNorm = try Norm(tensors, "attn_norm", shape.embeddingLength, epsilon: shape.epsilon)
            layer.mixer =
                isSecond
                ? try Mamba2Block(tensors, hyper, shape) : try Mamba1Block(tensors, hyper, shape, norms: norms)
            return layer
        }
    }
}

package struct Jamba: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        let mixture = try hyper.int("expert_count", in: 0...4096, default: 0) > 0
        var routed = ExpertsBlock.Options(score: .always(.softmax), normalize: .always(false))
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), experts: mixture ? ExpertCounts(hyper) : nil
        ) { index, tensors throws(EngineError) in
            // Which layers have experts only the tensors tell.
            routed.width = widths[index]
            return try DecoderLayer(
                tensors, shape,
                mixer: shape.headCountKV[index] > 0
                    ? AttentionBlock(tensors, shape, layer: index)
                    : Mamba1Block(tensors, hyper, shape, norms: .weighted),
                feedForward: mixture && tensors.contains("ffn_gate_inp")
                    ? ExpertsBlock(tensors, hyper, shape, routed)
                    : DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index]))
        }
    }
}
