// Families whose layers differ in kind: short convolutions, Mamba2 and Kimi's delta rule between attention layers.

import ChatTemplates

extension HFFamily {
    static let lfm2MoE = HFFamily(["Lfm2MoeForCausalLM"], "lfm2moe") { b throws(ConvertError) in
        try b.config.demand("conv_bias", "false")
        try b.config.demand("norm_topk_prob", "true")
        try b.config.demand("use_expert_bias", "true")
        try b.config.demand("routed_scaling_factor", "1.0", "1")
        let sizes = try DecoderSizes(b.config)
        let kinds = try b.kinds("layer_types", sizes.layers, ["conv": .recurrent, "full_attention": .attention])
        let hidden = try b.config.int("intermediate_size", in: 1...(1 << 20))
        let denseLayers = try b.config.int("num_dense_layers", in: 0...sizes.layers, default: 0)
        let taps = try b.config.int("conv_L_cache", in: 1...16)
        try b.decoderKeys(
            sizes, headsKV: kinds.map { $0 == .attention ? sizes.headsKV : 0 }, epsilon: "norm_eps")
        try b.rotation(dims: sizes.headDim, defaultBase: 1_000_000)
        let experts = try b.expertKeys()
        b.set("leading_dense_block_count", denseLayers)
        b.set("expert_gating_func", 2)
        b.set("shortconv.l_cache", taps)
        try b.ends(sizes.width, norm: "model.embedding_norm", normName: "token_embd_norm")
        var rules = Blueprint.AttentionRules()
        rules.output = "out_proj"
        rules.norm = .perHead
        rules.queryNorm = "q_layernorm"
        rules.keyNorm = "k_layernorm"
        for index in 0..<sizes.layers {
            let layer = b.layer(index)
            try layer.norm("attn_norm", "operator_norm", sizes.width)
            try layer.norm("ffn_norm", "ffn_norm", sizes.width)
            if kinds[index] == .attention {
                try b.attention(layer, sizes, rules)
            } else {
                try layer.matrix("shortconv.in_proj", "conv.in_proj", in: sizes.width, out: 3 * sizes.width)
                try layer.convolution("shortconv.conv", "conv.conv", taps: taps, channels: sizes.width)
                try layer.matrix("shortconv.out_proj", "conv.out_proj", in: sizes.width, out: sizes.width)
            }
            guard index >= denseLayers else {
                try b.dense(layer, sizes.width, hidden, prefix: "feed_forward.", names: ("w1", "w3", "w2"))
                continue
            }
            try layer.matrix("ffn_gate_inp", "feed_forward.gate", in: sizes.width, out: experts.count)
            try layer.vector("exp_probs_b.bias", "feed_forward.expert_bias", experts.count)
            try b.experts(
                layer, count: experts.count, sizes.width, experts.width, prefix: "feed_forward.experts.",
                names: ("w1", "w3", "w2"))
        }
    }

    static let graniteHybrid = HFFamily(["GraniteMoeHybridForCausalLM"], "granitehybrid") { b throws(ConvertError) in
        try b.graniteHybrid()
    }

    static let nemotronH = HFFamily(
        ["NemotronHForCausalLM"],
        choosing: { Blueprint.nemotronKinds($0).contains("E") ? "nemotron_h_moe" : "nemotron_h" }
    ) { b throws(ConvertError) in try b.nemotronH() }

    static let kimiLinear = HFFamily(["KimiLinearForCausalLM"], "kimi-linear") { b throws(ConvertError) in
        try b.kimiLinear()
    }
}

extension Blueprint {
    enum LayerKind { case recurrent, attention }

    /// The kind of each layer, by the names that the configuration has for them.
    func kinds(_ key: String, _ layers: Int, _ names: [String: LayerKind]) throws(ConvertError) -> [LayerKind] {
        guard let listed = try config.optionalStrings(key, count: layers) else {
            throw config.conflict(key, found: "missing", expected: "the kind of each layer")
        }
        var kinds: [LayerKind] = []
        for name in listed {
            guard let kind = names[name] else {
                throw config.conflict(key, found: name, expected: names.keys.sorted().joined(separator: " or "))
            }
            kinds.append(kind)
        }
        return kinds
    }

    // MARK: Granite 4

