/// The lightning indexer of DeepSeek Sparse Attention (DeepSeek-AI 2025): cheap heads of its own score every
/// position, and attention then looks at the best of them only.
package struct PositionIndexer: Sendable {
    package struct Options: Sendable {
        package let heads: Int
        package let keyDim: Int
        /// Positions that a query may see.
        package let topK: Int
        /// How the rotated values, the first of a head here, form pairs.
        package let pairing: RopePairing

        /// `attention.indexer.*`
        package init(_ hyper: Hyperparameters, pairing: RopePairing) throws(EngineError) {
            heads = try hyper.int("attention.indexer.head_count", in: 1...1024)
            keyDim = try hyper.int("attention.indexer.key_length", in: 1...4096)
            topK = try hyper.int("attention.indexer.top_k", in: 1...(1 << 20))
            self.pairing = pairing
        }
    }

    let options: Options
    let attnQB: Weight  // (query rank → heads · keyDim)
    let attnK: Weight  // (embedding → keyDim)
    let kNorm: Norm  // (keyDim), a layer norm
    let proj: Weight  // (embedding → heads)
    /// Everything that the layer's input is multiplied with.
    let inputKinds: ActivationKinds

    package init(
        _ tensors: LayerWeights, _ shape: DecoderShape, _ options: Options, queryRank: Int, ropeDim: Int
    ) throws(EngineError) {
        self.options = options
        guard ropeDim <= options.keyDim else {
            throw .hyperparameter(
                key: "attention.indexer.key_length", found: "\(options.keyDim)",
                expected: "at least rope.dimension_count \(ropeDim)")
        }
        attnQB = try tensors.matrix("indexer.attn_q_b", in: queryRank, out: options.heads * options.keyDim)
        attnK = try tensors.matrix("indexer.attn_k", in: shape.embeddingLength, out: options.keyDim)
        kNorm = try Norm(layer: tensors, "indexer.k_norm", options.keyDim, epsilon: 1e-6)
        proj = try tensors.matrix("indexer.proj", in: shape.embeddingLength, out: options.heads)
        inputKinds = ActivationKinds(attnK, proj)
    }

    /// - Parameters:
    ///   - x: the layer's input, prepared for ``inputKinds``.
    ///   - query: the normed low-rank query, prepared for ``attnQB``.
    package func forward(
        _ x: Activations, query: Activations, _ angles: RopeAngles, layer: Int, _ pass: Pass,
        into chosen: ChosenPositions
    ) {
        let cpu = pass.cpu
        pass.work.scoped {
            let (q, k, weights) = (pass.matrix(attnQB.rows), pass.matrix(attnK.rows), pass.matrix(proj.rows))
            cpu.matmul(attnQB, query, into: q)
            cpu.matmul(x, Product(attnK, into: k), Product(proj, into: weights))
            cpu.scale(weights, by: 1 / Float(options.heads * options.keyDim).squareRoot())
            pass.norm(k, kNorm, into: k)
            let queries = q.heads(options.heads, dim: options.keyDim)
            cpu.rope(queries, angles.paired(options.pairing))
            cpu.rope(k.heads(1, dim: options.keyDim), angles.paired(options.pairing))
            cpu.store(indexKeys: k, layer: layer, pass.batch)
            cpu.choosePositions(queries, weights: weights, layer: layer, pass.batch, pass.work, into: chosen)
        }
    }
}
