/// Multi-head latent attention (DeepSeek-AI 2024, "DeepSeek-V2") in absorbed form: the cache holds one latent and one
/// shared rotated key per token, and the projections that would make each head's keys and values from the latent are
/// applied to its query and to its result instead.
package struct LatentAttentionBlock: Mixer {
    /// What one family's latent attention does differently from another's.
    package struct Options: Sendable {
        /// Multiplies 1/sqrt(key length).
        package var scale: Float = 1
        /// Chooses the positions that a query sees; its weights lie in the same layer.
        package var indexer: PositionIndexer.Options?
        /// Values per key and value head, for families whose files have other keys for them.
        package var lengths: (key: Int, value: Int)?
        /// Queries grow with their positions.
        package var temperature: QueryTemperature?
        /// The sigmoid of `attn_gate` · x, a number for each head, multiplies the head's result.
        package var hasHeadGate = false
    }

    let heads: Int
    /// Values of a query head that meet the latent, and those that are rotated.
    let plainDim: Int
    let ropeDim: Int
    let latentDim: Int
    let valueDim: Int
    let epsilon: Float
    let options: AttentionOptions
    let temperature: QueryTemperature?

    let attnQ: Weight  // (embedding → heads · (plain + rope)), or from the low-rank query: attn_q_b
    let attnQA: Weight?  // (embedding → query rank)
    let attnQANorm: FloatVector?  // (query rank)
    let attnKvAMqa: Weight  // (embedding → latent + rope)
    let attnKvANorm: FloatVector  // (latent)
    let attnKB: Weight  // per head (plain → latent)
    let attnVB: Weight  // per head (latent → value)
    let attnGate: Weight?  // (embedding → heads)
    let attnOutput: Weight  // (heads · value → embedding)
    let indexer: PositionIndexer?
    /// Everything that the layer's input is multiplied with.
    private let inputKinds: ActivationKinds

    package init(
        _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape, _ options: Options = Options()
    ) throws(EngineError) {
        heads = shape.headCount
        epsilon = shape.epsilon
        latentDim = try hyper.int("attention.kv_lora_rank", in: 1...8192)
        guard latentDim.isMultiple(of: 16) else {
            throw hyper.conflict("attention.kv_lora_rank", found: latentDim, expected: "a multiple of 16")
        }
        let keyLength: Int
        if let lengths = options.lengths {
            (keyLength, valueDim) = lengths
        } else {
            keyLength = try hyper.int("attention.key_length_mla", in: 1...8192)
            valueDim = try hyper.int("attention.value_length_mla", in: 1...8192)
        }
        temperature = options.temperature
        ropeDim = try hyper.int("rope.dimension_count", in: 1...8192)
        guard ropeDim < keyLength else {
            throw hyper.conflict(
                "rope.dimension_count", found: ropeDim, expected: "less than attention.key_length_mla \(keyLength)")
        }
        plainDim = keyLength - ropeDim
        self.options = AttentionOptions(scale: options.scale / Float(keyLength).squareRoot())

        let (width, queries) = (shape.embeddingLength, heads * keyLength)
        let rank = try hyper.int("attention.q_lora_rank", in: 0...16384, default: 0)
        if rank > 0 {
            attnQA = try tensors.matrix("attn_q_a", in: width, out: rank)
            attnQANorm = try tensors.vector("attn_q_a_norm", rank)
            attnQ = try tensors.matrix("attn_q_b", in: rank, out: queries)
        } else {
            (attnQA, attnQANorm) = (nil, nil)
            attnQ = try tensors.matrix("attn_q", in: width, out: queries)
        }
        attnKvAMqa = try tensors.matrix("attn_kv_a_mqa", in: width, out: latentDim + ropeDim)
        attnKvANorm = try tensors.vector("attn_kv_a_norm", latentDim)
        if tensors.contains("attn_k_b") || !tensors.contains("attn_kv_b") {
            attnKB = try tensors.heads("attn_k_b", in: plainDim, out: latentDim, count: heads)
            attnVB = try tensors.heads("attn_v_b", in: latentDim, out: valueDim, count: heads)
        } else {
            // Older files: per head the rows of the keys, to be transposed, then those of the values.
            let both = try tensors.matrix("attn_kv_b", in: latentDim, out: heads * (plainDim + valueDim))
            attnKB = try tensors.map.transposed(both, rows: plainDim, of: plainDim + valueDim, heads: heads)
            attnVB = Weight(
                name: both.name, format: both.format, bytes: both.row(plainDim), rows: valueDim, cols: latentDim,
                experts: heads, expertBytes: (plainDim + valueDim) * both.rowBytes, factors: both.factors)
        }
        attnGate = options.hasHeadGate ? try tensors.matrix("attn_gate", in: width, out: heads) : nil
        attnOutput = try tensors.matrix("attn_output", in: heads * valueDim, out: width)
        if let indexing = options.indexer {
            guard rank > 0 else {
                throw hyper.conflict("attention.q_lora_rank", found: rank, expected: "at least 1: the indexer reads it")
            }
            indexer = try PositionIndexer(tensors, shape, indexing, queryRank: rank, ropeDim: ropeDim)
        } else {
            indexer = nil
        }
        var kinds = ActivationKinds(attnQA ?? attnQ, attnKvAMqa, attnGate)
        if let indexer { kinds.formUnion(indexer.inputKinds) }
        inputKinds = kinds
    }

    package var state: LayerState {
        .latent(dim: latentDim, tail: ropeDim, indexKeyDim: indexer?.options.keyDim ?? 0)
    }

    /// `angles` nil: no rotation, the rotated part of queries and keys is just further values.
    package func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        let cpu = pass.cpu
        pass.work.scoped {
            let keyLength = plainDim + ropeDim
            let (q, kv) = (pass.matrix(attnQ.rows), pass.matrix(attnKvAMqa.rows))
            let input = pass.prepare(x, for: inputKinds)
            if let attnQA, let attnQANorm {
                let low = pass.matrix(attnQA.rows)
                cpu.matmul(input, Product(attnQA, into: low), Product(attnKvAMqa, into: kv))
                cpu.rmsNorm(low, attnQANorm, eps: epsilon, into: low)
                let kinds = ActivationKinds(attnQ, indexer?.attnQB)
                let query = pass.prepare(low, for: kinds)
                cpu.matmul(attnQ, query, into: q)
                if let indexer, let angles, let chosen = pass.chosen {
                    indexer.forward(input, query: query, angles, layer: layer, pass, into: chosen)
                }
            } else {
                cpu.matmul(input, Product(attnQ, into: q), Product(attnKvAMqa, into: kv))
            }

            let latents = kv.columns(0..<latentDim)
            let sharedKey = kv.columns(latentDim..<latentDim + ropeDim)
            let rotated = q.heads(heads, dim: ropeDim, offset: plainDim, stride: keyLength)
            cpu.rmsNorm(latents, attnKvANorm, eps: epsilon, into: latents)
            if let angles {
                cpu.rope(rotated, angles)
                cpu.rope(sharedKey.heads(1, dim: ropeDim), angles)
            }
            if let temperature {
                cpu.scale(q.heads(heads, dim: keyLength), by: temperature, positions: pass.batch.positions)
            }
            cpu.store(latents: latents, tails: sharedKey, layer: layer, pass.batch)

            // A query head in the latent's space: [k_b · plain | rotated], the rotated part padded.
            let padded = StateLayout.padded(ropeDim)
            let absorbed = pass.matrix(heads * (latentDim + padded))
            cpu.headMatmul(
                attnKB, q.heads(heads, dim: plainDim, stride: keyLength), pass.work,
                into: absorbed.heads(heads, dim: latentDim, stride: latentDim + padded))
            cpu.copy(
                rotated, into: absorbed.heads(heads, dim: padded, offset: latentDim, stride: latentDim + padded))
            let attended = pass.matrix(heads * latentDim)
            cpu.latentAttention(
                absorbed.heads(heads, dim: latentDim + padded), options, chosen: pass.chosen, layer: layer,
                pass.batch, pass.work, into: attended.heads(heads, dim: latentDim))
            let values = pass.matrix(heads * valueDim)
            cpu.headMatmul(
                attnVB, attended.heads(heads, dim: latentDim), pass.work, into: values.heads(heads, dim: valueDim))
            if let attnGate {
                let gate = pass.matrix(heads)
                cpu.matmul(attnGate, input, into: gate)
                cpu.mulSigmoid(values.heads(heads, dim: valueDim), gate: gate.heads(heads, dim: 1))
            }
            cpu.matmul(attnOutput, pass.prepare(values, for: attnOutput), into: out)
        }
    }
}
