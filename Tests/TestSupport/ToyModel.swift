import GGUF

/// The smallest complete models: random weights, real structure, a working vocabulary.
package enum ToyModel {
    /// One layer: hidden 32, 2 heads of 16 with one key/value head, feed-forward 48.
    package static let llama: ToyFile = {
        var file = start("llama")
        let name = "llama"
        file["\(name).block_count"] = .uint32(1)
        file["\(name).feed_forward_length"] = .uint32(48)
        file["\(name).attention.key_length"] = .uint32(16)
        file["\(name).attention.value_length"] = .uint32(16)
        file["\(name).rope.dimension_count"] = .uint32(16)
        attention(&file, 0, queryWidth: 32)
        file.random("blk.0.ffn_norm.weight", [hidden])
        file.random("blk.0.ffn_gate.weight", [hidden, 48])
        file.random("blk.0.ffn_up.weight", [hidden, 48])
        file.random("blk.0.ffn_down.weight", [48, hidden])
        return file
    }()

    /// Two layers, Gated DeltaNet and gated attention, each with 4 experts of width 16 (2 active) and a shared one.
    package static let qwen35moe: ToyFile = {
        var file = start("qwen35moe")
        let name = "qwen35moe"
        let sizes: [(String, UInt32)] = [
            ("block_count", 2), ("expert_count", 4), ("expert_used_count", 2), ("expert_feed_forward_length", 16),
            ("expert_shared_feed_forward_length", 16), ("attention.key_length", 16), ("attention.value_length", 16),
            ("rope.dimension_count", 8), ("ssm.conv_kernel", 4), ("ssm.state_size", 16), ("ssm.group_count", 1),
            ("ssm.time_step_rank", 2), ("ssm.inner_size", 32), ("full_attention_interval", 2),
        ]
        for (key, value) in sizes { file["\(name).\(key)"] = .uint32(value) }
        file["\(name).rope.dimension_sections"] = .array(GGUFArray([Int32(2), 1, 1, 0]))
        file["\(name).attention.recurrent_layers"] = .array(GGUFArray([true, false]))

        file.random("blk.0.attn_norm.weight", [hidden])
        file.random("blk.0.attn_qkv.weight", [hidden, 64])
        file.random("blk.0.attn_gate.weight", [hidden, 32])
        file.floats("blk.0.ssm_a", [2], [-1, -0.5])
        file.random("blk.0.ssm_dt.bias", [2])
        file.random("blk.0.ssm_conv1d.weight", [4, 64])
        file.random("blk.0.ssm_alpha.weight", [hidden, 2])
        file.random("blk.0.ssm_beta.weight", [hidden, 2])
        file.random("blk.0.ssm_norm.weight", [16])
        file.random("blk.0.ssm_out.weight", [32, hidden])
        attention(&file, 1, queryWidth: 64)
        file.random("blk.1.attn_q_norm.weight", [16])
        file.random("blk.1.attn_k_norm.weight", [16])
        for layer in 0..<2 {
            file.random("blk.\(layer).post_attention_norm.weight", [hidden])
            file.random("blk.\(layer).ffn_gate_inp.weight", [hidden, 4])
            file.random("blk.\(layer).ffn_gate_exps.weight", [hidden, 16, 4])
            file.random("blk.\(layer).ffn_up_exps.weight", [hidden, 16, 4])
            file.random("blk.\(layer).ffn_down_exps.weight", [16, hidden, 4])
            file.random("blk.\(layer).ffn_gate_shexp.weight", [hidden, 16])
            file.random("blk.\(layer).ffn_up_shexp.weight", [hidden, 16])
            file.random("blk.\(layer).ffn_down_shexp.weight", [16, hidden])
            file.random("blk.\(layer).ffn_gate_inp_shexp.weight", [hidden, 1])
        }
        return file
    }()

    private static let hidden = 32

    /// What both have: vocabulary, embedding, output, sizes of attention.
    private static func start(_ name: String) -> ToyFile {
        var file = ToyFile(architecture: name)
        file["\(name).context_length"] = .uint32(128)
        file["\(name).embedding_length"] = .uint32(UInt32(hidden))
        file["\(name).attention.head_count"] = .uint32(2)
        file["\(name).attention.head_count_kv"] = .uint32(1)
        file["\(name).attention.layer_norm_rms_epsilon"] = .float32(1e-6)
        file["\(name).rope.freq_base"] = .float32(10_000)
        file.metadata += ToyVocabulary.byteLevel
        let vocabulary = file["tokenizer.ggml.tokens"]?.array?.count ?? 0
        file.random("token_embd.weight", [hidden, vocabulary])
        file.random("output_norm.weight", [hidden])
        file.random("output.weight", [hidden, vocabulary])
        return file
    }

    private static func attention(_ file: inout ToyFile, _ layer: Int, queryWidth: Int) {
        file.random("blk.\(layer).attn_norm.weight", [hidden])
        file.random("blk.\(layer).attn_q.weight", [hidden, queryWidth])
        file.random("blk.\(layer).attn_k.weight", [hidden, 16])
        file.random("blk.\(layer).attn_v.weight", [hidden, 16])
        file.random("blk.\(layer).attn_output.weight", [32, hidden])
    }
}
