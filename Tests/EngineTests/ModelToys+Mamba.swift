import GGUF

@testable import Engine

/// Toys of Mamba's families, and of further ones with latents.
extension FamilyToy {
    static let mambas: [FamilyToy] = [
        mamba("mamba"), mamba("mamba with norms", normed: true), mamba2, jamba, miniCPM3, bailing3, mistral4,
    ]

    private static func mamba(_ name: String, normed: Bool = false) -> FamilyToy {
        var toy = FamilyToy(name: name, architecture: "mamba", tied: true)
        toy.set(common: ["attention.head_count": 0])
        toy.setSelective()
        toy.own("ssm.dt_b_c_rms", .bool(normed))
        toy.optionalTensors = ["ssm_conv1d.bias"]
        for layer in 0..<2 {
            toy.norm(layer, "attn_norm", 256)
            toy.selective(layer)
        }
        return toy
    }

    private static var mamba2: FamilyToy {
        var toy = FamilyToy(name: "mamba2", architecture: "mamba2")
        toy.set(common: ["attention.head_count": 0])
        toy.setMamba()
        for layer in 0..<2 {
            toy.norm(layer, "attn_norm", 256)
            toy.mamba(layer)
        }
        return toy
    }

    private static var jamba: FamilyToy {
        var toy = FamilyToy(name: "jamba", architecture: "jamba", layers: 3)
        toy.set(common: ["attention.head_count": 4])
        toy.own("attention.head_count_kv", .array(GGUFArray([Int32(0), 2, 0])))
        toy.setSelective()
        toy.set(["expert_count": 4, "expert_used_count": 2])
        toy.optionalTensors = ["ssm_conv1d.bias", "ffn_gate_inp.weight"]
        for layer in 0..<3 {
            toy.norm(layer, "attn_norm", 256)
            if layer == 1 {
                toy.attention(layer)
            } else {
                toy.selective(layer)
                for (name, width) in [("dt", 64), ("b", 16), ("c", 16)] { toy.norm(layer, "ssm_\(name)_norm", width) }
            }
            toy.norm(layer, "ffn_norm", 256)
            if layer == 1 { toy.experts(layer) } else { toy.dense(layer) }
        }
        return toy
    }

    private static var miniCPM3: FamilyToy {
        var toy = FamilyToy(name: "minicpm3", architecture: "minicpm3", tied: true, fused: true)
        toy.set(common: [
            "attention.head_count": 4, "attention.head_count_kv": 4, "attention.q_lora_rank": 256,
            "attention.kv_lora_rank": 256, "attention.key_length": 64, "rope.dimension_count": 32,
        ])
        for layer in 0..<2 {
            toy.norm(layer, "attn_norm", 256)
            toy.latentAttention(layer, lowRankQuery: true, fusedKV: true)
            toy.norm(layer, "ffn_norm", 256)
            toy.dense(layer)
        }
        return toy
    }

    private static var bailing3: FamilyToy {
        var toy = FamilyToy(name: "bailingmoe3", architecture: "bailingmoe3")
        toy.set(common: [
            "attention.head_count": 4, "leading_dense_block_count": 1, "kda.head_dim": 64, "ssm.conv_kernel": 4,
        ])
        toy.own("kda.safe_gate", .bool(true))
        toy.set(float: "kda.gate_lower_bound", -5)
        toy.own("attention.head_count_kv", .array(GGUFArray([Int32(0), 1])))
        toy.setLatent(lowRankQuery: false)
        toy.setExperts(shared: 1)
        toy.optionalTensors = ["exp_probs_b.bias"]
        toy.norm(0, "attn_norm", 256)
        for name in ["attn_q", "attn_k", "attn_v", "ssm_f_a", "ssm_g_a", "attn_output"] {
            toy.matrix(0, name, [256, 256])
        }
        for name in ["q", "k", "v"] { toy.add(0, "ssm_conv1d_\(name).weight", [4, 1, 256, 1], .small) }
        toy.matrix(0, "ssm_beta", [256, 4])
        toy.add(0, "ssm_a", [1, 4], .decay)
        toy.add(0, "ssm_dt.bias", [256], .small)
        toy.norm(0, "ssm_norm", 64)
        toy.norm(1, "attn_norm", 256)
        toy.latentAttention(1, lowRankQuery: false, fusedKV: false)
        toy.add(1, "attn_gate.weight", [256, 4], .small)
        for layer in 0..<2 {
            toy.norm(layer, "ffn_norm", 256)
            if layer == 0 { toy.dense(layer) } else { toy.experts(layer, bias: true, shared: true) }
        }
        return toy
    }

    private static var mistral4: FamilyToy {
        var toy = FamilyToy(name: "mistral4", architecture: "mistral4")
        toy.set(common: ["attention.head_count": 4, "attention.head_count_kv": 1])
        toy.setLatent(lowRankQuery: true)
        toy.setExperts(shared: 1)
        toy.set(["attention.temperature_length": 8])
        toy.set(float: "attention.temperature_scale", 0.3)
        toy.own("expert_weights_norm", .bool(true))
        for layer in 0..<2 {
            toy.norm(layer, "attn_norm", 256)
            toy.latentAttention(layer, lowRankQuery: true, fusedKV: false)
            toy.norm(layer, "ffn_norm", 256)
            toy.experts(layer, shared: true)
        }
        return toy
    }

    // MARK: Parts

    private mutating func setSelective() {
        set(["ssm.conv_kernel": 4, "ssm.state_size": 16, "ssm.inner_size": 256, "ssm.time_step_rank": 64])
    }

    private mutating func selective(_ layer: Int) {
        matrix(layer, "ssm_in", [256, 512])
        add(layer, "ssm_conv1d.weight", [4, 256], .small)
        add(layer, "ssm_conv1d.bias", [256], .small)
        matrix(layer, "ssm_x", [256, 64 + 2 * 16])
        add(layer, "ssm_dt.weight", [64, 256], .small)
        add(layer, "ssm_dt.bias", [256], .small)
        add(layer, "ssm_a", [16, 256], .decay)
        add(layer, "ssm_d", [256], .small)
        matrix(layer, "ssm_out", [256, 256])
    }
}
