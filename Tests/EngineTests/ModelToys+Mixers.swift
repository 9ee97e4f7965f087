import GGUF

@testable import Engine

/// Toys of the families whose layers are not grouped-query attention: each lists its own metadata and tensors.
extension FamilyToy {
    static let mixers: [FamilyToy] = [
        deepSeek("deepseek2", "deepseek2 with groups and yarn", lowRankQuery: true, grouped: true, yarn: true),
        deepSeek("deepseek2", "deepseek2, plain query, older tensors", fusedKV: true),
        deepSeek("deepseek32", "deepseek32", lowRankQuery: true, indexers: [true, true]),
        deepSeek("glm-dsa", "glm-dsa with a shared choice", lowRankQuery: true, indexers: [true, false]),
        nemotron("nemotron_h"), nemotron("nemotron_h_moe"), granite, lfm2, kimi, deepSeek4,
    ]

    // MARK: Families

    private static func deepSeek(
        _ architecture: String, _ name: String, lowRankQuery: Bool = false, grouped: Bool = false, yarn: Bool = false,
        fusedKV: Bool = false, indexers: [Bool] = []
    ) -> FamilyToy {
        var toy = FamilyToy(name: name, architecture: architecture)
        toy.fused = fusedKV
        toy.set(common: ["attention.head_count": 4, "attention.head_count_kv": 1, "leading_dense_block_count": 1])
        toy.setLatent(lowRankQuery: lowRankQuery)
        toy.setExperts(shared: 1)
        toy.set(grouped ? ["expert_group_count": 2, "expert_group_used_count": 1] : [:])
        toy.set(float: "expert_weights_scale", 1.5)
        if architecture != "deepseek2" || grouped { toy.set(["expert_gating_func": 2]) }
        if yarn {
            toy.own("rope.scaling.type", .string("yarn"))
            toy.set(float: "rope.scaling.factor", 4)
            toy.set(["rope.scaling.original_context_length": 128])
            toy.set(float: "rope.scaling.yarn_log_multiplier", 0.1)
        }
        if !indexers.isEmpty {
            toy.choosesPositions = true
            toy.set([
                "attention.indexer.head_count": 4, "attention.indexer.key_length": 64, "attention.indexer.top_k": 8,
            ])
            toy.own("attention.indexer.types", .array(GGUFArray(indexers)))
        }
        for layer in 0..<2 {
            toy.norm(layer, "attn_norm", 256)
            toy.latentAttention(layer, lowRankQuery: lowRankQuery, fusedKV: fusedKV)
            if !indexers.isEmpty, indexers[layer] {
                toy.matrix(layer, "indexer.attn_q_b", [256, 256])
                toy.matrix(layer, "indexer.attn_k", [256, 64])
                toy.matrix(layer, "indexer.proj", [256, 4])
                toy.norm(layer, "indexer.k_norm", 64)
                toy.add(layer, "indexer.k_norm.bias", [64], .small)
            }
            toy.norm(layer, "ffn_norm", 256)
            if layer == 0 {
                toy.dense(layer)
            } else {
                toy.experts(layer, bias: grouped || !indexers.isEmpty, shared: true)
            }
        }
        return toy
    }

    private static func nemotron(_ architecture: String) -> FamilyToy {
        let mixture = architecture == "nemotron_h_moe"
        var toy = FamilyToy(name: architecture, architecture: architecture, layers: 4, recurrent: [true])
        toy.set(common: ["attention.head_count": 4, "attention.key_length": 64, "attention.value_length": 64])
        toy.own("attention.head_count_kv", .array(GGUFArray([Int32(0), 0, 2, 0])))
        toy.own("feed_forward_length", .array(GGUFArray([Int32(0), 256, 0, 256])))
        toy.setMamba()
        if mixture {
            toy.setExperts(shared: 1)
            toy.set(["moe_latent_size": 256])
            toy.own("expert_weights_norm", .bool(true))
        }
        for layer in 0..<4 {
            toy.norm(layer, "attn_norm", 256)
            switch layer {
            case 0: toy.mamba(layer)
            case 2: toy.attention(layer)
            default:
                if mixture {
                    toy.experts(layer, bias: true, shared: true, gated: false)
                    toy.matrix(layer, "ffn_latent_down", [256, 256])
                    toy.matrix(layer, "ffn_latent_up", [256, 256])
                } else {
                    toy.dense(layer, gated: false)
                }
            }
        }
        return toy
    }

