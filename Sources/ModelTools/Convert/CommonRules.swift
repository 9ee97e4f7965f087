#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The sizes that nearly every decoder states alike.
struct DecoderSizes {
    let layers: Int
    let width: Int
    let heads: Int
    let headsKV: Int
    let headDim: Int

    init(_ config: ModelConfig, layers: Int? = nil) throws(ConvertError) {
        if let layers { self.layers = layers } else { self.layers = try config.int("num_hidden_layers", in: 1...1024) }
        width = try config.int("hidden_size", in: 1...(1 << 17))
        heads = try config.int("num_attention_heads", in: 1...1024)
        headsKV = try config.int("num_key_value_heads", in: 1...1024, default: heads)
        guard headsKV <= heads, heads.isMultiple(of: headsKV) else {
            throw config.conflict("num_key_value_heads", found: headsKV, expected: "a divisor of \(heads)")
        }
        headDim = try config.int("head_dim", in: 2...4096, default: max(2, width / heads))
    }

    /// As another's, with other heads for keys and values.
    init(_ other: DecoderSizes, headsKV: Int, headDim: Int) {
        (layers, width, heads) = (other.layers, other.width, other.heads)
        (self.headsKV, self.headDim) = (headsKV, headDim)
    }

    var queries: Int { heads * headDim }
    var keys: Int { headsKV * headDim }
}

/// What the families share. Each function writes the keys or the tensors of one part of a model.
extension Blueprint {
    // MARK: Metadata

    /// - Parameters:
    ///   - headsKV: per layer, where they differ.
    ///   - feedForward: of dense layers, per layer where they differ; empty where there is none.
    ///   - statesHeadDim: false for latent attention, which has lengths of its own.
    func decoderKeys(
        _ sizes: DecoderSizes, blocks: Int? = nil, headsKV: [Int]? = nil, feedForward: [Int]? = nil,
        statesHeadDim: Bool = true, epsilon: String = "rms_norm_eps",
        epsilonKey: String = "attention.layer_norm_rms_epsilon", context: String = "max_position_embeddings"
    ) throws(ConvertError) {
        set("block_count", blocks ?? sizes.layers)
        set("context_length", try config.int(context))
        set("embedding_length", sizes.width)
        if let feedForward {
            if !feedForward.isEmpty { set("feed_forward_length", feedForward) }
        } else {
            set("feed_forward_length", try config.int("intermediate_size", in: 1...(1 << 20)))
        }
        set("attention.head_count", sizes.heads)
        if let headsKV {
            setList("attention.head_count_kv", headsKV)
        } else {
            set("attention.head_count_kv", sizes.headsKV)
        }
        set(epsilonKey, try config.double(epsilon, default: 1e-6))
        if statesHeadDim {
            set("attention.key_length", sizes.headDim)
            set("attention.value_length", sizes.headDim)
        }
    }

    /// The rotation. Llama 3's scaling and LongRoPE become tensors.
    /// - Parameter dims: values of a head that can rotate.
    @discardableResult
    func rotation(dims: Int, defaultBase: Double = 10_000) throws(ConvertError) -> RopeConfig {
        let rope = try RopeConfig(config, defaultBase: defaultBase)
        let rotated = Int(Double(dims) * rope.partial) / 2 * 2
        set("rope.freq_base", rope.base)
        set("rope.dimension_count", rotated)
        switch rope.kind {
        case "default": break
        case "linear":
            set("rope.scaling.type", "linear")
            set("rope.scaling.factor", try rope.number("factor"))
        case "yarn": try yarn(rope)
        case "llama3": try llama3(rope, rotated)
        case "longrope": try longRope(rope, rotated)
        default:
            throw .config(
                key: "rope_type", found: rope.kind, expected: "default, linear, yarn, llama3 or longrope")
        }
        return rope
    }