    fileprivate func graniteHybrid() throws(ConvertError) {
        try config.demand("mamba_proj_bias", "false")
        let sizes = try DecoderSizes(config)
        let key = config.has("layer_types") ? "layer_types" : "layers_block_type"
        let kinds = try kinds(
            key, sizes.layers,
            [
                "mamba": .recurrent, "linear_attention": .recurrent, "attention": .attention,
                "full_attention": .attention,
            ])
        let mixture = try config.int("num_local_experts", in: 0...4096, default: 0) > 0
        let shared = try config.int("shared_intermediate_size", in: 1...(1 << 20))
        let hidden = mixture ? try config.int("intermediate_size", in: 1...(1 << 20)) : shared
        try decoderKeys(
            sizes, headsKV: kinds.map { $0 == .attention ? sizes.headsKV : 0 }, feedForward: [hidden])
        try rotation(dims: sizes.headDim)
        if mixture { _ = try expertKeys(count: "num_local_experts", width: nil) }
        let experts = mixture ? try config.int("num_local_experts", in: 1...4096) : 0
        set("attention.scale", try config.double("attention_multiplier"))
        set("embedding_scale", try config.double("embedding_multiplier"))
        set("residual_scale", try config.double("residual_multiplier"))
        set("logit_scale", try config.double("logits_scaling"))
        if mixture { set("expert_shared_feed_forward_length", shared) }
        let heads = try config.int("mamba_n_heads", in: 1...4096)
        // Older configurations say "auto".
        let expanded = try config.int("mamba_expand", in: 1...64, default: 2) * sizes.width / heads
        let headDim = config.number("mamba_d_head") ?? expanded
        guard 1...4096 ~= headDim else {
            throw config.conflict("mamba_d_head", found: headDim, expected: "1 to 4096")
        }
        let groups = try config.int("mamba_n_groups", in: 1...1024)
        let state = try config.int("mamba_d_state", in: 1...1024)
        let taps = try config.int("mamba_d_conv", in: 1...16)
        try mamba2Keys(heads: heads, headDim: headDim, groups: groups, state: state, taps: taps)
        // The format has no key for "no rotation"; readers take this one.
        set("rope.scaling.finetuned", try config.optionalString("position_embedding_type") == "rope")
        try ends(sizes.width)
        var rules = AttentionRules()
        rules.interleaves = true
        let suffix = mixture ? "_shexp" : ""
        for index in 0..<sizes.layers {
            let layer = layer(index)
            try commonNorms(layer, sizes.width)
            if kinds[index] == .attention {
                try attention(layer, sizes, rules)
            } else {
                try mamba2(
                    layer, sizes.width, heads: heads, headDim: headDim, groups: groups, state: state, taps: taps,
                    prefix: "mamba.")
            }
            // Gate and up one below the other, of the shared network and of each expert.
            for (name, offset) in [("gate", 0), ("up", shared)] {
                try layer.matrix(
                    "ffn_\(name)\(suffix)", "shared_mlp.input_linear", in: sizes.width, out: shared,
                    order: .part(of: 2 * shared, from: offset))
            }
            try layer.matrix("ffn_down\(suffix)", "shared_mlp.output_linear", in: shared, out: sizes.width)
            guard mixture else { continue }
            try layer.matrix("ffn_gate_inp", "block_sparse_moe.router.layer", in: sizes.width, out: experts)
            try stackedExperts(
                layer, count: experts, sizes.width, hidden, gateUp: "block_sparse_moe.input_linear.weight",
                down: "block_sparse_moe.output_linear.weight")
        }
    }

    // MARK: Nemotron-H

    /// One letter for each layer: M Mamba2, * attention, - network, E experts.
    static func nemotronKinds(_ config: ModelConfig) -> String {
        if let pattern = config.text["hybrid_override_pattern"]?.stringValue { return pattern }
        let letters = [
            "mamba": "M", "linear_attention": "M", "attention": "*", "full_attention": "*", "mlp": "-", "moe": "E",
        ]
        let listed = config.text["layers_block_type"]?.arrayValue ?? []
        return listed.map { letters[$0.stringValue ?? ""] ?? "?" }.joined()
    }