    private static var granite: FamilyToy {
        var toy = FamilyToy(name: "granitehybrid", architecture: "granitehybrid", recurrent: [true])
        toy.set(common: ["attention.head_count": 4])
        toy.own("attention.head_count_kv", .array(GGUFArray([Int32(0), 2])))
        toy.setMamba()
        toy.setExperts()
        toy.sharedIsAdded = true
        for (key, value) in [
            ("attention.scale", 0.1), ("embedding_scale", 2), ("residual_scale", 0.7), ("logit_scale", 2),
        ] as [(String, Float)] { toy.set(float: key, value) }
        toy.own("rope.scaling.finetuned", .bool(false))
        for layer in 0..<2 {
            toy.norm(layer, "attn_norm", 256)
            if layer == 0 { toy.mamba(layer) } else { toy.attention(layer) }
            toy.norm(layer, "ffn_norm", 256)
            toy.experts(layer, shared: true)
        }
        return toy
    }

    private static var lfm2: FamilyToy {
        var toy = FamilyToy(name: "lfm2moe", architecture: "lfm2moe", layers: 3, tied: true, recurrent: [true])
        toy.set(common: ["attention.head_count": 4, "leading_dense_block_count": 1, "shortconv.l_cache": 3])
        toy.own("attention.head_count_kv", .array(GGUFArray([Int32(0), 2, 0])))
        toy.setExperts()
        toy.ownTensors.removeAll { $0.name == "output_norm.weight" }
        toy.ownTensors.append(Tensor(name: "token_embd_norm.weight", dimensions: [256], kind: .norm))
        for layer in 0..<3 {
            toy.norm(layer, "attn_norm", 256)
            if layer == 1 {
                toy.attention(layer)
                toy.norm(layer, "attn_q_norm", 64)
                toy.norm(layer, "attn_k_norm", 64)
            } else {
                toy.matrix(layer, "shortconv.in_proj", [256, 768])
                toy.add(layer, "shortconv.conv.weight", [3, 256], .small)
                toy.matrix(layer, "shortconv.out_proj", [256, 256])
            }
            toy.norm(layer, "ffn_norm", 256)
            if layer == 0 { toy.dense(layer) } else { toy.experts(layer, bias: true) }
        }
        return toy
    }

    private static var kimi: FamilyToy {
        var toy = FamilyToy(name: "kimi-linear", architecture: "kimi-linear", recurrent: [true])
        toy.set(common: [
            "attention.head_count": 4, "leading_dense_block_count": 1, "kda.head_dim": 64, "ssm.conv_kernel": 4,
        ])
        toy.own("attention.head_count_kv", .array(GGUFArray([Int32(0), 1])))
        toy.setLatent(lowRankQuery: false)
        toy.setExperts(shared: 1)
        toy.norm(0, "attn_norm", 256)
        for name in ["attn_q", "attn_k", "attn_v"] { toy.matrix(0, name, [256, 256]) }
        for name in ["q", "k", "v"] { toy.add(0, "ssm_conv1d_\(name).weight", [4, 1, 256, 1], .small) }
        toy.matrix(0, "ssm_beta", [256, 4])
        for name in ["ssm_f", "ssm_g"] {
            toy.matrix(0, "\(name)_a", [256, 64])
            toy.add(0, "\(name)_b.weight", [64, 256], .small)
        }
        toy.matrix(0, "attn_output", [256, 256])
        toy.add(0, "ssm_a", [1, 4, 1, 1], .decay)
        toy.add(0, "ssm_dt.bias", [256], .small)
        toy.norm(0, "ssm_norm", 64)
        toy.norm(1, "attn_norm", 256)
        toy.latentAttention(1, lowRankQuery: false, fusedKV: false)
        for layer in 0..<2 {
            toy.norm(layer, "ffn_norm", 256)
            if layer == 0 { toy.dense(layer) } else { toy.experts(layer, bias: true, shared: true) }
        }
        return toy
    }

