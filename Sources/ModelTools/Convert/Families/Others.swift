// Families of their own form: gpt-oss, Gemma 4, BERT.

import ChatTemplates

extension HFFamily {
    static let gptOss = HFFamily(["GptOssForCausalLM"], "gpt-oss") { b throws(ConvertError) in
        let sizes = try DecoderSizes(b.config)
        if let kinds = try b.config.optionalStrings("layer_types", count: sizes.layers) {
            for (index, kind) in kinds.enumerated()
            where kind != (index.isMultiple(of: 2) ? "sliding_attention" : "full_attention") {
                throw b.config.conflict("layer_types[\(index)]", found: kind, expected: "sliding and full in turn")
            }
        }
        try b.config.demand("swiglu_limit", "7.0", "7")
        let hidden = try b.config.int("intermediate_size", in: 1...(1 << 20))
        try b.decoderKeys(sizes)
        let rope = try b.rotation(dims: sizes.headDim)
        guard rope.kind != "yarn" || rope.flag("truncate") == false else {
            throw b.config.conflict("rope_scaling.truncate", found: true, expected: "false, as in the release")
        }
        b.set("attention.sliding_window", try b.config.int("sliding_window", in: 1...(1 << 31)))
        let experts = try b.expertKeys(count: "num_local_experts", width: nil).count
        b.set("expert_feed_forward_length", hidden)
        try b.ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try b.commonNorms(layer, sizes.width, second: "post_attention_norm")
            try b.attention(layer, sizes)
            try layer.vector("attn_sinks.weight", "self_attn.sinks", sizes.heads)
            try layer.matrix("ffn_gate_inp", "mlp.router", in: sizes.width, out: experts)
            try b.gptOssExperts(layer, count: experts, sizes.width, hidden)
        }
    }

    static let gemma4 = HFFamily(
        ["Gemma4ForCausalLM", "Gemma4ForConditionalGeneration"], "gemma4"
    ) { b throws(ConvertError) in try b.gemma4() }

    static let bert = HFFamily(["BertModel", "BertForMaskedLM"], "bert") { b throws(ConvertError) in
        try b.config.demand("hidden_act", "gelu")
        try b.config.demand("position_embedding_type", "absolute")
        let sizes = try DecoderSizes(b.config)
        let hidden = try b.config.int("intermediate_size", in: 1...(1 << 20))
        b.set("block_count", sizes.layers)
        b.set("context_length", try b.config.int("max_position_embeddings"))
        b.set("embedding_length", sizes.width)
        b.set("feed_forward_length", hidden)
        b.set("attention.head_count", sizes.heads)
        b.set("attention.layer_norm_epsilon", try b.config.double("layer_norm_eps", default: 1e-12))
        b.set("attention.causal", false)
        let table = TensorScope(blueprint: b, to: "", from: "embeddings.")
        let vocabulary = try b.rowCount("embeddings.word_embeddings.weight", columns: sizes.width)
        let types = try b.rowCount("embeddings.token_type_embeddings.weight", columns: sizes.width)
        b.set("vocab_size", vocabulary)
        try table.matrix("token_embd", "word_embeddings", in: sizes.width, out: vocabulary)
        try table.matrix(
            "position_embd", "position_embeddings", in: sizes.width, out: try b.config.int("max_position_embeddings"))
        try table.matrix("token_types", "token_type_embeddings", in: sizes.width, out: types)
        try table.norm("token_embd_norm", "LayerNorm", sizes.width)
        for index in 0..<sizes.layers {
            let layer = b.layer(index, from: "encoder.layer.")
            for (name, source) in [("attn_q", "query"), ("attn_k", "key"), ("attn_v", "value")] {
                try layer.matrix(name, "attention.self.\(source)", in: sizes.width, out: sizes.width)
            }
            try layer.matrix("attn_output", "attention.output.dense", in: sizes.width, out: sizes.width)
            try layer.norm("attn_output_norm", "attention.output.LayerNorm", sizes.width)
            try layer.matrix("ffn_up", "intermediate.dense", in: sizes.width, out: hidden)
            try layer.matrix("ffn_down", "output.dense", in: hidden, out: sizes.width)
            try layer.norm("layer_output_norm", "output.LayerNorm", sizes.width)
        }
        // Heads for training, and the numbers 0, 1, 2 … as a table.
        b.ignore { $0.hasPrefix("pooler.") || $0.hasPrefix("cls.") || $0 == "embeddings.position_ids" }
    }
}

extension Blueprint {
    /// All experts in two tensors, gate and up in turn: in sixteen bits [experts, in, out], in four
    /// [experts, out, in] as blocks and scales.
    fileprivate func gptOssExperts(
        _ layer: TensorScope, count: Int, _ width: Int, _ hidden: Int
    ) throws(ConvertError) {
        func stack(_ name: String, in columns: Int, out rows: Int) throws(ConvertError) -> TensorValues? {
            let full = "\(layer.from)mlp.experts.\(name)"
            if isPacked(full) {
                return try take(full, rows: count * rows, columns: columns)
            }
            return try take(full, rows: count * columns, columns: rows).map { .transposed($0, groups: count, .init()) }
        }
        if let both = try stack("gate_up_proj", in: width, out: 2 * hidden) {
            for (name, offset) in [("gate", 0), ("up", 1)] {
                add(
                    "\(layer.to)ffn_\(name)_exps.weight", [width, hidden, count],
                    .rows(both, count: count * hidden) { 2 * $0 + offset })
            }
        }
        if let down = try stack("down_proj", in: hidden, out: width) {
            add("\(layer.to)ffn_down_exps.weight", [hidden, width, count], down)
        }
        if let bias = try take("\(layer.from)mlp.experts.gate_up_proj_bias", rows: count, columns: 2 * hidden) {
            for (name, offset) in [("gate", 0), ("up", 1)] {
                add(
                    "\(layer.to)ffn_\(name)_exps.bias", [hidden, count],
                    .columns(bias, source: (0..<hidden).map { 2 * $0 + offset }))
            }
        }
        if let bias = try take("\(layer.from)mlp.experts.down_proj_bias", rows: count, columns: width) {
            add("\(layer.to)ffn_down_exps.bias", [width, count], bias)
        }
    }

