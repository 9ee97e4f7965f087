// Qwen 2 to 3.5, dense and as mixtures.

extension HFFamily {
    static let qwen2 = HFFamily(["Qwen2ForCausalLM"], "qwen2") { b throws(ConvertError) in
        try b.qwen(norm: .none, mixture: false)
    }
    static let qwen3 = HFFamily(["Qwen3ForCausalLM"], "qwen3") { b throws(ConvertError) in
        try b.qwen(norm: .perHead, mixture: false)
    }
    static let qwen2MoE = HFFamily(["Qwen2MoeForCausalLM"], "qwen2moe") { b throws(ConvertError) in
        try b.config.demand("norm_topk_prob", "false")
        try b.qwen(norm: .none, mixture: true)
    }
    static let qwen3MoE = HFFamily(["Qwen3MoeForCausalLM"], "qwen3moe") { b throws(ConvertError) in
        try b.config.demand("norm_topk_prob", "true", orAbsent: false)
        try b.qwen(norm: .perHead, mixture: true)
    }

    /// Gated DeltaNet layers and gated attention, with a layer that predicts further in the published models.
    static let qwen35 = HFFamily(
        [
            "Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForCausalLM",
            "Qwen3_5MoeForConditionalGeneration",
        ],
        choosing: { $0.architecture.contains("Moe") ? "qwen35moe" : "qwen35" }
    ) { b throws(ConvertError) in try b.qwen35() }
}

extension Blueprint {
    fileprivate func qwen(norm: AttentionRules.NormRule, mixture: Bool) throws(ConvertError) {
        try config.demand("use_sliding_window", "false")
        try config.demand("hidden_act", "silu")
        let denseLayers = try config.ints("mlp_only_layers")
        guard denseLayers?.isEmpty ?? true else {
            throw config.conflict("mlp_only_layers", found: "a list", expected: "none: every layer a mixture")
        }
        if mixture { try config.demand("decoder_sparse_step", "1") }
        let sizes = try DecoderSizes(config)
        let hidden = try config.int("intermediate_size", in: 0...(1 << 20), default: mixture ? 0 : nil)
        try decoderKeys(sizes, feedForward: hidden > 0 ? [hidden] : [])
        try rotation(dims: sizes.headDim)
        let count = config.has("num_experts") ? "num_experts" : "num_local_experts"
        let experts = mixture ? try expertKeys(count: count) : (0, 0)
        let shared = mixture ? try config.int("shared_expert_intermediate_size", in: 0...(1 << 20), default: 0) : 0
        if shared > 0 { set("expert_shared_feed_forward_length", shared) }
        try ends(sizes.width)
        var rules = AttentionRules()
        rules.norm = norm
        for index in 0..<sizes.layers {
            let layer = layer(index)
            try commonNorms(layer, sizes.width)
            try attention(layer, sizes, rules)
            if mixture {
                try qwenMixture(layer, sizes.width, experts, shared: shared)
            } else {
                try dense(layer, sizes.width, hidden)
            }
        }
    }

    private func qwenMixture(
        _ layer: TensorScope, _ width: Int, _ experts: (count: Int, width: Int), shared: Int
    ) throws(ConvertError) {
        try layer.matrix("ffn_gate_inp", "mlp.gate", in: width, out: experts.count)
        try self.experts(layer, count: experts.count, width, experts.width)
        guard shared > 0 else { return }
        try layer.matrix("ffn_gate_inp_shexp", "mlp.shared_expert_gate", in: width, out: 1)
        try dense(layer, width, shared, prefix: "mlp.shared_expert.", suffix: "_shexp")
    }

    fileprivate func qwen35() throws(ConvertError) {
        let mixture = architecture == "qwen35moe"
        let sizes = try DecoderSizes(config)
        let predictors = has("mtp.fc.weight") ? 1 : 0
        let blocks = sizes.layers + predictors
        let kinds = try layerKinds(sizes.layers)
        let hidden = mixture ? 0 : try config.int("intermediate_size", in: 1...(1 << 20))
        try decoderKeys(sizes, blocks: blocks, feedForward: mixture ? [] : [hidden])
        let rope = try rotation(dims: sizes.headDim)
        setList(
            "rope.dimension_sections", Array(((rope.ints("mrope_section") ?? [11, 11, 10]) + [0, 0, 0, 0]).prefix(4)))
        let delta = try DeltaSizes(self)
        let experts = mixture ? try expertKeys() : (0, 0)
        let shared = mixture ? try config.int("shared_expert_intermediate_size", in: 1...(1 << 20)) : 0
        if mixture { set("expert_shared_feed_forward_length", shared) }
        if predictors > 0 { set("nextn_predict_layers", predictors) }
        set("attention.recurrent_layers", kinds + [Bool](repeating: false, count: predictors))
        set("full_attention_interval", try config.int("full_attention_interval", in: 1...1024, default: 4))
        try ends(sizes.width, plusOne: true)

        var rules = AttentionRules()
        rules.gated = true
        rules.norm = .perHead
        rules.normPlusOne = true
        func block(_ layer: TensorScope, recurrent: Bool) throws(ConvertError) {
            try commonNorms(layer, sizes.width, second: "post_attention_norm", plusOne: true)
            if recurrent { try deltaNet(layer, sizes.width, delta) } else { try attention(layer, sizes, rules) }
            if mixture {
                try qwenMixture(layer, sizes.width, experts, shared: shared)
            } else {
                try dense(layer, sizes.width, hidden)
            }
        }
        for index in 0..<sizes.layers { try block(layer(index), recurrent: kinds[index]) }
        guard predictors > 0 else { return }
        let prefix = "blk.\(sizes.layers)."
        try block(TensorScope(blueprint: self, to: prefix, from: "mtp.layers.0."), recurrent: false)
        let mtp = TensorScope(blueprint: self, to: prefix, from: "mtp.")
        try mtp.matrix("nextn.eh_proj", "fc", in: 2 * sizes.width, out: sizes.width)
        try mtp.norm("nextn.enorm", "pre_fc_norm_embedding", sizes.width, plusOne: true)
        try mtp.norm("nextn.hnorm", "pre_fc_norm_hidden", sizes.width, plusOne: true)
        try mtp.norm("nextn.shared_head_norm", "norm", sizes.width, plusOne: true)
    }

