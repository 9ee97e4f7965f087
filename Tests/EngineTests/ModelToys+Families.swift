import GGUF
import TestSupport

extension FamilyToy {
    /// Families whose peculiarities are further tensors and keys.
    static let mixtures: [FamilyToy] = [
        FamilyToy(
            name: "gpt-oss", architecture: "gpt-oss", layers: 3, qkvBias: true, experts: 4,
            ffnNorm: "post_attention_norm",
            blockExtras: [vector("attn_output.bias", 256), vector("attn_sinks.weight", 4)],
            expertExtras: [
                vector("ffn_gate_inp.bias", 4), perExpert("ffn_gate_exps.bias"), perExpert("ffn_up_exps.bias"),
                perExpert("ffn_down_exps.bias"),
            ],
            extraMetadata: [
                ("gpt-oss.attention.sliding_window", .uint32(32)), ("gpt-oss.rope.scaling.type", .string("yarn")),
                ("gpt-oss.rope.scaling.factor", .float32(8)),
                ("gpt-oss.rope.scaling.original_context_length", .uint32(128)),
            ]),
        FamilyToy(
            name: "phi3", architecture: "phi3", fused: true, gateInUp: true, extras: longRopeFactors,
            extraMetadata: longRope("phi3") + [("phi3.attention.sliding_window", .uint32(200))]),
        FamilyToy(
            name: "phimoe", architecture: "phimoe", qkvBias: true, experts: 4,
            blockExtras: [
                vector("attn_output.bias", 256), vector("attn_norm.bias", 256), vector("ffn_norm.bias", 256),
            ],
            extras: longRopeFactors + [vector("output_norm.bias", 256), vector("output.bias", 320)],
            extraMetadata: longRope("phimoe")),
        FamilyToy(
            name: "glm4moe", architecture: "glm4moe", layers: 3, qkNorm: true, qkvBias: true, experts: 4,
            sharedExpert: true, sharedIsAdded: true, denseLayers: 1, ffnNorm: "post_attention_norm",
            expertExtras: [vector("exp_probs_b.bias", 4)], nextTokenLayers: 1,
            extraMetadata: [
                ("glm4moe.leading_dense_block_count", .uint32(1)), ("glm4moe.expert_gating_func", .uint32(2)),
                ("glm4moe.expert_weights_norm", .bool(true)), ("glm4moe.expert_weights_scale", .float32(1.5)),
                ("glm4moe.expert_group_count", .uint32(2)), ("glm4moe.expert_group_used_count", .uint32(1)),
                ("glm4moe.rope.dimension_count", .uint32(32)),
            ], optionalTensors: ["attn_q.bias", "attn_k.bias", "attn_v.bias"]),
        FamilyToy(
            name: "ernie4_5-moe", architecture: "ernie4_5-moe", tied: true, experts: 4, sharedExpert: true,
            sharedIsAdded: true, denseLayers: 1, expertExtras: [vector("exp_probs_b.bias", 4)],
            extraMetadata: [("ernie4_5-moe.leading_dense_block_count", .uint32(1))]),
        FamilyToy(
            name: "minimax-m2", architecture: "minimax-m2", experts: 4,
            blockExtras: [
                Tensor(name: "attn_q_norm.weight", dimensions: [256], kind: .norm),
                Tensor(name: "attn_k_norm.weight", dimensions: [128], kind: .norm),
            ],
            expertExtras: [vector("exp_probs_b.bias", 4)],
            extraMetadata: [("minimax-m2.rope.dimension_count", .uint32(32))]),
        FamilyToy(
            name: "seed_oss", architecture: "seed_oss", qkvBias: true, ffnNorm: "post_attention_norm"),
        FamilyToy(
            name: "olmoe", architecture: "olmoe", kvHeads: 4, experts: 4,
            blockExtras: [
                Tensor(name: "attn_q_norm.weight", dimensions: [256], kind: .norm),
                Tensor(name: "attn_k_norm.weight", dimensions: [256], kind: .norm),
            ]),
        FamilyToy(
            name: "gemma4", architecture: "gemma4", layers: 3, heads: 8, qkNorm: true, tied: true, ropeFreqs: true,
            slidingHeadDim: 32,
            blockExtras: [
                Tensor(name: "post_attention_norm.weight", dimensions: [256], kind: .norm),
                Tensor(name: "post_ffw_norm.weight", dimensions: [256], kind: .norm),
                Tensor(name: "layer_output_scale.weight", dimensions: [1], kind: .norm),
            ],
            extraMetadata: [
                ("gemma4.attention.sliding_window", .uint32(32)), ("gemma4.final_logit_softcapping", .float32(30)),
                ("gemma4.attention.sliding_window_pattern", .array(GGUFArray([true, false, true]))),
                ("gemma4.attention.key_length_swa", .uint32(32)), ("gemma4.attention.value_length_swa", .uint32(32)),
                ("gemma4.rope.dimension_count_swa", .uint32(32)), ("gemma4.rope.freq_base_swa", .float32(1000)),
                ("gemma4.attention.shared_kv_layers", .uint32(0)),
                ("gemma4.embedding_length_per_layer_input", .uint32(0)),
            ],
            // Without values this full layer takes its keys.
            optionalTensors: ["blk.1.attn_v.weight"]),
    ]

    /// Gemma 4 as a mixture, with values that are keys in its full layer.
    static let gemmaMixture: FamilyToy = {
        guard var toy = mixtures.first(where: { $0.name == "gemma4" }) else { return mixtures[0] }
        toy.name = "gemma4 with experts"
        toy.experts = 4
        toy.denseBesideExperts = true
        toy.layersWithoutValues = [1]
        toy.optionalTensors = []
        toy.fused = false
        toy.expertExtras = [
            Tensor(name: "ffn_gate_inp.scale", dimensions: [256], kind: .norm),
            Tensor(name: "ffn_down_exps.scale", dimensions: [4], kind: .norm),
            Tensor(name: "pre_ffw_norm_2.weight", dimensions: [256], kind: .norm),
            Tensor(name: "post_ffw_norm_1.weight", dimensions: [256], kind: .norm),
            Tensor(name: "post_ffw_norm_2.weight", dimensions: [256], kind: .norm),
        ]
        return toy
    }()

    private static func vector(_ name: String, _ count: Int) -> Tensor {
        Tensor(name: name, dimensions: [count], kind: .small)
    }

    /// 256 values for each of four experts.
    private static func perExpert(_ name: String) -> Tensor {
        Tensor(name: name, dimensions: [256, 4], kind: .small)
    }

    private static let longRopeFactors = [
        Tensor(name: "rope_factors_short.weight", dimensions: [32], kind: .exact),
        Tensor(name: "rope_factors_long.weight", dimensions: [32], kind: .exact),
    ]

    /// The switch to the long factors lies behind what most tests run, and before what the longest do.
    static let longRopeSwitch = 128

    private static func longRope(_ name: String) -> [(String, GGUFValue)] {
        [
            ("\(name).rope.scaling.original_context_length", .uint32(UInt32(longRopeSwitch))),
            ("\(name).rope.scaling.attn_factor", .float32(1.1)),
        ]
    }
}