    fileprivate func nemotronH() throws(ConvertError) {
        for key in ["mamba_proj_bias", "use_bias", "mlp_bias", "attention_bias"] { try config.demand(key, "false") }
        try config.demand("mlp_hidden_act", "relu2")
        let kinds = Array(Self.nemotronKinds(config))
        guard !kinds.isEmpty, kinds.allSatisfy({ "M*-E".contains($0) }) else {
            throw config.conflict(
                "layers_block_type", found: String(kinds.prefix(40)), expected: "mamba, attention, mlp or moe per layer"
            )
        }
        var sizes = try DecoderSizes(config, layers: kinds.count)
        if !config.has("head_dim"), let headDim = try config.optionalInt("attention_head_dim", in: 2...4096) {
            sizes = DecoderSizes(sizes, headsKV: sizes.headsKV, headDim: headDim)
        }
        let epsilon = ["layer_norm_epsilon", "rms_norm_eps"].first { config.has($0) } ?? "norm_eps"
        let mixture = kinds.contains("E")
        let dense = try config.int("intermediate_size", in: 1...(1 << 20))
        let expertWidth = mixture ? try config.int("moe_intermediate_size", in: 1...(1 << 20)) : 0
        let widths = kinds.map { $0 == "-" ? dense : $0 == "E" ? expertWidth : 0 }
        try decoderKeys(
            sizes, headsKV: kinds.map { $0 == "*" ? sizes.headsKV : 0 }, feedForward: widths,
            epsilon: epsilon,
            epsilonKey: "attention.layer_norm_rms_epsilon")
        // Readers look for one or the other.
        set("attention.layer_norm_epsilon", try config.double(epsilon, default: 1e-6))
        // Attention does not rotate; readers of these files expect the keys all the same.
        set("rope.dimension_count", sizes.headDim)
        set("rope.scaling.finetuned", false)
        let heads = try config.int("mamba_num_heads", in: 1...4096)
        let headDim = try config.int("mamba_head_dim", in: 1...4096)
        let groups = try config.int("n_groups", in: 1...1024)
        let state = try config.int("ssm_state_size", in: 1...1024)
        let taps = try config.int("conv_kernel", in: 1...16)
        try mamba2Keys(heads: heads, headDim: headDim, groups: groups, state: state, taps: taps)
        var experts = 0
        var (shared, latent): (Int, Int?) = (0, nil)
        if mixture {
            (experts, _) = try expertKeys(count: "n_routed_experts")
            let count = try config.int("n_shared_experts", in: 1...64, default: 1)
            shared = count * (try config.int("moe_shared_expert_intermediate_size", in: 1...(1 << 20)))
            set("expert_shared_feed_forward_length", shared)
            set("expert_shared_count", count)
            try routingKeys(sigmoid: true)
            latent = try config.optionalInt("moe_latent_size", in: 1...(1 << 17))
            if let latent { set("moe_latent_size", latent) }
        }
        let prefix = has("backbone.embeddings.weight") || isAdapter ? "backbone." : "model."
        try ends(sizes.width, embedding: "\(prefix)embeddings", norm: "\(prefix)norm_f")
        var rules = AttentionRules()
        rules.prefix = "mixer."
        for (index, kind) in kinds.enumerated() {
            let layer = layer(index, from: "\(prefix)layers.")
            try layer.norm("attn_norm", "norm", sizes.width)
            switch kind {
            case "M":
                try mamba2(
                    layer, sizes.width, heads: heads, headDim: headDim, groups: groups, state: state, taps: taps,
                    prefix: "mixer.")
            case "*": try attention(layer, sizes, rules)
            case "-":
                try layer.matrix("ffn_up", "mixer.up_proj", in: sizes.width, out: dense)
                try layer.matrix("ffn_down", "mixer.down_proj", in: dense, out: sizes.width)
            default:
                try layer.matrix("ffn_gate_inp", "mixer.gate", in: sizes.width, out: experts)
                try layer.vector("exp_probs_b.bias", "mixer.gate.e_score_correction_bias", experts)
                try self.experts(
                    layer, count: experts, latent ?? sizes.width, expertWidth, prefix: "mixer.experts.", gated: false)
                try layer.matrix("ffn_up_shexp", "mixer.shared_experts.up_proj", in: sizes.width, out: shared)
                try layer.matrix("ffn_down_shexp", "mixer.shared_experts.down_proj", in: shared, out: sizes.width)
                if let latent {
                    try layer.matrix("ffn_latent_down", "mixer.fc1_latent_proj", in: sizes.width, out: latent)
                    try layer.matrix("ffn_latent_up", "mixer.fc2_latent_proj", in: latent, out: sizes.width)
                }
            }
        }
        ignore { $0.hasPrefix("mtp.") }
    }

    // MARK: Kimi Linear