    func yarn(_ rope: RopeConfig) throws(ConvertError) {
        let factor = try rope.number("factor")
        guard factor >= 1 else { throw .config(key: "rope_scaling.factor", found: "\(factor)", expected: "1 or more") }
        set("rope.scaling.type", "yarn")
        set("rope.scaling.factor", factor)
        set("rope.scaling.original_context_length", try originalContext(rope))
        if let fast = rope.optional("beta_fast") { set("rope.scaling.yarn_beta_fast", fast) }
        if let slow = rope.optional("beta_slow") { set("rope.scaling.yarn_beta_slow", slow) }
        // The reader multiplies it with the usual factor.
        if let attention = rope.optional("attention_factor") {
            set("rope.scaling.attn_factor", attention / (0.1 * log(factor) + 1))
        }
    }

    /// The length that a model was first trained for.
    private func originalContext(_ rope: RopeConfig) throws(ConvertError) -> Int {
        let key = "original_max_position_embeddings"
        guard let stated = rope.optional(key) else {
            return try config.int(key, in: 2...(1 << 26), default: config.int("max_position_embeddings"))
        }
        guard let original = Int(exactly: stated), 2...(1 << 26) ~= original else {
            throw .config(key: "rope_scaling.\(key)", found: "\(stated)", expected: "a number of tokens")
        }
        return original
    }

    /// Slow pairs are slowed by `factor`, fast ones left alone, with a ramp between (Llama 3.1).
    private func llama3(_ rope: RopeConfig, _ dims: Int) throws(ConvertError) {
        let (factor, low, high) = (
            try rope.number("factor"), try rope.number("low_freq_factor"), try rope.number("high_freq_factor")
        )
        let original = try rope.number("original_max_position_embeddings")
        guard factor > 0, low > 0, high > low, original > 0 else {
            throw .config(
                key: "rope_scaling", found: "factor \(factor), \(low) to \(high)", expected: "rising numbers above 0")
        }
        let divisors = (0..<dims / 2).map { pair -> Float in
            let length = 2 * Double.pi * pow(rope.base, 2 * Double(pair) / Double(dims))
            if length < original / high { return 1 }
            if length > original / low { return Float(factor) }
            let smooth = (original / length - low) / (high - low)
            return Float(1 / ((1 - smooth) / factor + smooth))
        }
        constant("rope_freqs.weight", divisors)
    }

    /// LongRoPE (Ding et al. 2024): a divisor per pair for short and one for long texts.
    private func longRope(_ rope: RopeConfig, _ dims: Int) throws(ConvertError) {
        let context = try config.int("max_position_embeddings")
        let original = try originalContext(rope)
        for (name, key) in [("long", "long_factor"), ("short", "short_factor")] {
            guard let factors = rope.numbers(key), factors.count == dims / 2,
                factors.allSatisfy({ $0.isFinite && $0 > 0 })
            else {
                throw .config(
                    key: "rope_scaling.\(key)", found: "\(rope.numbers(key)?.count ?? 0) numbers",
                    expected: "\(dims / 2) above 0")
            }
            constant("rope_factors_\(name).weight", factors.map { Float($0) })
        }
        set("rope.scaling.original_context_length", original)
        let ratio = Double(context) / Double(original)
        set("rope.scaling.attn_factor", ratio <= 1 ? 1 : (1 + log(ratio) / log(Double(original))).squareRoot())
    }

    func constant(_ name: String, _ values: [Float]) {
        if !isAdapter { add(name, [values.count], .constant(values)) }
    }

    /// Keys of a mixture.
    /// - Parameters: names of the configuration's keys.
    func expertKeys(
        count: String = "num_experts", used: String = "num_experts_per_tok", width: String? = "moe_intermediate_size"
    ) throws(ConvertError) -> (count: Int, width: Int) {
        let experts = try config.int(count, in: 1...4096)
        set("expert_count", experts)
        set("expert_used_count", try config.int(used, in: 1...experts))
        let size = try config.int(width ?? "intermediate_size", in: 1...(1 << 20))
        if width != nil { set("expert_feed_forward_length", size) }
        return (experts, size)
    }

    /// DeepSeek-V3's way to weigh experts, and of those that follow it.
    func routingKeys(sigmoid: Bool) throws(ConvertError) {
        if let groups = try config.optionalInt("n_group", in: 1...4096) {
            set("expert_group_count", groups)
            set("expert_group_used_count", try config.int("topk_group", in: 1...groups, default: 1))
        }
        set("expert_gating_func", sigmoid ? 2 : 1)
        set("expert_weights_scale", try config.double("routed_scaling_factor", default: 1))
        set("expert_weights_norm", try config.bool("norm_topk_prob", default: sigmoid))
    }

