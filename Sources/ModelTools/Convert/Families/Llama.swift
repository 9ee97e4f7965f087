// Families of the Llama form: norms before attention and network, rotation, SiLU-gated networks or a mixture of them.

extension HFFamily {
    static let llama = HFFamily(["LlamaForCausalLM", "MistralForCausalLM"], "llama") { b throws(ConvertError) in
        try b.config.demand("hidden_act", "silu")
        let sizes = try DecoderSizes(b.config)
        let hidden = try b.config.int("intermediate_size", in: 1...(1 << 20))
        try b.decoderKeys(sizes)
        try b.slidingWindow()
        try b.rotation(dims: sizes.headDim)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width)
            try b.attention(layer, sizes, .interleaved)
            try b.dense(layer, sizes.width, hidden)
        }
    }

    static let mixtral = HFFamily(["MixtralForCausalLM"], "llama") { b throws(ConvertError) in
        let sizes = try DecoderSizes(b.config)
        try b.decoderKeys(sizes)
        try b.slidingWindow()
        try b.rotation(dims: sizes.headDim)
        let experts = try b.expertKeys(count: "num_local_experts", width: nil)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width)
            try b.attention(layer, sizes, .interleaved)
            try b.sparseBlock(layer, sizes.width, experts)
        }
    }

    static let seedOss = HFFamily(["SeedOssForCausalLM"], "seed_oss") { b throws(ConvertError) in
        let sizes = try DecoderSizes(b.config)
        let hidden = try b.config.int("intermediate_size", in: 1...(1 << 20))
        try b.decoderKeys(sizes)
        try b.rotation(dims: sizes.headDim)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width, second: "post_attention_norm")
            try b.attention(layer, sizes)
            try b.dense(layer, sizes.width, hidden)
        }
    }

    static let olmoe = HFFamily(["OlmoeForCausalLM"], "olmoe") { b throws(ConvertError) in
        try b.config.demand("clip_qkv", "null")
        try b.config.demand("norm_topk_prob", "false")
        let sizes = try DecoderSizes(b.config)
        try b.decoderKeys(sizes)
        try b.rotation(dims: sizes.headDim)
        let experts = try b.expertKeys(width: nil)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width)
            try b.attention(layer, sizes, .normedOverAllHeads)
            try layer.matrix("ffn_gate_inp", "mlp.gate", in: sizes.width, out: experts.count)
            try b.experts(layer, count: experts.count, sizes.width, experts.width)
        }
    }

    static let miniMaxM2 = HFFamily(["MiniMaxM2ForCausalLM"], "minimax-m2") { b throws(ConvertError) in
        try b.config.demand("scoring_func", "sigmoid")
        let sizes = try DecoderSizes(b.config)
        try b.decoderKeys(sizes)
        let rope = try RopeConfig(b.config)
        let rotated = try b.config.int(
            "rotary_dim", in: 2...sizes.headDim, default: Int(rope.partial * Double(sizes.headDim)))
        b.set("rope.freq_base", rope.base)
        b.set("rope.dimension_count", rotated)
        guard rope.kind == "default" else {
            throw b.config.conflict("rope_type", found: rope.kind, expected: "default")
        }
        let experts = try b.expertKeys(count: "num_local_experts", width: nil)
        b.set("expert_feed_forward_length", experts.width)
        b.set("expert_gating_func", 2)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width)
            try b.attention(layer, sizes, .normedOverAllHeads)
            try layer.vector("exp_probs_b.bias", "block_sparse_moe.e_score_correction_bias", experts.count)
            try b.sparseBlock(layer, sizes.width, experts)
        }
        b.ignoreLayers(from: sizes.layers)
    }

    static let phi3 = HFFamily(["Phi3ForCausalLM"], "phi3") { b throws(ConvertError) in
        let sizes = try DecoderSizes(b.config)
        let hidden = try b.config.int("intermediate_size", in: 1...(1 << 20))
        try b.decoderKeys(sizes)
        try b.slidingWindow(always: true)
        try b.rotation(dims: sizes.headDim)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width)
            try layer.matrix("attn_qkv", "self_attn.qkv_proj", in: sizes.width, out: sizes.queries + 2 * sizes.keys)
            try layer.matrix("attn_output", "self_attn.o_proj", in: sizes.queries, out: sizes.width)
            try layer.matrix("ffn_up", "mlp.gate_up_proj", in: sizes.width, out: 2 * hidden)
            try layer.matrix("ffn_down", "mlp.down_proj", in: hidden, out: sizes.width)
        }
    }

    static let phiMoE = HFFamily(["PhimoeForCausalLM", "PhiMoEForCausalLM"], "phimoe") { b throws(ConvertError) in
        try b.config.demand("router_jitter_noise", "0.01")
        let sizes = try DecoderSizes(b.config)
        try b.decoderKeys(sizes)
        try b.slidingWindow(always: true)
        try b.rotation(dims: sizes.headDim)
        let experts = try b.expertKeys(count: "num_local_experts", width: nil)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width)
            try b.attention(layer, sizes)
            try b.sparseBlock(layer, sizes.width, experts)
        }
    }

    static let ernie45MoE = HFFamily(["Ernie4_5_MoeForCausalLM"], "ernie4_5-moe") { b throws(ConvertError) in
        let sizes = try DecoderSizes(b.config)
        let hidden = try b.config.int("intermediate_size", in: 1...(1 << 20))
        let first = try b.config.int("moe_layer_start_index", in: 0...sizes.layers, default: 0)
        let interval = try b.config.int("moe_layer_interval", in: 1...1024, default: 1)
        let last = try b.config.int("moe_layer_end_index", in: -1...1024, default: -1)
        guard last == -1 || last == sizes.layers - 1 else {
            throw b.config.conflict("moe_layer_end_index", found: last, expected: "the last layer")
        }
        try b.decoderKeys(sizes)
        try b.rotation(dims: sizes.headDim)
        let experts = try b.expertKeys(count: "moe_num_experts", used: "moe_k")
        let shared = try b.config.int("moe_num_shared_experts", in: 1...64) * experts.width
        b.set("interleave_moe_layer_step", interval)
        b.set("leading_dense_block_count", first)
        b.set("expert_shared_count", shared / experts.width)
        b.set("expert_shared_feed_forward_length", shared)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width)
            try b.attention(layer, sizes)
            guard index >= first, (index + 1).isMultiple(of: interval) else {
                try b.dense(layer, sizes.width, hidden)
                continue
            }
            try layer.matrix("ffn_gate_inp", "mlp.gate", in: sizes.width, out: experts.count)
            try layer.vector("exp_probs_b.bias", "mlp.moe_statics.e_score_correction_bias", experts.count)
            try b.experts(layer, count: experts.count, sizes.width, experts.width)
            try b.dense(layer, sizes.width, shared, prefix: "mlp.shared_experts.", suffix: "_shexp")
        }
        b.ignore { $0.hasPrefix("model.mtp_") }
    }
}