    fileprivate func kimiLinear() throws(ConvertError) {
        let sizes = try DecoderSizes(config)
        let linear = config.object("linear_attn_config")
        let headDim = linear?["head_dim"]?.intValue ?? config.number("linear_head_dim") ?? 0
        let heads = linear?["num_heads"]?.intValue ?? config.number("linear_num_heads") ?? 0
        let taps = linear?["short_conv_kernel_size"]?.intValue ?? config.number("linear_conv_kernel_dim") ?? 0
        guard heads == sizes.heads, 1...1024 ~= headDim, 1...16 ~= taps else {
            throw config.conflict(
                "linear_attn_config", found: "\(heads) heads of \(headDim), \(taps) taps",
                expected: "\(sizes.heads) heads of 1 to 1024 and 1 to 16 taps")
        }
        let attending: [Bool]
        if let listed = linear?["full_attn_layers"]?.arrayValue?.compactMap(\.intValue) {
            attending = (0..<sizes.layers).map { listed.contains($0 + 1) }
        } else {
            attending = try kinds(
                "layer_types", sizes.layers, ["linear_attention": .recurrent, "full_attention": .attention]
            ).map { $0 == .attention }
        }
        let hidden = try config.int("intermediate_size", in: 1...(1 << 20))
        let dense = try leadingDenseLayers(sizes.layers)
        try decoderKeys(
            sizes, headsKV: attending.map { $0 ? 1 : 0 }, statesHeadDim: false,
            context: config.has("model_max_length") ? "model_max_length" : "max_position_embeddings")
        let latent = try LatentSizes(self)
        latent.keys(self)
        set("rope.freq_base", try RopeConfig(config).base)
        set("ssm.conv_kernel", taps)
        set("kda.head_dim", headDim)
        let experts = try expertKeys(used: "num_experts_per_token")
        let shared = try config.int("num_shared_experts", in: 1...64)
        set("expert_shared_count", shared)
        set("leading_dense_block_count", dense)
        set("expert_gating_func", 2)
        set("expert_weights_scale", try config.double("routed_scaling_factor", default: 1))
        try config.demand("moe_renormalize", "true")
        let groups = try config.int("num_expert_group", in: 1...4096, default: 1)
        set("expert_group_count", groups)
        set("expert_group_used_count", try config.int("topk_group", in: 1...groups, default: 1))
        try ends(sizes.width)
        for index in 0..<sizes.layers {
            let layer = layer(index)
            try commonNorms(layer, sizes.width)
            if attending[index] {
                try latentAttention(layer, sizes, latent)
            } else {
                try kimiDelta(layer, sizes, headDim: headDim, taps: taps)
            }
            let prefix =
                layer.has("block_sparse_moe.gate.weight") || layer.has("block_sparse_moe.gate_proj.weight")
                ? "block_sparse_moe." : "mlp."
            guard index >= dense else {
                try self.dense(layer, sizes.width, hidden, prefix: prefix)
                continue
            }
            try layer.matrix("ffn_gate_inp", "\(prefix)gate", in: sizes.width, out: experts.count)
            try layer.vector("exp_probs_b.bias", "\(prefix)gate.e_score_correction_bias", experts.count)
            let short = layer.has("\(prefix)experts.0.w1.weight")
            try self.experts(
                layer, count: experts.count, sizes.width, experts.width, prefix: "\(prefix)experts.",
                names: short ? ("w1", "w3", "w2") : ("gate_proj", "up_proj", "down_proj"))
            try self.dense(
                layer, sizes.width, shared * experts.width, prefix: "\(prefix)shared_experts.", suffix: "_shexp")
        }
    }

    private func kimiDelta(
        _ layer: TensorScope, _ sizes: DecoderSizes, headDim: Int, taps: Int
    ) throws(ConvertError) {
        let channels = sizes.heads * headDim
        for part in ["q", "k", "v"] {
            try layer.matrix("attn_\(part)", "self_attn.\(part)_proj", in: sizes.width, out: channels)
            try layer.convolution(
                "ssm_conv1d_\(part)", "self_attn.\(part)_conv1d", taps: taps, channels: channels,
                dimensions: [taps, 1, channels, 1])
        }
        for part in ["f", "g"] {
            try layer.matrix("ssm_\(part)_a", "self_attn.\(part)_a_proj", in: sizes.width, out: headDim)
            try layer.matrix("ssm_\(part)_b", "self_attn.\(part)_b_proj", in: headDim, out: channels)
        }
        try layer.matrix("ssm_beta", "self_attn.b_proj", in: sizes.width, out: sizes.heads)
        try layer.vector(
            "ssm_a", "self_attn.A_log", sizes.heads, dimensions: [1, sizes.heads, 1, 1], change: .negativeExponential)
        try layer.vector("ssm_dt.bias", "self_attn.dt_bias", channels)
        try layer.norm("ssm_norm", "self_attn.o_norm", headDim)
        try layer.matrix("attn_output", "self_attn.o_proj", in: channels, out: sizes.width)
    }
}
