/// Grouped-query softmax attention with its projections, from normed input to the branch's output.
package struct AttentionBlock: Sendable {
    /// What one family's attention does differently from another's.
    package struct Options: Sendable {
        package var qkvBias = Presence.absent
        package var outputBias = Presence.absent
        /// RMS norm of each query and key head before the rotation (`attn_q_norm`, `attn_k_norm` [head dim]).
        package var qkNorm = false
        /// `attn_q` yields [query | gate] per head; the gate's sigmoid multiplies the head's result.
        package var gated = false
        /// Keys visible from a query, itself included; nil: all before it.
        package var window: Int?
        /// A file may hold q, k and v as one `attn_qkv`, in that order.
        package var mayBeFused = true
    }

    let heads: Int
    let kvHeads: Int
    let keyDim: Int
    let valueDim: Int
    let epsilon: Float
    let gated: Bool
    let options: AttentionOptions

    let attnQ: Weight  // (embedding → heads · keyDim, twice that with a gate)
    let attnK: Weight  // (embedding → kvHeads · keyDim)
    let attnV: Weight  // (embedding → kvHeads · valueDim)
    let attnOutput: Weight  // (heads · valueDim → embedding)
    let attnQBias: FloatVector?
    let attnKBias: FloatVector?
    let attnVBias: FloatVector?
    let attnOutputBias: FloatVector?
    let attnQNorm: FloatVector?  // (keyDim)
    let attnKNorm: FloatVector?  // (keyDim)
    /// Everything that the layer's input is multiplied with.
    private let inputKinds: ActivationKinds

    package init(
        _ tensors: LayerWeights, _ shape: DecoderShape, layer: Int, _ options: Options = Options()
    ) throws(EngineError) {
        heads = shape.headCount
        kvHeads = shape.headCountKV[layer]
        keyDim = shape.keyLength
        valueDim = shape.valueLength
        epsilon = shape.epsilon
        gated = options.gated
        guard kvHeads > 0 else {
            throw .hyperparameter(
                key: "attention.head_count_kv[\(layer)]", found: "0", expected: "at least 1: the layer attends")
        }
        guard !gated || keyDim == valueDim else {
            throw .hyperparameter(
                key: "attention.value_length", found: "\(valueDim)", expected: "attention.key_length \(keyDim)")
        }
        self.options = AttentionOptions(scale: 1 / Float(keyDim).squareRoot(), window: options.window)

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
        } else {
            attnQ = try tensors.matrix("attn_q", in: width, out: q)
            attnK = try tensors.matrix("attn_k", in: width, out: k)
            attnV = try tensors.matrix("attn_v", in: width, out: v)
            attnQBias = try tensors.bias("attn_q", q, options.qkvBias)
            attnKBias = try tensors.bias("attn_k", k, options.qkvBias)
            attnVBias = try tensors.bias("attn_v", v, options.qkvBias)
        }
        attnOutput = try tensors.matrix("attn_output", in: heads * valueDim, out: width)
        attnOutputBias = try tensors.bias("attn_output", width, options.outputBias)
        attnQNorm = options.qkNorm ? try tensors.vector("attn_q_norm", keyDim) : nil
        attnKNorm = options.qkNorm ? try tensors.vector("attn_k_norm", keyDim) : nil
        inputKinds = ActivationKinds(attnQ, attnK, attnV)
    }

    /// What the layer remembers.
    package var state: LayerState { .attention(kvHeads: kvHeads, keyDim: keyDim, valueDim: valueDim) }

    /// x, out (tokens, embedding). `angles` nil: no rotation.
    package func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        let cpu = pass.cpu
        pass.work.scoped {
            let (qg, k, v) = (pass.matrix(attnQ.rows), pass.matrix(attnK.rows), pass.matrix(attnV.rows))
            cpu.matmul(
                pass.prepare(x, for: inputKinds), Product(attnQ, bias: attnQBias, into: qg),
                Product(attnK, bias: attnKBias, into: k), Product(attnV, bias: attnVBias, into: v))

            // With a gate every head is [query | gate].
            let queries = qg.heads(heads, dim: keyDim, stride: gated ? 2 * keyDim : keyDim)
            let keys = k.heads(kvHeads, dim: keyDim)
            if let attnQNorm { cpu.headNorm(queries, attnQNorm, eps: epsilon) }
            if let attnKNorm { cpu.headNorm(keys, attnKNorm, eps: epsilon) }
            if let angles {
                cpu.rope(queries, angles)
                cpu.rope(keys, angles)
            }
            cpu.store(keys: keys, values: v.heads(kvHeads, dim: valueDim), layer: layer, pass.batch)

            let attended = pass.matrix(heads * valueDim)
            let results = attended.heads(heads, dim: valueDim)
            cpu.attention(queries, options, layer: layer, pass.batch, pass.work, into: results)
            if gated {
                cpu.mulSigmoid(results, gate: qg.heads(heads, dim: keyDim, offset: keyDim, stride: 2 * keyDim))
            }
            cpu.matmul(attnOutput, pass.prepare(attended, for: attnOutput), bias: attnOutputBias, into: out)
        }
    }
}
