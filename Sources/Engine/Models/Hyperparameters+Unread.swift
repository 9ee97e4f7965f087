import GGUF

/// What is done about metadata that a family does not ask for: it must not change the result, or the file is refused.
extension Hyperparameters {
    /// - Throws: the first of ``unread``.
    package func finish() throws(EngineError) {
        if let first = unread.first { throw first }
    }

    /// An error for each key of this architecture that the family has not read and that is not known to leave the
    /// arithmetic as it is. A key that nobody here has heard of counts as one that changes it.
    package var unread: [EngineError] {
        var errors: [EngineError] = []
        for key in metadata.keys where key.hasPrefix("\(architecture).") {
            let name = String(key.dropFirst(architecture.count + 1))
            guard !readKeys.contains(name), let value = metadata[key], !isInert(name, value) else { continue }
            errors.append(wrong(name, value, "no such setting for architecture '\(architecture)'"))
        }
        return errors
    }

    private func isInert(_ name: String, _ value: GGUFValue) -> Bool {
        if Self.descriptive.contains(name) { return true }
        // Experts are described in files that have none, or whose first layers, without them, are all there is.
        if name.hasPrefix("expert_"), name != "expert_count", !readKeys.contains("expert_used_count") { return true }
        if let neutral = Self.neutralValues[name] {
            let number = value.double ?? value.int.map(Double.init) ?? value.boolValue.map { $0 ? 1 : 0 }
            return number.map(neutral.contains) ?? false
        }
        // Converters describe the rotation of models that have none.
        if name.hasPrefix("rope.") { return !readKeys.contains("rope.freq_base") }
        return false
    }

    /// Keys that say what the tensors show as well, that are for programs around the model, or that belong to a setting
    /// which is switched off where the family does not ask for them.
    private static let descriptive: Set<String> = [
        "vocab_size", "tensor_data_layout", "pooling_type", "embedding_length_out", "feed_forward_length",
        "expert_shared_count", "expert_feed_forward_length", "expert_shared_feed_forward_length",
        "expert_group_used_count", "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon",
        "rope.dimension_sections", "rope.scaling.finetuned", "rope.scaling.original_context_length",
        "rope.scaling.factor", "rope.scale_linear", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
    ]

    /// Keys that alter the arithmetic, with the values that leave it as it is.
    private static let neutralValues: [String: [Double]] = [
        "attention.sliding_window": [0], "attention.clamp_kqv": [0], "attention.max_alibi_bias": [0],
        "attention.scale": [0], "attention.causal": [1], "attention.temperature_scale": [0],
        "attention.q_lora_rank": [0], "attention.kv_lora_rank": [0], "attention.indexer.top_k": [0],
        "attn_logit_softcapping": [0], "final_logit_softcapping": [0], "router_logit_softcapping": [0],
        "embedding_scale": [0, 1], "residual_scale": [0, 1], "logit_scale": [0, 1], "use_parallel_residual": [0],
        "interleave_moe_layer_step": [0, 1], "leading_dense_block_count": [0], "expert_count": [0],
        "expert_group_count": [0, 1], "moe_latent_size": [0], "nextn_predict_layers": [0],
        "hyper_connection.count": [0, 1], "n_deepstack_layers": [0], "rope.scaling.yarn_ext_factor": [0],
        "rope.scaling.yarn_attn_factor": [1], "rope.scaling.attn_factor": [1], "rope.scaling.alpha": [0],
        "attention.shared_kv_layers": [0], "embedding_length_per_layer_input": [0], "expert_group_scale": [0, 1],
        "experts_per_group": [0], "moe_every_n_layers": [0, 1], "swiglu_clamp_exp": [0], "swiglu_clamp_shexp": [0],
        "attention.output_scale": [0, 1], "attention.temperature_length": [0], "activation_sparsity_scale": [0],
        "rescale_every_n_layers": [0], "altup.num_inputs": [0, 1], "rope.scaling.yarn_log_multiplier": [0],
        "ssm.dt_b_c_rms": [0],
    ]
}