    fileprivate func gemma4() throws(ConvertError) {
        try config.demand("hidden_activation", "gelu_pytorch_tanh")
        try config.demand("hidden_size_per_layer_input", "0")
        try config.demand("num_kv_shared_layers", "0")
        try config.demand("use_double_wide_mlp", "false")
        let sliding = try DecoderSizes(config)
        guard let kinds = try config.optionalStrings("layer_types", count: sliding.layers) else {
            throw config.conflict("layer_types", found: "missing", expected: "the kind of each layer")
        }
        let isSliding = kinds.map { $0 == "sliding_attention" }
        let firstFull = isSliding.firstIndex(of: false) ?? 0
        let own = config.object("per_layer_config")?["\(firstFull)"]
        let fullDim = own?["head_dim"]?.intValue ?? config.number("global_head_dim") ?? sliding.headDim
        let keysAreValues = try config.bool("attention_k_eq_v", default: false)
        let fullHeads =
            own?["num_key_value_heads"]?.intValue ?? config.number("num_global_key_value_heads")
            ?? sliding.headsKV
        guard 2...4096 ~= fullDim, 1...sliding.heads ~= fullHeads, sliding.heads.isMultiple(of: fullHeads) else {
            throw config.conflict(
                "global_head_dim", found: "\(fullHeads) heads of \(fullDim)", expected: "heads that the model can have")
        }
        let full = DecoderSizes(sliding, headsKV: fullHeads, headDim: fullDim)
        let mixture = try config.bool("enable_moe_block", default: false)
        let hidden = try config.int("intermediate_size", in: 1...(1 << 20))
        let headsKV = isSliding.map { $0 ? sliding.headsKV : fullHeads }
        try decoderKeys(full, headsKV: Set(headsKV).count > 1 ? headsKV : nil)
        set("attention.sliding_window", try config.int("sliding_window", in: 1...(1 << 31)))
        set("attention.sliding_window_pattern", isSliding)
        set("attention.key_length_swa", sliding.headDim)
        set("attention.value_length_swa", sliding.headDim)
        set("attention.shared_kv_layers", 0)
        set("embedding_length_per_layer_input", 0)
        set("final_logit_softcapping", try config.double("final_logit_softcapping", default: 0))
        try gemmaRotation(slidingDim: sliding.headDim, fullDim: fullDim)
        let experts = mixture ? try expertKeys(used: "top_k_experts") : (count: 0, width: 0)
        try ends(sliding.width)
        var rules = AttentionRules()
        rules.norm = .perHead
        for index in 0..<sliding.layers {
            let layer = layer(index)
            let sizes = isSliding[index] ? sliding : full
            rules.hasValues = isSliding[index] || !keysAreValues
            for (name, source) in [
                ("attn_norm", "input_layernorm"), ("post_attention_norm", "post_attention_layernorm"),
                ("ffn_norm", "pre_feedforward_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm"),
            ] { try layer.norm(name, source, sizes.width) }
            try layer.vector("layer_output_scale.weight", "layer_scalar", 1)
            try attention(layer, sizes, rules)
            try dense(layer, sizes.width, hidden)
            guard mixture else { continue }
            try layer.norm("post_ffw_norm_1", "post_feedforward_layernorm_1", sizes.width)
            try layer.norm("pre_ffw_norm_2", "pre_feedforward_layernorm_2", sizes.width)
            try layer.norm("post_ffw_norm_2", "post_feedforward_layernorm_2", sizes.width)
            try layer.matrix("ffn_gate_inp", "router.proj", in: sizes.width, out: experts.count)
            try layer.vector("ffn_gate_inp.scale", "router.scale", sizes.width)
            try layer.vector("ffn_down_exps.scale", "router.per_expert_scale", experts.count)
            try stackedExperts(
                layer, count: experts.count, sizes.width, experts.width, gateUp: "experts.gate_up_proj",
                down: "experts.down_proj", keepsFused: true)
        }
    }

    /// Sliding layers rotate whole heads, full ones a part: divisors so large that the other pairs stand still.
    private func gemmaRotation(slidingDim: Int, fullDim: Int) throws(ConvertError) {
        let full = try RopeConfig(config, defaultBase: 1_000_000, layerType: "full_attention")
        let sliding = try RopeConfig(config, layerType: "sliding_attention")
        guard ["default", "proportional"].contains(full.kind), sliding.kind == "default", sliding.partial == 1 else {
            throw config.conflict("rope_type", found: full.kind, expected: "proportional, and default where it slides")
        }
        set("rope.freq_base", full.base)
        set("rope.freq_base_swa", sliding.base)
        set("rope.dimension_count", fullDim)
        set("rope.dimension_count_swa", slidingDim)
        let turning = Int(full.partial * Double(fullDim)) / 2
        constant("rope_freqs.weight", (0..<fullDim / 2).map { $0 < turning ? 1 : 1e30 })
    }
}
