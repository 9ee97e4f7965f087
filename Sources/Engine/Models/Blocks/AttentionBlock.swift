/// Grouped-query softmax attention with its projections, from normed input to the branch's output.
package struct AttentionBlock: Mixer {
    /// What one family's attention does differently from another's.
    package struct Options: Sendable {
        package var qkvBias = Presence.absent
        package var outputBias = Presence.absent
        package var qkNorm = QKNorm.none
        /// RMS norm without a weight of each value head.
        package var valueNorm = false
        /// In a layer without `attn_v` the keys, as they come from their projection, are the values too.
        package var valuesMayBeKeys = false
        package var gate = Gate.none
        /// ``qkNorm`` stands behind the rotation.
        package var normsBehindRotation = false
        /// Keys visible from a query, itself included; nil: all before it.
        package var window: Int?
        /// False: a token sees all of its text, not only what comes before. The text is one pass.
        package var isCausal = true
        /// Tokens that see ahead, as those of pictures do in some families, do so in this layer.
        package var spansSeeAhead = true
        /// One further logit per head without a value (`attn_sinks` [heads]).
        package var sinks = false
        /// Multiplies q·k; nil: 1/sqrt(key dim).
        package var scale: Float?
        /// Scores are cap · tanh(score / cap).
        package var softCap: Float?
        /// Queries grow with their positions.
        package var temperature: QueryTemperature?
        /// The layer has no keys and values of its own and reads those of this one.
        package var cacheOf: Int?
        /// Queries, keys and values are kept within ± this as they come from their projections.
        package var clamp: Float?
        /// Query heads, where layers differ.
        package var heads: Int?
        /// Values per key and value head, where they differ from the file's common lengths.
        package var headDims: (key: Int, value: Int)?
        /// A file may hold q, k and v as one `attn_qkv`, in that order.
        package var mayBeFused = true
    }

    /// What multiplies the heads' results.
    package enum Gate: Sendable {
        case none
        /// The sigmoid of what `attn_q` yields behind each head's query.
        case betweenQueries
        /// The sigmoid of `attn_gate` · x, a number for each value or for each head, as wide as the tensor is.
        case own
    }

    /// RMS norm of queries and keys before the rotation (`attn_q_norm`, `attn_k_norm`).
    package enum QKNorm: Sendable {
        case none
        /// Of each head on its own; weights [head dim].
        case perHead
        /// The same for files that have the tensors.
        case perHeadIfPresent
        /// Of all heads together; weights [heads · head dim].
        case allHeads
    }

    let heads: Int
    let kvHeads: Int
    let keyDim: Int
    let valueDim: Int
    let epsilon: Float
    /// The gates lie between the queries.
    let gated: Bool
    let normsBehindRotation: Bool
    let normsAllHeads: Bool
    let normsValues: Bool
    let options: AttentionOptions
    let temperature: QueryTemperature?
    let clamp: Float?
    /// See ``Options/cacheOf``.
    let cacheOf: Int?
    private let window: Int?

    let attnQ: Weight  // (embedding → heads · keyDim, twice that with a gate)
    let attnK: Weight?  // (embedding → kvHeads · keyDim); nil: another layer's cache
    let attnV: Weight?  // (embedding → kvHeads · valueDim); nil: values are keys
    let attnGate: Weight?  // (embedding → heads · valueDim, or → heads)
    let attnOutput: Weight  // (heads · valueDim → embedding)
    let attnQBias: FloatVector?
    let attnKBias: FloatVector?
    let attnVBias: FloatVector?
    let attnOutputBias: FloatVector?
    let attnQNorm: FloatVector?  // (keyDim), or (heads · keyDim)
    let attnKNorm: FloatVector?  // (keyDim), or (kvHeads · keyDim)
    /// Everything that the layer's input is multiplied with.
    private let inputKinds: ActivationKinds

    package init(
        _ tensors: LayerWeights, _ shape: DecoderShape, layer: Int, _ options: Options = Options()
    ) throws(EngineError) {
        heads = options.heads ?? shape.headCount
        kvHeads = shape.headCountKV[layer]
        keyDim = options.headDims?.key ?? shape.keyLength
        valueDim = options.headDims?.value ?? shape.valueLength
        epsilon = shape.epsilon
        gated = options.gate == .betweenQueries
        normsBehindRotation = options.normsBehindRotation
        temperature = options.temperature
        clamp = options.clamp
        cacheOf = options.cacheOf
        window = options.isCausal ? options.window : nil
        normsValues = options.valueNorm
        guard kvHeads > 0 else {
            throw .hyperparameter(
                key: "attention.head_count_kv[\(layer)]", found: "0", expected: "at least 1: the layer attends")
        }
        guard !gated || keyDim == valueDim else {
            throw .hyperparameter(
                key: "attention.value_length", found: "\(valueDim)", expected: "attention.key_length \(keyDim)")
        }
        var attention = AttentionOptions(
            scale: options.scale ?? 1 / Float(keyDim).squareRoot(), window: options.window,
            isCausal: options.isCausal, sinks: options.sinks ? try tensors.vector("attn_sinks", heads) : nil,
            softCap: options.softCap)
        attention.spansSeeAhead = options.spansSeeAhead
        self.options = attention

        let width = shape.embeddingLength
        let (q, k, v) = (heads * keyDim * (gated ? 2 : 1), kvHeads * keyDim, kvHeads * valueDim)
        if options.mayBeFused, tensors.contains("attn_qkv") {
            let fused = try tensors.matrix("attn_qkv", in: width, out: q + k + v)
            attnQ = fused.rows(0..<q)
            attnK = fused.rows(q..<q + k)
            attnV = fused.rows(q + k..<q + k + v)
            let bias = try tensors.bias("attn_qkv", q + k + v, options.qkvBias)
            attnQBias = bias?.slice(0..<q)
            attnKBias = bias?.slice(q..<q + k)
            attnVBias = bias?.slice(q + k..<q + k + v)
        } else if options.cacheOf != nil {
            attnQ = try tensors.matrix("attn_q", in: width, out: q)
            attnQBias = try tensors.bias("attn_q", q, options.qkvBias)
            (attnK, attnV, attnKBias, attnVBias) = (nil, nil, nil, nil)
            // Files may hold what nobody reads.
            for name in ["attn_k", "attn_v", "attn_k_norm"] { tensors.skip(name) }
        } else {
            attnQ = try tensors.matrix("attn_q", in: width, out: q)
            attnK = try tensors.matrix("attn_k", in: width, out: k)
            let valuesAreKeys = options.valuesMayBeKeys && k == v && !tensors.contains("attn_v")
            attnV = valuesAreKeys ? nil : try tensors.matrix("attn_v", in: width, out: v)
            attnQBias = try tensors.bias("attn_q", q, options.qkvBias)
            attnKBias = try tensors.bias("attn_k", k, options.qkvBias)
            attnVBias = try tensors.bias("attn_v", v, options.qkvBias)
        }
        if options.gate == .own {
            let rows = tensors.rows(of: "attn_gate") == heads ? heads : heads * valueDim
            attnGate = try tensors.matrix("attn_gate", in: width, out: rows)
        } else {
            attnGate = nil
        }
        attnOutput = try tensors.matrix("attn_output", in: heads * valueDim, out: width)
        attnOutputBias = try tensors.bias("attn_output", width, options.outputBias)
        normsAllHeads = options.qkNorm == .allHeads
        switch options.qkNorm {
        case .none:
            (attnQNorm, attnKNorm) = (nil, nil)
        case .perHeadIfPresent where !tensors.contains("attn_q_norm"):
            (attnQNorm, attnKNorm) = (nil, nil)
        case .perHead, .perHeadIfPresent:
            attnQNorm = try tensors.vector("attn_q_norm", keyDim)
            attnKNorm = options.cacheOf == nil ? try tensors.vector("attn_k_norm", keyDim) : nil
        case .allHeads:
            attnQNorm = try tensors.vector("attn_q_norm", q)
            attnKNorm = options.cacheOf == nil ? try tensors.vector("attn_k_norm", k) : nil
        }
        inputKinds = ActivationKinds(attnQ, attnK, attnV, attnGate)
    }

    package var kind: String { ownState.kind }
    package var state: LayerState { cacheOf == nil ? ownState : .none }

    private var ownState: LayerState {
        // Without causality a text is one pass, all of which must be there.
        .attention(kvHeads: kvHeads, keyDim: keyDim, valueDim: valueDim, window: window)
    }

    package func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        let cpu = pass.cpu
        pass.work.scoped {
            let input = pass.prepare(x, for: inputKinds)
            let qg = pass.matrix(attnQ.rows)
            // With a gate every head is [query | gate].
            let queries = qg.heads(heads, dim: keyDim, stride: gated ? 2 * keyDim : keyDim)
            if let attnK {
                let (k, v) = (pass.matrix(attnK.rows), pass.matrix(kvHeads * valueDim))
                cpu.matmul(
                    input, Product(attnQ, bias: attnQBias, into: qg), Product(attnK, bias: attnKBias, into: k),
                    attnV.map { Product($0, bias: attnVBias, into: v) })
                if attnV == nil { cpu.copy(k, into: v) }
                if let clamp {
                    cpu.clamp(k, within: clamp)
                    cpu.clamp(v, within: clamp)
                }
                let keys = k.heads(kvHeads, dim: keyDim)
                let values = v.heads(kvHeads, dim: valueDim)
                turn(k, keys, attnKNorm, angles, pass)
                if normsValues { cpu.headNorm(values, nil, eps: epsilon) }
                cpu.store(keys: keys, values: values, layer: layer, pass.batch)
            } else {
                cpu.matmul(input, Product(attnQ, bias: attnQBias, into: qg))
            }
            if let clamp { cpu.clamp(qg, within: clamp) }
            turn(qg, queries, attnQNorm, angles, pass)
            if let temperature { cpu.scale(queries, by: temperature, positions: pass.batch.positions) }

            let attended = pass.matrix(heads * valueDim)
            let results = attended.heads(heads, dim: valueDim)
            cpu.attention(queries, options, layer: cacheOf ?? layer, pass.batch, pass.work, into: results)
            if gated {
                cpu.mulSigmoid(results, gate: qg.heads(heads, dim: keyDim, offset: keyDim, stride: 2 * keyDim))
            }
            if let attnGate {
                let gate = pass.matrix(attnGate.rows)
                cpu.matmul(input, Product(attnGate, into: gate))
                cpu.mulSigmoid(results, gate: gate.heads(heads, dim: gate.cols / heads))
            }
            cpu.matmul(attnOutput, pass.prepare(attended, for: attnOutput), bias: attnOutputBias, into: out)
        }
    }

    /// Norm and rotation of queries or keys. x (tokens, heads · keyDim), all of them.
    private func turn(_ x: Matrix, _ each: Heads, _ weight: FloatVector?, _ angles: RopeAngles?, _ pass: Pass) {
        if normsBehindRotation, let angles { pass.cpu.rope(each, angles) }
        if let weight {
            if normsAllHeads {
                pass.cpu.rmsNorm(x, weight, eps: epsilon, into: x)
            } else {
                pass.cpu.headNorm(each, weight, eps: epsilon)
            }
        }
        if !normsBehindRotation, let angles { pass.cpu.rope(each, angles) }
    }
}