    private static var deepSeek4: FamilyToy {
        var toy = FamilyToy(name: "deepseek4", architecture: "deepseek4", layers: 3, recurrent: [true])
        toy.set(common: [
            "attention.head_count": 4, "attention.head_count_kv": 1, "attention.key_length": 64,
            "attention.value_length": 64, "rope.dimension_count": 32, "attention.q_lora_rank": 256,
            "attention.sliding_window": 8, "attention.indexer.head_count": 4, "attention.indexer.key_length": 64,
            "attention.indexer.top_k": 2, "attention.output_group_count": 1, "attention.output_lora_rank": 256,
            "hyper_connection.count": 2, "hyper_connection.sinkhorn_iterations": 3, "hash_layer_count": 1,
            "expert_gating_func": 4,
        ])
        toy.setExperts(shared: 1)
        toy.choosesPositions = true
        toy.own("attention.compress_ratios", .array(GGUFArray([Int32(0), 4, 128])))
        toy.own("expert_weights_norm", .bool(true))
        for (key, value) in [
            ("attention.compress_rope_freq_base", 160_000), ("hyper_connection.epsilon", 1e-6),
            ("swiglu_clamp_exp", 10), ("swiglu_clamp_shexp", 10), ("expert_weights_scale", 1.5),
        ] as [(String, Float)] { toy.set(float: key, value) }
        for (name, dimensions, kind) in [
            ("output_hc_fn", [512, 2], Kind.matrix), ("output_hc_base", [2], .small), ("output_hc_scale", [1], .exact),
        ] { toy.ownTensors.append(Tensor(name: "\(name).weight", dimensions: dimensions, kind: kind)) }
        for layer in 0..<3 {
            for branch in ["attn", "ffn"] {
                toy.norm(layer, "\(branch)_norm", 256)
                toy.matrix(layer, "hc_\(branch)_fn", [512, 8])
                toy.add(layer, "hc_\(branch)_base.weight", [8], .small)
                toy.add(layer, "hc_\(branch)_scale.weight", [3], .exact)
            }
            toy.add(layer, "attn_sinks.weight", [4], .small)
            toy.matrix(layer, "attn_q_a", [256, 256])
            toy.norm(layer, "attn_q_a_norm", 256)
            toy.matrix(layer, "attn_q_b", [256, 256])
            toy.matrix(layer, "attn_kv", [256, 64])
            toy.norm(layer, "attn_kv_a_norm", 64)
            toy.matrix(layer, "attn_output_a", [256, 256])
            toy.matrix(layer, "attn_output_b", [256, 256])
            if layer > 0 { toy.compressor(layer, "attn_compressor", ratio: layer == 1 ? 4 : 128) }
            if layer == 1 {
                toy.compressor(layer, "indexer_compressor", ratio: 4)
                toy.matrix(layer, "indexer.attn_q_b", [256, 256])
                toy.matrix(layer, "indexer.proj", [256, 4])
            }
            toy.experts(layer, bias: layer > 0, shared: true)
        }
        toy.add(0, "ffn_gate_tid2eid.weight", [2, 320], .table(4))
        return toy
    }

    mutating func compressor(_ layer: Int, _ name: String, ratio: Int) {
        let channels = ratio == 4 ? 128 : 64
        matrix(layer, "\(name)_kv", [256, channels])
        matrix(layer, "\(name)_gate", [256, channels])
        add(layer, "\(name)_ape.weight", [channels, ratio], .small)
        norm(layer, "\(name)_norm", 64)
    }

    // MARK: Metadata

    mutating func own(_ key: String, _ value: GGUFValue) {
        ownMetadata.append((key == "general.architecture" ? key : "\(architecture).\(key)", value))
    }

    mutating func set(_ integers: [String: Int]) {
        for (key, value) in integers.sorted(by: { $0.key < $1.key }) { own(key, .uint32(UInt32(value))) }
    }

    mutating func set(float key: String, _ value: Float) { own(key, .float32(value)) }

    /// What every decoder has, the tensors outside the layers included.
    mutating func set(common further: [String: Int]) {
        own("general.architecture", .string(architecture))
        set(["block_count": layers, "context_length": contextLength, "embedding_length": embedding])
        if architecture.hasPrefix("nemotron") == false { set(["feed_forward_length": feedForward]) }
        set(float: "attention.layer_norm_rms_epsilon", 1e-6)
        set(float: "rope.freq_base", 10_000)
        set(further)
        ownTensors = [
            Tensor(name: "token_embd.weight", dimensions: [embedding, vocabulary], kind: .matrix),
            Tensor(name: "output_norm.weight", dimensions: [embedding], kind: .norm),
        ]
        if !tied {
            ownTensors.append(Tensor(name: "output.weight", dimensions: [embedding, vocabulary], kind: .matrix))
        }
    }

