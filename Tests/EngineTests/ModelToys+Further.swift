import GGUF

@testable import Engine

/// Toys of families that are the plain form with other norms, windows, rotations and factors.
extension FamilyToy {
    static let further: [FamilyToy] = [gemmas, granites, sees, plain, mambas, [lfm2Dense, falconH1]].flatMap { $0 }

    private static let plain: [FamilyToy] = [
        FamilyToy(
            name: "mistral3", architecture: "mistral3",
            extraMetadata: [
                ("mistral3.rope.scaling.type", .string("yarn")), ("mistral3.rope.scaling.factor", .float32(4)),
                ("mistral3.rope.scaling.original_context_length", .uint32(8)),
                ("mistral3.rope.scaling.yarn_log_multiplier", .float32(1)),
                ("mistral3.attention.temperature_scale", .float32(0.3)),
            ]),
        FamilyToy(name: "smollm3", architecture: "smollm3", layers: 4, tied: true),
        FamilyToy(name: "ernie4_5", architecture: "ernie4_5", tied: true),
        FamilyToy(
            name: "qwen3next", architecture: "qwen3next", layers: 3, qkNorm: true, experts: 4, sharedExpert: true,
            recurrent: [true, true, false], joinedGates: true),
        FamilyToy(
            name: "afmoe", architecture: "afmoe", layers: 4, qkNorm: true, experts: 4, sharedExpert: true,
            sharedIsAdded: true, denseLayers: 1,
            blockExtras: postNorms + [Tensor(name: "attn_gate.weight", dimensions: [256, 256], kind: .matrix)],
            expertExtras: [selectionBias],
            extraMetadata: [
                ("afmoe.attention.sliding_window", .uint32(32)), ("afmoe.leading_dense_block_count", .uint32(1)),
                ("afmoe.expert_gating_func", .uint32(2)), ("afmoe.expert_weights_norm", .bool(true)),
                ("afmoe.expert_weights_scale", .float32(1.8)),
            ], optionalTensors: ["ffn_down_shexp.weight"]),
        FamilyToy(
            name: "command-r", architecture: "command-r", tied: true,
            extraMetadata: [
                ("command-r.attention.layer_norm_epsilon", .float32(1e-5)),
                ("command-r.logit_scale", .float32(0.5)),
            ], omitted: ["ffn_norm.weight"]),
        FamilyToy(
            name: "cohere2", architecture: "cohere2", layers: 4, tied: true,
            extraMetadata: [
                ("cohere2.attention.layer_norm_epsilon", .float32(1e-5)), ("cohere2.logit_scale", .float32(0.5)),
                ("cohere2.attention.sliding_window", .uint32(32)),
            ], omitted: ["ffn_norm.weight"]),
        FamilyToy(
            name: "cohere2moe", architecture: "cohere2moe", layers: 3, tied: true, experts: 4, sharedExpert: true,
            sharedIsAdded: true, denseLayers: 1,
            extraMetadata: [
                ("cohere2moe.logit_scale", .float32(0.5)), ("cohere2moe.attention.sliding_window", .uint32(32)),
                ("cohere2moe.leading_dense_block_count", .uint32(1)),
                flags("cohere2moe.attention.sliding_window_pattern", [false, true, false]),
            ], omitted: ["ffn_norm.weight"], optionalTensors: ["ffn_down_shexp.weight"]),
        FamilyToy(
            name: "olmo", architecture: "olmo", kvHeads: 4,
            extraMetadata: [
                ("olmo.attention.layer_norm_epsilon", .float32(1e-5)), ("olmo.attention.clamp_kqv", .float32(1)),
            ], omitted: ["norm.weight"]),
        FamilyToy(
            name: "olmo2 with windows", architecture: "olmo2", layers: 4,
            blockExtras: postNorms + [
                Tensor(name: "attn_q_norm.weight", dimensions: [256], kind: .norm),
                Tensor(name: "attn_k_norm.weight", dimensions: [128], kind: .norm),
            ],
            extraMetadata: [
                ("olmo2.attention.sliding_window", .uint32(32)), ("olmo2.rope.freq_base_swa", .float32(5000)),
                flags("olmo2.attention.sliding_window_pattern", [true, true, true, false]),
                ("olmo2.rope.scaling.type", .string("linear")), ("olmo2.rope.scaling.factor", .float32(4)),
            ], omitted: ["attn_norm.weight", "ffn_norm.weight"]),
        FamilyToy(
            name: "exaone4 with windows", architecture: "exaone4", layers: 4, qkNorm: true, ropeFreqs: true,
            blockExtras: postNorms,
            extraMetadata: [("exaone4.attention.sliding_window", .uint32(32))],
            omitted: ["attn_norm.weight", "ffn_norm.weight"]),
        FamilyToy(
            name: "exaone-moe", architecture: "exaone-moe", layers: 4, qkNorm: true, experts: 4, sharedExpert: true,
            sharedIsAdded: true, denseLayers: 1, expertExtras: [selectionBias],
            extraMetadata: [
                ("exaone-moe.attention.sliding_window", .uint32(32)),
                ("exaone-moe.leading_dense_block_count", .uint32(1)),
                ("exaone-moe.expert_weights_scale", .float32(2.5)),
            ]),
        FamilyToy(
            name: "glm4", architecture: "glm4", qkvBias: true, gateInUp: true, blockExtras: postNorms,
            extraMetadata: [("glm4.rope.dimension_count", .uint32(32))],
            optionalTensors: ["attn_q.bias", "attn_k.bias", "attn_v.bias"]),
        FamilyToy(name: "hunyuan-dense", architecture: "hunyuan-dense", qkNorm: true, tied: true),
        FamilyToy(
            name: "hunyuan-moe", architecture: "hunyuan-moe", qkNorm: true, experts: 4, sharedExpert: true,
            sharedIsAdded: true, extraMetadata: [("hunyuan-moe.rope.scaling.alpha", .float32(100))]),
        FamilyToy(
            name: "bailingmoe2", architecture: "bailingmoe2", qkNorm: true, fused: true, experts: 4,
            sharedExpert: true, sharedIsAdded: true, denseLayers: 1, expertExtras: [selectionBias],
            extraMetadata: [
                ("bailingmoe2.leading_dense_block_count", .uint32(1)),
                ("bailingmoe2.rope.dimension_count", .uint32(32)),
                ("bailingmoe2.expert_group_count", .uint32(2)), ("bailingmoe2.expert_group_used_count", .uint32(1)),
                ("bailingmoe2.expert_gating_func", .uint32(2)), ("bailingmoe2.expert_weights_norm", .bool(true)),
            ], optionalTensors: ["exp_probs_b.bias"]),
    ]

