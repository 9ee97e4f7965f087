/// `llama`: Llama 1 to 3, Yi, Mistral and everything else in that form, and with `expert_count` Mixtral.
///
/// Touvron et al. 2023. Pre-norm residual layers of grouped-query attention and a SiLU-gated network. Queries and
/// keys are stored permuted, so the rotation takes interleaved pairs. Llama 3's frequency scaling comes as the
/// tensor `rope_freqs`; some relatives have biases.
package struct Llama: Architecture {
    struct Layer {
        let attnNorm: FloatVector  // (embedding)
        let attention: AttentionBlock
        let ffnNorm: FloatVector  // (embedding)
        let feedForward: FeedForward
    }

    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [Layer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let embedding = shape.embeddingLength
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        let mixture = try hyper.int("expert_count", in: 0...4096, default: 0) > 0
        let window = try hyper.int("attention.sliding_window", in: 0...(1 << 31), default: 0)
        var attention = AttentionBlock.Options()
        attention.qkvBias = .optional
        attention.outputBias = .optional
        attention.window = window > 0 ? window : nil

        var frequencies = try RopeFrequencies(hyper, headDim: shape.keyLength)
        if let divisors = try weights.optionalVector("rope_freqs.weight", frequencies.perPair.count) {
            try frequencies.divide(by: divisors)
        }
        rope = frequencies.table(.norm)
        head = try OutputHead(weights, shape)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return Layer(
                attnNorm: try tensors.vector("attn_norm", embedding),
                attention: try AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: try tensors.vector("ffn_norm", embedding),
                feedForward: mixture
                    ? .experts(try ExpertsBlock(tensors, hyper, shape, .init(score: .softmax, normalize: true)))
                    : .dense(
                        try DenseBlock(tensors, embedding: embedding, width: widths[index], biases: .optional)))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.attention.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let (cpu, eps) = (pass.cpu, shape.epsilon)
        let x = pass.matrix(shape.embeddingLength)  // the residual stream
        let h = pass.matrix(shape.embeddingLength)  // a branch's normed input
        let y = pass.matrix(shape.embeddingLength)  // a branch's output
        let angles = cpu.angles(rope, pass.batch, pass.work)

        head.embed(pass, into: x)
        for (index, layer) in layers.enumerated() {
            cpu.rmsNorm(x, layer.attnNorm, eps: eps, into: h)
            layer.attention.forward(h, angles, layer: index, pass, into: y)
            cpu.addRMSNorm(y, to: x, layer.ffnNorm, eps: eps, into: h)
            layer.feedForward.forward(h, pass, into: y)
            cpu.add(y, to: x)
        }
        head.norm(x, pass, into: hidden)
    }
}