    mutating func setLatent(lowRankQuery: Bool) {
        set([
            "attention.kv_lora_rank": 256, "attention.key_length": 288, "attention.value_length": 256,
            "attention.key_length_mla": 64, "attention.value_length_mla": 64, "rope.dimension_count": 32,
        ])
        if lowRankQuery { set(["attention.q_lora_rank": 256]) }
    }

    mutating func setExperts(shared: Int? = nil) {
        set(["expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 256])
        if let shared {
            set(["expert_shared_count": shared])
            sharedIsAdded = true
        }
    }

    mutating func setMamba() {
        set([
            "ssm.conv_kernel": 4, "ssm.state_size": 32, "ssm.group_count": 2, "ssm.inner_size": 256,
            "ssm.time_step_rank": 8,
        ])
    }

    // MARK: Tensors

    mutating func add(_ layer: Int, _ name: String, _ dimensions: [Int], _ kind: Kind) {
        ownTensors.append(Tensor(name: "blk.\(layer).\(name)", dimensions: dimensions, kind: kind))
    }

    mutating func matrix(_ layer: Int, _ name: String, _ dimensions: [Int]) {
        add(layer, "\(name).weight", dimensions, .matrix)
    }

    mutating func norm(_ layer: Int, _ name: String, _ width: Int) { add(layer, "\(name).weight", [width], .norm) }

    mutating func latentAttention(_ layer: Int, lowRankQuery: Bool, fusedKV: Bool) {
        if lowRankQuery {
            matrix(layer, "attn_q_a", [256, 256])
            norm(layer, "attn_q_a_norm", 256)
            matrix(layer, "attn_q_b", [256, 256])
        } else {
            matrix(layer, "attn_q", [256, 256])
        }
        matrix(layer, "attn_kv_a_mqa", [256, 288])
        norm(layer, "attn_kv_a_norm", 256)
        if fusedKV {
            matrix(layer, "attn_kv_b", [256, 4 * 96])
        } else {
            // Rows of 32 values: formats with blocks of 256 are replaced by floats.
            add(layer, "attn_k_b.weight", [32, 256, 4], .small)
            matrix(layer, "attn_v_b", [256, 64, 4])
        }
        matrix(layer, "attn_output", [256, 256])
    }

    mutating func attention(_ layer: Int) {
        matrix(layer, "attn_q", [256, 256])
        matrix(layer, "attn_k", [256, 128])
        matrix(layer, "attn_v", [256, 128])
        matrix(layer, "attn_output", [256, 256])
    }

    mutating func mamba(_ layer: Int) {
        matrix(layer, "ssm_in", [256, 2 * 256 + 2 * 2 * 32 + 8])
        add(layer, "ssm_conv1d.weight", [4, 256 + 2 * 2 * 32], .small)
        add(layer, "ssm_conv1d.bias", [256 + 2 * 2 * 32], .small)
        add(layer, "ssm_a", [1, 8], .decay)
        add(layer, "ssm_d", [1, 8], .small)
        add(layer, "ssm_dt.bias", [8], .small)
        add(layer, "ssm_norm.weight", [128, 2], .norm)
        matrix(layer, "ssm_out", [256, 256])
    }

    mutating func dense(_ layer: Int, gated: Bool = true) {
        if gated { matrix(layer, "ffn_gate", [256, 256]) }
        matrix(layer, "ffn_up", [256, 256])
        matrix(layer, "ffn_down", [256, 256])
    }

    mutating func experts(_ layer: Int, bias: Bool = false, shared: Bool = false, gated: Bool = true) {
        add(layer, "ffn_gate_inp.weight", [256, 4], .small)
        if bias { add(layer, "exp_probs_b.bias", [4], .small) }
        for name in gated ? ["gate", "up", "down"] : ["up", "down"] {
            matrix(layer, "ffn_\(name)_exps", [256, 256, 4])
            if shared { matrix(layer, "ffn_\(name)_shexp", [256, 256]) }
        }
    }
}