extension Blueprint {
    /// The norms before attention and network under their usual names.
    func commonNorms(
        _ layer: TensorScope, _ width: Int, second: String = "ffn_norm", plusOne: Bool = false
    ) throws(ConvertError) {
        try layer.norm("attn_norm", "input_layernorm", width, plusOne: plusOne)
        try layer.norm(second, "post_attention_layernorm", width, plusOne: plusOne)
    }

    /// A mixture under Mixtral's names.
    func sparseBlock(
        _ layer: TensorScope, _ width: Int, _ experts: (count: Int, width: Int)
    ) throws(ConvertError) {
        try layer.matrix("ffn_gate_inp", "block_sparse_moe.gate", in: width, out: experts.count)
        try self.experts(
            layer, count: experts.count, width, experts.width, prefix: "block_sparse_moe.experts.",
            names: ("w1", "w3", "w2"))
    }

    /// `attention.sliding_window`, for families that have it in every layer.
    /// - Parameter always: 0 for none, where readers look for the key.
    func slidingWindow(always: Bool = false) throws(ConvertError) {
        let window = try config.int("sliding_window", in: 0...(1 << 31), default: 0)
        if window > 0 || always { set("attention.sliding_window", window) }
    }

    /// Layers behind the main ones, which predict further and which the family leaves out.
    func ignoreLayers(from first: Int) {
        ignore { name in
            let parts = name.split(separator: ".", maxSplits: 3)
            return parts.count > 2 && parts[0] == "model" && parts[1] == "layers" && (Int(parts[2]) ?? 0) >= first
        }
    }
}
