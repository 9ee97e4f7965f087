// Latent attention: DeepSeek-V2 and V3, their relatives, and those with an index of positions.

extension HFFamily {
    static let deepSeek2 = HFFamily(
        ["DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "Glm4MoeLiteForCausalLM"], "deepseek2"
    ) { b throws(ConvertError) in try b.deepSeek() }

    static let deepSeek32 = HFFamily(
        ["DeepseekV32ForCausalLM", "GlmMoeDsaForCausalLM"],
        choosing: { $0.architecture.hasPrefix("Glm") ? "glm-dsa" : "deepseek32" }
    ) { b throws(ConvertError) in try b.deepSeek() }

    static let glm4MoE = HFFamily(["Glm4MoeForCausalLM"], "glm4moe") { b throws(ConvertError) in
        let sizes = try DecoderSizes(b.config)
        let hidden = try b.config.int("intermediate_size", in: 1...(1 << 20))
        let dense = try b.leadingDenseLayers(sizes.layers)
        let predictors = b.has("model.layers.\(sizes.layers).eh_proj.weight") ? 1 : 0
        try b.decoderKeys(sizes, blocks: sizes.layers + predictors)
        try b.rotation(dims: sizes.headDim)
        let experts = try b.expertKeys(count: "n_routed_experts")
        let shared = try b.config.int("n_shared_experts", in: 1...64, default: 1)
        b.set("expert_shared_count", shared)
        b.set("leading_dense_block_count", dense)
        try b.routingKeys(sigmoid: true)
        b.set("nextn_predict_layers", predictors)
        try b.ends(sizes.width)
        var rules = Blueprint.AttentionRules()
        rules.norm = .perHeadIfPresent
        for index in 0..<sizes.layers + predictors {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width, second: "post_attention_norm")
            try b.attention(layer, sizes, rules)
            if index < dense {
                try b.dense(layer, sizes.width, hidden)
            } else {
                try b.sharedMixture(layer, sizes.width, experts, shared: shared * experts.width, biased: true)
            }
        }
        guard predictors > 0 else { return }
        let last = b.layer(sizes.layers)
        try last.matrix("nextn.eh_proj", "eh_proj", in: 2 * sizes.width, out: sizes.width)
        try last.norm("nextn.enorm", "enorm", sizes.width)
        try last.norm("nextn.hnorm", "hnorm", sizes.width)
        try last.norm("nextn.shared_head_norm", "shared_head.norm", sizes.width)
        // Copies of the model's own tables.
        b.ignore { $0 == "\(last.from)embed_tokens.weight" || $0 == "\(last.from)shared_head.head.weight" }
    }
}

/// The sizes of latent attention.
struct LatentSizes {
    /// Of the queries' latent; nil for queries made in one step.
    let queryRank: Int?
    let rank: Int
    /// The part of a key head that does not rotate, and the part that does.
    let plain: Int
    let rotated: Int
    let value: Int

    init(_ b: Blueprint) throws(ConvertError) {
        queryRank = try b.config.optionalInt("q_lora_rank", in: 1...16384)
        rank = try b.config.int("kv_lora_rank", in: 1...8192)
        plain = try b.config.int("qk_nope_head_dim", in: 1...4096)
        rotated = try b.config.int("qk_rope_head_dim", in: 2...4096)
        value = try b.config.int("v_head_dim", in: 1...4096)
    }

    func keys(_ b: Blueprint) {
        if let queryRank { b.set("attention.q_lora_rank", queryRank) }
        b.set("attention.kv_lora_rank", rank)
        // As one key-value head: the latent and what rotates.
        b.set("attention.key_length", rank + rotated)
        b.set("attention.value_length", rank)
        b.set("attention.key_length_mla", plain + rotated)
        b.set("attention.value_length_mla", value)
        b.set("rope.dimension_count", rotated)
    }
}

extension Blueprint {
    /// Layers with a dense network before those with experts.
    func leadingDenseLayers(_ layers: Int) throws(ConvertError) -> Int {
        guard let kinds = try config.optionalStrings("mlp_layer_types") else {
            return try config.int("first_k_dense_replace", in: 0...layers, default: 0)
        }
        let dense = kinds.firstIndex { $0 != "dense" } ?? kinds.count
        guard kinds.count >= layers, kinds[dense...].allSatisfy({ $0 == "sparse" }) else {
            throw config.conflict(
                "mlp_layer_types", found: kinds.joined(separator: " "), expected: "dense layers, then sparse ones")
        }
        return dense
    }

    /// A mixture beside an expert for every token.
    func sharedMixture(
        _ layer: TensorScope, _ width: Int, _ experts: (count: Int, width: Int), shared: Int, biased: Bool
    ) throws(ConvertError) {
        try layer.matrix("ffn_gate_inp", "mlp.gate", in: width, out: experts.count)
        if biased { try layer.vector("exp_probs_b.bias", "mlp.gate.e_score_correction_bias", experts.count) }
        try self.experts(layer, count: experts.count, width, experts.width)
        if shared > 0 { try dense(layer, width, shared, prefix: "mlp.shared_experts.", suffix: "_shexp") }
    }