    // MARK: Groups

    private static let gemmas: [FamilyToy] = [
        FamilyToy(name: "gemma", architecture: "gemma", kvHeads: 1, tied: true),
        FamilyToy(
            name: "gemma2", architecture: "gemma2", layers: 3, tied: true, blockExtras: postNorms,
            extraMetadata: [
                ("gemma2.attention.sliding_window", .uint32(32)), ("gemma2.attn_logit_softcapping", .float32(5)),
                ("gemma2.final_logit_softcapping", .float32(8)),
            ]),
        FamilyToy(
            name: "gemma3", architecture: "gemma3", layers: 3, qkNorm: true, tied: true, blockExtras: postNorms,
            extraMetadata: [
                ("gemma3.attention.sliding_window", .uint32(32)), ("gemma3.rope.freq_base_swa", .float32(1000)),
                ("gemma3.attention.sliding_window_pattern", .uint32(2)),
                ("gemma3.rope.scaling.type", .string("linear")), ("gemma3.rope.scaling.factor", .float32(8)),
            ]),
        smallGemma4,
    ]

    /// Gemma 4 E2B in small: five layers, the last two without keys and values of their own.
    private static let smallGemma4: FamilyToy = {
        guard var toy = mixtures.first(where: { $0.name == "gemma4" }) else { return mixtures[0] }
        toy.name = "gemma4 with inputs for each layer"
        toy.layers = 5
        toy.optionalTensors = ["blk.1.attn_v.weight"]
        toy.omitted = ["blk.3.", "blk.4."].flatMap { layer in
            ["attn_k.weight", "attn_v.weight", "attn_k_norm.weight"].map { layer + $0 }
        }
        toy.blockExtras += [
            Tensor(name: "inp_gate.weight", dimensions: [256, 256], kind: .matrix),
            Tensor(name: "proj.weight", dimensions: [256, 256], kind: .matrix),
            Tensor(name: "post_norm.weight", dimensions: [256], kind: .norm),
        ]
        toy.extras = [
            Tensor(name: "per_layer_token_embd.weight", dimensions: [5 * 256, 320], kind: .matrix),
            Tensor(name: "per_layer_model_proj.weight", dimensions: [256, 5 * 256], kind: .matrix),
            Tensor(name: "per_layer_proj_norm.weight", dimensions: [256], kind: .norm),
        ]
        let replaced = ["sliding_window_pattern", "shared_kv_layers", "embedding_length_per_layer_input"]
        toy.extraMetadata.removeAll { pair in replaced.contains(where: pair.0.hasSuffix) }
        toy.extraMetadata += [
            flags("gemma4.attention.sliding_window_pattern", [true, false, true, false, true]),
            ("gemma4.attention.shared_kv_layers", .uint32(2)),
            ("gemma4.embedding_length_per_layer_input", .uint32(256)),
        ]
        return toy
    }()