    /// Which layers run the delta rule.
    private func layerKinds(_ layers: Int) throws(ConvertError) -> [Bool] {
        guard let kinds = try config.optionalStrings("layer_types", count: layers) else {
            let interval = try config.int("full_attention_interval", in: 1...1024, default: 4)
            return (0..<layers).map { !($0 + 1).isMultiple(of: interval) }
        }
        for kind in kinds where kind != "linear_attention" && kind != "full_attention" {
            throw config.conflict("layer_types", found: kind, expected: "linear_attention or full_attention")
        }
        return kinds.map { $0 == "linear_attention" }
    }

    private struct DeltaSizes {
        let keyHeads: Int
        let valueHeads: Int
        let headDim: Int
        let taps: Int

        init(_ b: Blueprint) throws(ConvertError) {
            keyHeads = try b.config.int("linear_num_key_heads", in: 1...1024)
            valueHeads = try b.config.int("linear_num_value_heads", in: 1...1024)
            headDim = try b.config.int("linear_key_head_dim", in: 1...1024)
            taps = try b.config.int("linear_conv_kernel_dim", in: 1...16)
            guard valueHeads.isMultiple(of: keyHeads) else {
                throw b.config.conflict(
                    "linear_num_value_heads", found: valueHeads, expected: "a multiple of \(keyHeads)")
            }
            try b.config.demand("linear_value_head_dim", "\(headDim)")
            b.set("ssm.conv_kernel", taps)
            b.set("ssm.state_size", headDim)
            b.set("ssm.group_count", keyHeads)
            b.set("ssm.time_step_rank", valueHeads)
            b.set("ssm.inner_size", valueHeads * headDim)
        }

        /// Value heads are stored next to each other where they share a key head; in the file value head v has key head
        /// v mod keyHeads.
        /// - Parameters:
        ///   - width: rows of one head.
        ///   - start: rows before the value heads, which stay.
        func order(width: Int, from start: Int = 0) -> RowOrder {
            let (keyHeads, perKey) = (keyHeads, valueHeads / keyHeads)
            return RowOrder { row in
                guard row >= start else { return row }
                let (head, place) = ((row - start) / width, (row - start) % width)
                return start + (head % keyHeads * perKey + head / keyHeads) * width + place
            }
        }
    }

    private func deltaNet(_ layer: TensorScope, _ width: Int, _ delta: DeltaSizes) throws(ConvertError) {
        let (keys, values) = (delta.keyHeads * delta.headDim, delta.valueHeads * delta.headDim)
        let mixed = delta.order(width: delta.headDim, from: 2 * keys)
        let heads = delta.order(width: delta.headDim)
        let single = delta.order(width: 1)
        let prefix = "linear_attn."
        try layer.matrix("attn_qkv", "\(prefix)in_proj_qkv", in: width, out: 2 * keys + values, order: mixed)
        try layer.matrix("attn_gate", "\(prefix)in_proj_z", in: width, out: values, order: heads)
        try layer.matrix("ssm_alpha", "\(prefix)in_proj_a", in: width, out: delta.valueHeads, order: single)
        try layer.matrix("ssm_beta", "\(prefix)in_proj_b", in: width, out: delta.valueHeads, order: single)
        try layer.convolution(
            "ssm_conv1d", "\(prefix)conv1d", taps: delta.taps, channels: 2 * keys + values, order: mixed)
        try layer.vector("ssm_a", "\(prefix)A_log", delta.valueHeads, change: .negativeExponential, order: single)
        try layer.vector("ssm_dt.bias", "\(prefix)dt_bias", delta.valueHeads, order: single)
        try layer.norm("ssm_norm", "\(prefix)norm", delta.headDim)
        try layer.matrix("ssm_out", "\(prefix)out_proj", in: values, out: width, columnOrder: heads)
    }
}