    // MARK: Tensors

    /// Embedding table, last norm and output.
    func ends(
        _ width: Int, embedding: String = "model.embed_tokens", norm: String = "model.norm",
        normName: String = "output_norm", output: String = "lm_head", plusOne: Bool = false
    ) throws(ConvertError) {
        guard !isAdapter else {
            // Both tables can be adapted, whatever their length.
            for (name, source) in [("token_embd", embedding), ("output", output)] where has("\(source).weight") {
                let rows = try rowCount("\(source).weight", columns: nil)
                try outside.matrix(name, source, in: width, out: rows)
            }
            return
        }
        let vocabulary = try rowCount("\(embedding).weight", columns: width)
        set("vocab_size", vocabulary)
        try outside.matrix("token_embd", embedding, in: width, out: vocabulary)
        try outside.norm(normName, norm, width, plusOne: plusOne)
        let isTied = try config.bool("tie_word_embeddings", default: !has("\(output).weight"))
        if isTied {
            ignore { $0 == "\(output).weight" }
        } else {
            try outside.matrix("output", output, in: width, out: vocabulary)
        }
    }

    /// How a family's attention differs from the next one's.
    struct AttentionRules {
        var prefix = "self_attn."
        var output = "o_proj"
        /// Heads are stored for the rotation of halves and wanted for that of neighbours.
        var interleaves = false
        /// `attn_q` holds a gate beside each head.
        var gated = false
        var queryNorm = "q_norm"
        var keyNorm = "k_norm"
        var norm = NormRule.none
        var normPlusOne = false
        /// False where keys serve as values.
        var hasValues = true

        /// Llama's.
        static let interleaved = AttentionRules(interleaves: true)
        static let normedOverAllHeads = AttentionRules(norm: .allHeads)

        enum NormRule { case none, perHead, perHeadIfPresent, allHeads }
    }

    func attention(
        _ layer: TensorScope, _ sizes: DecoderSizes, _ rules: AttentionRules = AttentionRules()
    ) throws(ConvertError) {
        let order = rules.interleaves ? RowOrder.interleaved(headDim: sizes.headDim) : nil
        let prefix = rules.prefix
        try layer.matrix(
            "attn_q", "\(prefix)q_proj", in: sizes.width, out: sizes.queries * (rules.gated ? 2 : 1), order: order)
        try layer.matrix("attn_k", "\(prefix)k_proj", in: sizes.width, out: sizes.keys, order: order)
        if rules.hasValues { try layer.matrix("attn_v", "\(prefix)v_proj", in: sizes.width, out: sizes.keys) }
        try layer.matrix("attn_output", "\(prefix)\(rules.output)", in: sizes.queries, out: sizes.width)
        guard rules.norm != .none else { return }
        let all = rules.norm == .allHeads
        let optional = rules.norm == .perHeadIfPresent
        try layer.norm(
            "attn_q_norm", prefix + rules.queryNorm, all ? sizes.queries : sizes.headDim, plusOne: rules.normPlusOne,
            optional: optional)
        try layer.norm(
            "attn_k_norm", prefix + rules.keyNorm, all ? sizes.keys : sizes.headDim, plusOne: rules.normPlusOne,
            optional: optional)
    }

    /// A gated network.
    func dense(
        _ layer: TensorScope, _ width: Int, _ hidden: Int, prefix: String = "mlp.",
        names: (gate: String, up: String, down: String) = ("gate_proj", "up_proj", "down_proj"), suffix: String = ""
    ) throws(ConvertError) {
        try layer.matrix("ffn_gate\(suffix)", prefix + names.gate, in: width, out: hidden)
        try layer.matrix("ffn_up\(suffix)", prefix + names.up, in: width, out: hidden)
        try layer.matrix("ffn_down\(suffix)", prefix + names.down, in: hidden, out: width)
    }