    private static let granites: [FamilyToy] = [
        FamilyToy(name: "granite", architecture: "granite", tied: true, extraMetadata: factors("granite")),
        FamilyToy(
            name: "granitemoe", architecture: "granitemoe", tied: true, experts: 4, sharedExpert: true,
            sharedIsAdded: true, extraMetadata: factors("granitemoe"), optionalTensors: ["ffn_down_shexp.weight"]),
        FamilyToy(
            name: "granite_swa", architecture: "granite_swa", layers: 3, tied: true,
            blockExtras: [Tensor(name: "attn_sinks.weight", dimensions: [4], kind: .small)],
            extraMetadata: factors("granite_swa") + [
                ("granite_swa.attention.sliding_window", .uint32(32)),
                flags("granite_swa.attention.sliding_window_pattern", [false, true, true]),
                flags("granite_swa.attention.rope_pattern", [true, true, false]),
            ]),
    ]

    private static func factors(_ name: String) -> [(String, GGUFValue)] {
        [
            ("\(name).attention.scale", .float32(0.1)), ("\(name).embedding_scale", .float32(3)),
            ("\(name).residual_scale", .float32(0.6)), ("\(name).logit_scale", .float32(2)),
        ]
    }

    /// The text models of families with towers.
    private static let sees: [FamilyToy] = [
        FamilyToy(
            name: "qwen2vl", architecture: "qwen2vl", qkvBias: true, tied: true,
            extraMetadata: [sections("qwen2vl", [8, 12, 12])]),
        FamilyToy(
            name: "qwen3vlmoe", architecture: "qwen3vlmoe", qkNorm: true, experts: 4,
            extraMetadata: [sections("qwen3vlmoe", [12, 10, 10]), ("qwen3vlmoe.n_deepstack_layers", .uint32(1))]),
    ]

    private static func sections(_ name: String, _ axes: [Int32]) -> (String, GGUFValue) {
        ("\(name).rope.dimension_sections", .array(GGUFArray(axes + [0])))
    }

    private static var lfm2Dense: FamilyToy {
        var toy = FamilyToy(name: "lfm2 with windows", architecture: "lfm2", layers: 3, tied: true)
        toy.set(common: [
            "attention.head_count": 4, "shortconv.l_cache": 3, "attention.sliding_window": 32,
        ])
        toy.own("attention.head_count_kv", .array(GGUFArray([Int32(0), 2, 0])))
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
            toy.dense(layer)
        }
        return toy
    }

    private static var falconH1: FamilyToy {
        var toy = FamilyToy(name: "falcon-h1", architecture: "falcon-h1")
        toy.set(common: ["attention.head_count": 4, "attention.head_count_kv": 2])
        toy.setMamba()
        for layer in 0..<2 {
            toy.norm(layer, "attn_norm", 256)
            toy.attention(layer)
            toy.mamba(layer)
            toy.add(layer, "ffn_norm", [256], .norm)
            toy.dense(layer)
        }
        // With a norm in the first layer's mixer and none in the second's.
        toy.ownTensors.removeAll { $0.name == "blk.1.ssm_norm.weight" }
        toy.optionalTensors = ["blk.0.ssm_norm.weight"]
        return toy
    }

    private static let postNorms = [
        Tensor(name: "post_attention_norm.weight", dimensions: [256], kind: .norm),
        Tensor(name: "post_ffw_norm.weight", dimensions: [256], kind: .norm),
    ]
    private static let selectionBias = Tensor(name: "exp_probs_b.bias", dimensions: [4], kind: .small)

    private static func flags(_ key: String, _ values: [Bool]) -> (String, GGUFValue) {
        (key, .array(GGUFArray(values)))
    }
}
