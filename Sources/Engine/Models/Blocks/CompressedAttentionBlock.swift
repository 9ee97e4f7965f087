/// The attention of DeepSeek-V4 (DeepSeek-AI 2026): one vector per token, key and value of all heads, of which a
/// query sees a window, and compressed entries of all that came before: one for every 128 tokens, or one for every 4
/// of which an indexer chooses the best.
package struct CompressedAttentionBlock: Mixer {
    /// A learned compression of the layer's input.
    struct Compressor {
        let shape: CompressorShape
        let kv: Weight  // (embedding → channels)
        let gate: Weight  // (embedding → channels)
        let ape: FloatVector  // (ratio, channels)
        let norm: FloatVector  // (dim)

        init(
            _ tensors: LayerWeights, _ name: String, embedding: Int, ratio: Int, dim: Int
        ) throws(EngineError) {
            shape = CompressorShape(ratio: ratio, dim: dim, overlaps: ratio == 4)
            kv = try tensors.matrix("\(name)_kv", in: embedding, out: shape.channels)
            gate = try tensors.matrix("\(name)_gate", in: embedding, out: shape.channels)
            ape = try tensors.table("\(name)_ape", cols: shape.channels, rows: ratio)
            norm = try tensors.vector("\(name)_norm", dim)
        }
    }

    /// The indexer of the entries: its queries meet compressed keys of its own.
    struct Indexer {
        let options: PositionIndexer.Options
        let attnQB: Weight  // (query rank → heads · keyDim)
        let proj: Weight  // (embedding → heads)
        let compressor: Compressor
    }

    let heads: Int
    let headDim: Int
    let groups: Int
    let window: Int
    /// Tokens per entry; 0: the layer sees its window only.
    let ratio: Int
    let epsilon: Float
    /// The rotation of the layer's kind, and of its compressed entries.
    let rope: RopeTable
    let options: AttentionOptions

    let attnQA: Weight  // (embedding → query rank)
    let attnQANorm: FloatVector  // (query rank)
    let attnQB: Weight  // (query rank → heads · headDim)
    let attnKv: Weight  // (embedding → headDim)
    let attnKvANorm: FloatVector  // (headDim)
    let attnOutputA: Weight  // per group (heads / groups · headDim → output rank)
    let attnOutputB: Weight  // (groups · output rank → embedding)
    let compressor: Compressor?
    let indexer: Indexer?

    package init(
        _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape, ratio: Int, rope: RopeTable
    ) throws(EngineError) {
        let width = shape.embeddingLength
        (heads, headDim, epsilon) = (shape.headCount, shape.keyLength, shape.epsilon)
        self.ratio = ratio
        self.rope = rope
        guard let window = try hyper.window() else {
            throw hyper.conflict("attention.sliding_window", found: 0, expected: "at least 1")
        }
        self.window = window
        guard headDim.isMultiple(of: 16), shape.valueLength == headDim else {
            throw hyper.conflict(
                "attention.key_length", found: headDim, expected: "a multiple of 16, and equal to value_length")
        }
        let rank = try hyper.int("attention.q_lora_rank", in: 1...16384)
        groups = try hyper.int("attention.output_group_count", in: 1...1024)
        let outputRank = try hyper.int("attention.output_lora_rank", in: 1...16384)
        guard heads.isMultiple(of: groups) else {
            throw hyper.conflict(
                "attention.output_group_count", found: groups, expected: "a divisor of the \(heads) heads")
        }
        options = AttentionOptions(
            scale: 1 / Float(headDim).squareRoot(), sinks: try tensors.vector("attn_sinks", heads))
        attnQA = try tensors.matrix("attn_q_a", in: width, out: rank)
        attnQANorm = try tensors.vector("attn_q_a_norm", rank)
        attnQB = try tensors.matrix("attn_q_b", in: rank, out: heads * headDim)
        attnKv = try tensors.matrix("attn_kv", in: width, out: headDim)
        attnKvANorm = try tensors.vector("attn_kv_a_norm", headDim)
        let stacked = try tensors.matrix("attn_output_a", in: heads / groups * headDim, out: groups * outputRank)
        attnOutputA = Weight(
            name: stacked.name, format: stacked.format, bytes: stacked.bytes, rows: outputRank, cols: stacked.cols,
            experts: groups, factors: stacked.factors)
        attnOutputB = try tensors.matrix("attn_output_b", in: groups * outputRank, out: width)
        compressor =
            ratio > 0
            ? try Compressor(tensors, "attn_compressor", embedding: width, ratio: ratio, dim: headDim) : nil
        if ratio == 4 {
            let options = try PositionIndexer.Options(hyper, pairing: .norm)
            indexer = Indexer(
                options: options,
                attnQB: try tensors.matrix("indexer.attn_q_b", in: rank, out: options.heads * options.keyDim),
                proj: try tensors.matrix("indexer.proj", in: width, out: options.heads),
                compressor: try Compressor(
                    tensors, "indexer_compressor", embedding: width, ratio: ratio, dim: options.keyDim))
        } else {
            indexer = nil
        }
    }

    package var kind: String { ratio == 0 ? "window attention" : "compressed attention, \(ratio) to 1" }
    package var state: LayerState {
        .compressed(
            dim: headDim, ratio: ratio, channels: compressor?.shape.channels ?? 0,
            indexKeyDim: indexer?.options.keyDim ?? 0, indexChannels: indexer?.compressor.shape.channels ?? 0)
    }

    package func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        guard let angles else { return }
        let cpu = pass.cpu
        pass.work.scoped {
            let (low, q, kv) = (pass.matrix(attnQA.rows), pass.matrix(attnQB.rows), pass.matrix(headDim))
            let input = pass.prepare(x, for: ActivationKinds(attnQA, attnKv))
            cpu.matmul(input, Product(attnQA, into: low), Product(attnKv, into: kv))
            cpu.rmsNorm(low, attnQANorm, eps: epsilon, into: low)
            let query = pass.prepare(low, for: ActivationKinds(attnQB, indexer?.attnQB))
            cpu.matmul(attnQB, query, into: q)
            let queries = q.heads(heads, dim: headDim)
            cpu.headNorm(queries, nil, eps: epsilon)
            cpu.rmsNorm(kv, attnKvANorm, eps: epsilon, into: kv)
            let ropeDim = 2 * angles.pairs
            cpu.rope(rotated(q, heads, headDim, ropeDim), angles)
            cpu.rope(rotated(kv, 1, headDim, ropeDim), angles)
            cpu.store(latents: kv, tails: nil, layer: layer, pass.batch)

            if let compressor { compress(x, compressor, .latents, layer, pass) }
            let entries = indexer.map { choose(x, query, $0, angles, layer, pass) }
            let visible = cpu.visibleRows(window: window, ratio: ratio, entries: entries, pass.batch, pass.work)
            let attended = pass.matrix(heads * headDim)
            cpu.latentAttention(
                queries, options, chosen: visible, layer: layer, pass.batch, pass.work,
                into: attended.heads(heads, dim: headDim))
            // Values carry the rotation of their position; this leaves the distance.
            cpu.rope(rotated(attended, heads, headDim, ropeDim), cpu.inverse(angles, pass.work))

            let mixed = pass.matrix(attnOutputB.cols)
            cpu.headMatmul(
                attnOutputA, attended.heads(groups, dim: attnOutputA.cols), pass.work,
                into: mixed.heads(groups, dim: attnOutputA.rows))
            cpu.matmul(attnOutputB, pass.prepare(mixed, for: attnOutputB), into: out)
        }
    }

    /// The last values of each head.
    private func rotated(_ x: Matrix, _ count: Int, _ dim: Int, _ ropeDim: Int) -> Heads {
        x.heads(count, dim: ropeDim, offset: dim - ropeDim, stride: dim)
    }

    private func compress(
        _ x: Matrix, _ compressor: Compressor, _ place: CompressorPlace, _ layer: Int, _ pass: Pass
    ) {
        pass.work.scoped {
            let (kv, gate) = (pass.matrix(compressor.kv.rows), pass.matrix(compressor.gate.rows))
            pass.cpu.matmul(
                pass.prepare(x, for: ActivationKinds(compressor.kv, compressor.gate)),
                Product(compressor.kv, into: kv), Product(compressor.gate, into: gate))
            pass.cpu.compress(
                kv, gate: gate, compressor.shape, ape: compressor.ape, norm: compressor.norm, eps: epsilon, rope: rope,
                into: place, layer: layer, pass.batch)
        }
    }

    /// The best entries of each token, as numbers of entries.
    private func choose(
        _ x: Matrix, _ query: Activations, _ indexer: Indexer, _ angles: RopeAngles, _ layer: Int, _ pass: Pass
    ) -> ChosenPositions {
        let cpu = pass.cpu
        let options = indexer.options
        let chosen = cpu.chosenPositions(topK: options.topK, pass.batch, pass.work)
        compress(x, indexer.compressor, .indexKeys, layer, pass)
        pass.work.scoped {
            let (q, weights) = (pass.matrix(indexer.attnQB.rows), pass.matrix(options.heads))
            cpu.matmul(indexer.attnQB, query, into: q)
            cpu.matmul(indexer.proj, pass.prepare(x, for: indexer.proj), into: weights)
            cpu.scale(weights, by: 1 / Float(options.heads * options.keyDim).squareRoot())
            cpu.rope(rotated(q, options.heads, options.keyDim, 2 * angles.pairs), angles)
            cpu.choosePositions(
                q.heads(options.heads, dim: options.keyDim), weights: weights, ratio: ratio, layer: layer, pass.batch,
                pass.work, into: chosen)
        }
        return chosen
    }
}
