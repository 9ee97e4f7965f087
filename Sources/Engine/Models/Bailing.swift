/// `bailingmoe2`: Ling and Ring 2.0; `bailingmoe3`: Ling 3.0.
///
/// Ant Group 2025. A norm of every query and key head, rotation of part of a head, one tensor for queries, keys and
/// values. The first layers are dense; the others route by sigmoid with a bias for the choice and a limit to the best
/// groups of experts, and add a shared one. Prediction layers are left out.
package struct Bailing2: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        var routed = ExpertsBlock.Options(
            score: .stated(default: .sigmoid), normalize: .stated(default: true), shared: .added)
        routed.selectionBias = .optional
        routed.normalizeEpsilon = 1e-20
        routed.grouped = true
        let networks = try FeedForwards(hyper, shape, routed: routed, mixture: .behindDense)
        let rope = try RopeFrequencies(hyper, headDim: shape.keyLength)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts, predicts: false
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: networks.bind(tensors, layer: index))
        }
    }
}

/// `bailingmoe3`: the parts of Kimi Linear again. Kimi delta attention whose gates are made by full projections and
/// whose decays have a floor; here and there latent attention with a rotation, each head's result behind a sigmoid gate.
/// Source: Hugging Face transformers `modeling_bailing_hybrid.py`.
package struct Bailing3: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let blocks = shape.layers + shape.nextTokenLayers
        // A file that says nothing has the safe gate.
        // Full projections are what configurations call no_kda_lora; files show it by their tensors.
        let isSafe = try hyper.bool("kda.safe_gate", default: true)
        let floor = Float(try hyper.float("kda.gate_lower_bound", in: -1000...0, default: -5))
        for key in ["swiglu_clamp_exp", "swiglu_clamp_shexp"] {
            for limit in try hyper.floats(key, count: blocks, in: 0...1e6, default: 0) where limit != 0 {
                throw hyper.conflict(key, found: limit, expected: "0: activations that are not clamped")
            }
        }
        var attention = LatentAttentionBlock.Options()
        attention.hasHeadGate = true
        var routed = ExpertsBlock.Options(
            score: .stated(default: .sigmoid), normalize: .stated(default: true), shared: .added)
        routed.selectionBias = .optional
        routed.normalizeEpsilon = 1e-20
        routed.grouped = true
        let networks = try FeedForwards(hyper, shape, routed: routed, mixture: .behindDense)
        let keyLength = try hyper.int("attention.key_length_mla", in: 1...8192)
        let rope = try RopeFrequencies(hyper, headDim: keyLength)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.norm))],
            experts: networks.experts, predicts: false
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape,
                mixer: shape.headCountKV[index] > 0
                    ? LatentAttentionBlock(tensors, hyper, shape, attention)
                    : KimiDeltaBlock(
                        tensors, hyper, shape, floor: isSafe ? floor : nil, lowRank: tensors.contains("ssm_f_b")),
                feedForward: networks.bind(tensors, layer: index))
        }
    }
}