    fileprivate func deepSeek() throws(ConvertError) {
        try config.demand("rope_interleave", "true")
        try config.demand("attention_bias", "false")
        try config.demand("moe_layer_freq", "1")
        // The groups' best by the largest score, which the engine does not do.
        try config.demand("topk_method", "greedy", "noaux_tc")
        let sizes = try DecoderSizes(config)
        let latent = try LatentSizes(self)
        let hidden = try config.int("intermediate_size", in: 1...(1 << 20))
        let dense = try leadingDenseLayers(sizes.layers)
        let isSecond = config.architecture == "DeepseekV2ForCausalLM"
        let sigmoid = try config.optionalString("scoring_func").map { $0 == "sigmoid" } ?? !isSecond

        set("block_count", sizes.layers)
        set("context_length", try config.int("max_position_embeddings"))
        set("embedding_length", sizes.width)
        set("feed_forward_length", hidden)
        set("attention.head_count", sizes.heads)
        set("attention.head_count_kv", 1)
        set("attention.layer_norm_rms_epsilon", try config.double("rms_norm_eps", default: 1e-6))
        latent.keys(self)
        try latentRotation()
        let experts = try expertKeys(count: "n_routed_experts")
        let shared = try config.int("n_shared_experts", in: 0...64, default: 0)
        set("expert_shared_count", shared)
        set("leading_dense_block_count", dense)
        try routingKeys(sigmoid: sigmoid)
        let indexer = try architecture == "deepseek2" ? nil : indexerKeys(sizes.layers)
        try ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = layer(index)
            try commonNorms(layer, sizes.width)
            try latentAttention(layer, sizes, latent)
            if let indexer, indexer.own[index] {
                let rank = latent.queryRank ?? sizes.width
                try layer.matrix(
                    "indexer.attn_q_b", "self_attn.indexer.wq_b", in: rank, out: indexer.heads * indexer.dim)
                try layer.matrix("indexer.attn_k", "self_attn.indexer.wk", in: sizes.width, out: indexer.dim)
                try layer.norm("indexer.k_norm", "self_attn.indexer.k_norm", indexer.dim)
                try layer.matrix("indexer.proj", "self_attn.indexer.weights_proj", in: sizes.width, out: indexer.heads)
            }
            if index < dense {
                try self.dense(layer, sizes.width, hidden)
            } else {
                try sharedMixture(
                    layer, sizes.width, experts, shared: shared * experts.width,
                    biased: layer.has("mlp.gate.e_score_correction_bias") || (sigmoid && !isAdapter))
            }
        }
        ignoreLayers(from: sizes.layers)
    }

    /// YaRN has one more number here: how much it sharpens attention (`yarn_log_multiplier`, a tenth of the
    /// configuration's `mscale_all_dim`).
    private func latentRotation() throws(ConvertError) {
        let rope = try RopeConfig(config)
        set("rope.freq_base", rope.base)
        switch rope.kind {
        case "default": break
        case "yarn":
            try yarn(rope)
            if let all = rope.optional("mscale_all_dim") { set("rope.scaling.yarn_log_multiplier", 0.1 * all) }
            let (scale, all) = (rope.optional("mscale") ?? 1, rope.optional("mscale_all_dim") ?? 0)
            guard architecture == "deepseek2" ? scale == all : scale == 1 else {
                throw config.conflict(
                    "rope_scaling.mscale", found: scale,
                    expected: architecture == "deepseek2" ? "mscale_all_dim, \(all)" : "1")
            }
        default: throw config.conflict("rope_type", found: rope.kind, expected: "default or yarn")
        }
    }

    func latentAttention(
        _ layer: TensorScope, _ sizes: DecoderSizes, _ latent: LatentSizes
    ) throws(ConvertError) {
        let queries = sizes.heads * (latent.plain + latent.rotated)
        if let rank = latent.queryRank {
            try layer.matrix("attn_q_a", "self_attn.q_a_proj", in: sizes.width, out: rank)
            try layer.norm("attn_q_a_norm", "self_attn.q_a_layernorm", rank)
            try layer.matrix("attn_q_b", "self_attn.q_b_proj", in: rank, out: queries)
        } else {
            try layer.matrix("attn_q", "self_attn.q_proj", in: sizes.width, out: queries)
        }
        try layer.matrix(
            "attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa", in: sizes.width, out: latent.rank + latent.rotated)
        try layer.norm("attn_kv_a_norm", "self_attn.kv_a_layernorm", latent.rank)
        try layer.matrix("attn_output", "self_attn.o_proj", in: sizes.heads * latent.value, out: sizes.width)

        // Keys and values of each head from the latent: two tensors, that of the keys mirrored, so that it can be
        // multiplied with queries.
        let period = latent.plain + latent.value
        guard
            let both = try take(
                "\(layer.from)self_attn.kv_b_proj.weight", rows: sizes.heads * period, columns: latent.rank)
        else { return }
        let plain = latent.plain
        let keys = TensorValues.rows(both, count: sizes.heads * plain) { $0 / plain * period + $0 % plain }
        add(
            "\(layer.to)attn_k_b.weight", [plain, latent.rank, sizes.heads],
            .transposed(keys, groups: sizes.heads, .init()))
        let value = latent.value
        let values = TensorValues.rows(both, count: sizes.heads * value) { $0 / value * period + plain + $0 % value }
        add("\(layer.to)attn_v_b.weight", [latent.rank, value, sizes.heads], values)
    }

    private func indexerKeys(_ layers: Int) throws(ConvertError) -> (heads: Int, dim: Int, own: [Bool]) {
        let heads = try config.int("index_n_heads", in: 1...1024)
        let dim = try config.int("index_head_dim", in: 2...4096)
        set("attention.indexer.head_count", heads)
        set("attention.indexer.key_length", dim)
        set("attention.indexer.top_k", try config.int("index_topk", in: 1...(1 << 20)))
        var own = [Bool](repeating: true, count: layers)
        if let kinds = try config.optionalStrings("indexer_types", count: layers) { own = kinds.map { $0 == "full" } }
        if architecture == "glm-dsa" { set("attention.indexer.types", own) }
        return (heads, dim, own)
    }
}