    /// A stack of networks: one tensor per expert and matrix, or all experts in one tensor with gate and up one below
    /// the other.
    /// - Parameters:
    ///   - prefix: of the experts, as in "mlp.experts.".
    ///   - gated: false for networks without a gate.
    func experts(
        _ layer: TensorScope, count: Int, _ width: Int, _ hidden: Int, prefix: String = "mlp.experts.",
        names: (gate: String, up: String, down: String) = ("gate_proj", "up_proj", "down_proj"), gated: Bool = true
    ) throws(ConvertError) {
        if gated, layer.has("\(prefix)gate_up_proj") {
            return try stackedExperts(
                layer, count: count, width, hidden, gateUp: "\(prefix)gate_up_proj", down: "\(prefix)down_proj")
        }
        var stacks = [("ffn_up_exps", names.up, width, hidden), ("ffn_down_exps", names.down, hidden, width)]
        if gated { stacks.insert(("ffn_gate_exps", names.gate, width, hidden), at: 0) }
        for (name, source, columns, rows) in stacks {
            var parts: [TensorValues] = []
            for expert in 0..<count {
                let full = "\(layer.from)\(prefix)\(expert).\(source).weight"
                if let values = try take(full, rows: rows, columns: columns) { parts.append(values) }
            }
            if parts.isEmpty { continue }
            guard parts.count == count else {
                throw .adapter(tensor: "\(layer.from)\(prefix)*.\(source)", reason: "covers some experts only")
            }
            add("\(layer.to)\(name).weight", [columns, rows, count], .stacked(parts))
        }
    }

    /// All experts in two tensors: [experts, gate below up, in] and [experts, out, in].
    /// - Parameters:
    ///   - gateUp: the name after the layer's prefix, as `down`.
    ///   - keepsFused: for families whose readers want gate and up in one tensor.
    func stackedExperts(
        _ layer: TensorScope, count: Int, _ width: Int, _ hidden: Int, gateUp: String, down: String,
        keepsFused: Bool = false
    ) throws(ConvertError) {
        guard
            let both = try take(layer.from + gateUp, rows: count * 2 * hidden, columns: width),
            let down = try take(layer.from + down, rows: count * width, columns: hidden)
        else { return }
        if keepsFused { add("\(layer.to)ffn_gate_up_exps.weight", [width, 2 * hidden, count], both) }
        for (name, offset) in keepsFused ? [] : [("ffn_gate_exps", 0), ("ffn_up_exps", hidden)] {
            let part = TensorValues.rows(both, count: count * hidden) {
                $0 / hidden * 2 * hidden + $0 % hidden + offset
            }
            add("\(layer.to)\(name).weight", [width, hidden, count], part)
        }
        add("\(layer.to)ffn_down_exps.weight", [hidden, width, count], down)
    }

    /// Mamba2 (Dao and Gu 2024).
    func mamba2(
        _ layer: TensorScope, _ width: Int, heads: Int, headDim: Int, groups: Int, state: Int, taps: Int, prefix: String
    ) throws(ConvertError) {
        let inner = heads * headDim
        let channels = inner + 2 * groups * state
        try layer.matrix("ssm_in", "\(prefix)in_proj", in: width, out: inner + channels + heads)
        try layer.convolution("ssm_conv1d", "\(prefix)conv1d", taps: taps, channels: channels)
        try layer.vector(
            "ssm_a", "\(prefix)A_log", heads, dimensions: [1, heads], change: .negativeExponential)
        try layer.vector("ssm_d", "\(prefix)D", heads, dimensions: [1, heads])
        try layer.vector("ssm_dt.bias", "\(prefix)dt_bias", heads)
        try layer.vector("ssm_norm.weight", "\(prefix)norm.weight", inner, dimensions: [inner / groups, groups])
        try layer.matrix("ssm_out", "\(prefix)out_proj", in: inner, out: width)
    }

    func mamba2Keys(heads: Int, headDim: Int, groups: Int, state: Int, taps: Int) throws(ConvertError) {
        guard heads.isMultiple(of: groups) else {
            throw config.conflict("n_groups", found: groups, expected: "a divisor of \(heads) heads")
        }
        set("ssm.conv_kernel", taps)
        set("ssm.state_size", state)
        set("ssm.group_count", groups)
        set("ssm.inner_size", heads * headDim)
        set("ssm.time_step_rank", heads)
    }
}
