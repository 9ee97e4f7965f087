// DeepSeek-V4: several residual streams, attention over a window and compressed entries, experts partly by token id.

import ChatTemplates

extension HFFamily {
    static let deepSeek4 = HFFamily(["DeepseekV4ForCausalLM"], "deepseek4") { b throws(ConvertError) in
        try b.deepSeek4()
    }
}

extension Blueprint {
    /// How many tokens one compressed entry stands for, per layer; 0 for a window alone.
    private func compressRatios(_ layers: Int) throws(ConvertError) -> [Int] {
        if let stated = try config.ints("compress_ratios"), stated.count >= layers {
            return Array(stated.prefix(layers))
        }
        let rates = config.object("compress_rates")
        var ratios: [Int] = []
        for kind in try config.optionalStrings("layer_types", count: layers) ?? [] {
            ratios.append(kind == "sliding_attention" ? 0 : rates?[kind]?.intValue ?? -1)
        }
        guard ratios.count == layers, ratios.allSatisfy({ [0, 4, 128].contains($0) }) else {
            throw config.conflict(
                "compress_rates", found: "\(ratios.prefix(8))", expected: "0, 4 or 128 for each layer")
        }
        return ratios
    }

    fileprivate func deepSeek4() throws(ConvertError) {
        try config.demand("scoring_func", "sqrtsoftplus")
        try config.demand("attention_bias", "false")
        let sizes = try DecoderSizes(config)
        let (layers, width) = (sizes.layers, sizes.width)
        let ratios = try compressRatios(layers)
        let queryRank = try config.int("q_lora_rank", in: 1...16384)
        let groups = try config.int("o_groups", in: 1...1024)
        let outputRank = try config.int("o_lora_rank", in: 1...16384)
        let streams = try config.int("hc_mult", in: 2...16)
        guard sizes.heads.isMultiple(of: groups) else {
            throw config.conflict("o_groups", found: groups, expected: "a divisor of the \(sizes.heads) heads")
        }
        var hashLayers = try config.int("num_hash_layers", in: 0...layers, default: 0)
        if let kinds = try config.optionalStrings("mlp_layer_types", count: layers) {
            hashLayers = kinds.firstIndex { $0 != "hash_moe" } ?? layers
        }
        set("block_count", layers)
        set("context_length", try config.int("max_position_embeddings"))
        set("embedding_length", width)
        set("embedding_length_out", streams * width)
        set("attention.head_count", sizes.heads)
        set("attention.head_count_kv", 1)
        set("attention.layer_norm_rms_epsilon", try config.double("rms_norm_eps", default: 1e-6))
        set("attention.key_length", sizes.headDim)
        set("attention.value_length", sizes.headDim)
        set("attention.q_lora_rank", queryRank)
        set("attention.sliding_window", try config.int("sliding_window", in: 1...(1 << 31)))
        set("attention.output_group_count", groups)
        set("attention.output_lora_rank", outputRank)
        setList("attention.compress_ratios", ratios)
        try deepSeek4Rotation()
        let index = (
            heads: try config.int("index_n_heads", in: 1...1024), dim: try config.int("index_head_dim", in: 2...4096)
        )
        set("attention.indexer.head_count", index.heads)
        set("attention.indexer.key_length", index.dim)
        set("attention.indexer.top_k", try config.int("index_topk", in: 1...(1 << 20)))
        let experts = try expertKeys(count: "n_routed_experts")
        let shared = try config.int("n_shared_experts", in: 1...64, default: 1)
        set("expert_shared_count", shared)
        set("expert_gating_func", 4)
        set("expert_weights_scale", try config.double("routed_scaling_factor", default: 1))
        set("expert_weights_norm", try config.bool("norm_topk_prob", default: true))
        let limit = try config.double("swiglu_limit")
        set("swiglu_clamp_exp", [Double](repeating: limit, count: layers))
        set("swiglu_clamp_shexp", [Double](repeating: limit, count: layers))
        set("hyper_connection.count", streams)
        set("hyper_connection.sinkhorn_iterations", try config.int("hc_sinkhorn_iters", in: 1...1000))
        set("hyper_connection.epsilon", try config.double("hc_eps"))
        set("hash_layer_count", hashLayers)

        // As published, or as transformers saves it.
        let saved = has("model.embed_tokens.weight")
        let prefix = saved ? "model." : ""
        try ends(
            width, embedding: saved ? "model.embed_tokens" : "embed", norm: "\(prefix)norm", output: "head")
        try hyperConnection(outside, "output_hc", saved ? "model.hc_head.hc" : "hc_head", streams, width, end: true)
        for layerIndex in 0..<layers {
            let layer = layer(layerIndex, from: "\(prefix)layers.")
            try layer.norm("attn_norm", "attn_norm", width)
            try layer.norm("ffn_norm", "ffn_norm", width)
            try hyperConnection(layer, "hc_attn", "\(layer.from)hc_attn", streams, width, end: false)
            try hyperConnection(layer, "hc_ffn", "\(layer.from)hc_ffn", streams, width, end: false)
            try layer.vector("attn_sinks.weight", "attn.attn_sink", sizes.heads)
            try layer.matrix("attn_q_a", "attn.wq_a", in: width, out: queryRank)
            try layer.norm("attn_q_a_norm", "attn.q_norm", queryRank)
            try layer.matrix("attn_q_b", "attn.wq_b", in: queryRank, out: sizes.queries)
            try layer.matrix("attn_kv", "attn.wkv", in: width, out: sizes.headDim)
            try layer.norm(
                "attn_kv_a_norm", "attn.\(layer.has("attn.kv_norm.weight") ? "kv_norm" : "norm")", sizes.headDim)
            try layer.matrix("attn_output_a", "attn.wo_a", in: sizes.queries / groups, out: groups * outputRank)
            try layer.matrix("attn_output_b", "attn.wo_b", in: groups * outputRank, out: width)
            let ratio = ratios[layerIndex]
            if ratio > 0 { try compressor(layer, "attn_compressor", "attn.compressor.", width, sizes.headDim, ratio) }
            if ratio == 4 {
                try compressor(layer, "indexer_compressor", "attn.indexer.compressor.", width, index.dim, ratio)
                try layer.matrix("indexer.attn_q_b", "attn.indexer.wq_b", in: queryRank, out: index.heads * index.dim)
                try layer.matrix("indexer.proj", "attn.indexer.weights_proj", in: width, out: index.heads)
            }
            let names = (gate: "w1", up: "w3", down: "w2")
            // Without its bias, which is one of the choice and not of the product.
            if let router = try take("\(layer.from)ffn.gate.weight", rows: experts.count, columns: width) {
                add("\(layer.to)ffn_gate_inp.weight", [width, experts.count], router)
            }
            if layerIndex < hashLayers {
                try expertTable(layer)
            }
            try layer.vector("exp_probs_b.bias", "ffn.gate.bias", experts.count, optional: layerIndex < hashLayers)
            try self.experts(layer, count: experts.count, width, experts.width, prefix: "ffn.experts.", names: names)
            try dense(
                layer, width, shared * experts.width, prefix: "ffn.shared_experts.", names: names, suffix: "_shexp")
        }
        ignoreLayers(from: layers)
        ignore { $0.hasPrefix("mtp.") }
    }

    /// Two rotations, of which only that of compressed layers is ever stretched.
    private func deepSeek4Rotation() throws(ConvertError) {
        let main = try RopeConfig(config, layerType: "main")
        let compressed = try RopeConfig(config, layerType: "compress")
        set("rope.freq_base", main.base)
        set("rope.dimension_count", try config.int("qk_rope_head_dim", in: 2...4096))
        let own = config.object("rope_parameters")?["compress"] != nil
        set(
            "attention.compress_rope_freq_base",
            own ? compressed.base : try config.double("compress_rope_theta", default: compressed.base))
        switch compressed.kind {
        case "default": break
        case "yarn": try yarn(compressed)
        default: throw config.conflict("rope_type", found: compressed.kind, expected: "default or yarn")
        }
    }

    /// The weights of the streams around one branch.
    private func hyperConnection(
        _ scope: TensorScope, _ name: String, _ source: String, _ streams: Int, _ width: Int, end: Bool
    ) throws(ConvertError) {
        let made = end ? streams : streams * (streams + 2)
        for (part, count) in [("base", made), ("scale", end ? 1 : 3)] {
            if let values = try takeVector("\(source)_\(part)", count) {
                add("\(scope.to)\(name)_\(part).weight", [count], values)
            }
        }
        if let values = try take("\(source)_fn", rows: made, columns: streams * width) {
            add("\(scope.to)\(name)_fn.weight", [streams * width, made], values)
        }
    }

    private func compressor(
        _ layer: TensorScope, _ name: String, _ source: String, _ width: Int, _ dim: Int, _ ratio: Int
    ) throws(ConvertError) {
        // With a ratio of 4 an entry mixes two windows, each with channels of its own.
        let channels = ratio == 4 ? 2 * dim : dim
        try layer.matrix("\(name)_kv", "\(source)wkv", in: width, out: channels)
        try layer.matrix("\(name)_gate", "\(source)wgate", in: width, out: channels)
        try layer.norm("\(name)_norm", "\(source)norm", dim)
        if let values = try take("\(layer.from)\(source)ape", rows: ratio, columns: channels) {
            add("\(layer.to)\(name)_ape.weight", [channels, ratio], values)
        }
    }

    /// The experts of each token id.
    private func expertTable(_ layer: TensorScope) throws(ConvertError) {
        let used = try config.int("num_experts_per_tok", in: 1...4096)
        let rows = isAdapter ? 0 : try rowCount("\(layer.from)ffn.gate.tid2eid", columns: used)
        if let values = try take("\(layer.from)ffn.gate.tid2eid", rows: rows, columns: used) {
            add("\(layer.to)ffn_gate_tid2eid.weight", [used, rows], values)
        }
    }
}
