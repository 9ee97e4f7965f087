#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// `deepseek4`: DeepSeek-V4.
///
/// The residual stream is several streams (hyper-connections, Xie et al. 2026): each branch reads a weighted sum of
/// them and is mixed back by weights that depend on the token. Attention sees a window and compressed entries. Experts
/// are routed by sqrt(softplus), in the first layers by a table of token ids, and clamp what goes into their gates.
///
/// Sources: DeepSeek-AI 2026, Hugging Face transformers `modeling_deepseek_v4.py`.
package struct DeepSeek4: Architecture {
    /// The weights of the streams around one branch.
    struct HyperConnection {
        let fn: Weight  // (streams · embedding → streams · (streams + 2)), or at the end (→ streams)
        let scale: FloatVector  // (3): pre, post, comb; at the end (1)
        let base: FloatVector  // as many as fn makes

        init(
            _ tensors: LayerWeights, _ name: String, width: Int, weights: Int, scales: Int
        ) throws(EngineError) {
            fn = try tensors.matrix("\(name)_fn", in: width, out: weights)
            scale = try tensors.vector("\(name)_scale", scales)
            base = try tensors.vector("\(name)_base", weights)
        }
    }

    struct Layer {
        let hcAttn: HyperConnection
        let attnNorm: Norm  // (embedding)
        let attention: CompressedAttentionBlock
        let hcFfn: HyperConnection
        let ffnNorm: Norm  // (embedding)
        let experts: ExpertsBlock
    }

    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let streams: Int
    let iterations: Int
    let hyperEpsilon: Float
    /// Layers without compression rotate by another base.
    let windowRope: RopeTable
    let compressRope: RopeTable
    let layers: [Layer]
    let outputHc: HyperConnection

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let blocks = shape.layers + shape.nextTokenLayers
        let embedding = shape.embeddingLength
        let streams = try hyper.int("hyper_connection.count", in: 2...16)
        iterations = try hyper.int("hyper_connection.sinkhorn_iterations", in: 1...1000)
        hyperEpsilon = Float(try hyper.float("hyper_connection.epsilon", in: 0...1))
        let ratios = try hyper.ints("attention.compress_ratios", count: blocks, in: 0...128)
        for ratio in ratios where ![0, 4, 128].contains(ratio) {
            throw hyper.conflict("attention.compress_ratios", found: ratio, expected: "0, 4 or 128")
        }
        let hashLayers = try hyper.int("hash_layer_count", in: 0...blocks, default: 0)
        let clamps = try hyper.floats("swiglu_clamp_exp", count: blocks, in: 1e-3...1e6)
        let sharedClamps = try hyper.floats("swiglu_clamp_shexp", count: blocks, in: 1e-3...1e6)

        var compressed = try RopeFrequencies(
            hyper, headDim: shape.keyLength, baseKey: "attention.compress_rope_freq_base")
        compressed.amplitude = 1
        var plain = compressed
        let base = try hyper.float("rope.freq_base", in: 1.000_001...1e15)
        plain.perPair = plain.perPair.indices.map { pow(base, -Double($0) / Double(plain.perPair.count)) }
        let (windowRope, compressRope) = (plain.table(.norm), compressed.table(.norm))
        (self.windowRope, self.compressRope) = (windowRope, compressRope)

        head = try OutputHead(weights, shape)
        experts = try ExpertCounts(hyper)
        self.shape = shape
        self.streams = streams
        let width = streams * embedding
        outputHc = try HyperConnection(
            LayerWeights(outside: weights), "output_hc", width: width, weights: streams, scales: 1)
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            let mixing = streams * (streams + 2)
            var routed = ExpertsBlock.Options(
                score: .always(.sqrtSoftplus), normalize: .stated(default: true), shared: .added)
            routed.normalizeEpsilon = 1e-20
            routed.byToken = index < hashLayers
            routed.selectionBias = index < hashLayers ? .optional : .required
            routed.activation = .gated(.clampedSilu(limit: Float(clamps[index])))
            routed.sharedActivation = .gated(.clampedSilu(limit: Float(sharedClamps[index])))
            return Layer(
                hcAttn: try HyperConnection(tensors, "hc_attn", width: width, weights: mixing, scales: 3),
                attnNorm: try Norm(tensors, "attn_norm", embedding, epsilon: shape.epsilon),
                attention: try CompressedAttentionBlock(
                    tensors, hyper, shape, ratio: ratios[index], rope: ratios[index] == 0 ? windowRope : compressRope),
                hcFfn: try HyperConnection(tensors, "hc_ffn", width: width, weights: mixing, scales: 3),
                ffnNorm: try Norm(tensors, "ffn_norm", embedding, epsilon: shape.epsilon),
                experts: try ExpertsBlock(tensors, hyper, shape, routed))
        }
        weights.skip(layers: shape.layers..<blocks)
    }

    package var layerStates: [LayerState] { layers.map(\.attention.state) }
    package var layerKinds: [String] { layers.map(\.attention.kind) }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let cpu = pass.cpu
        let width = shape.embeddingLength
        let x = pass.matrix(streams * width)  // the residual streams
        let h = pass.matrix(width)  // a branch's input
        let y = pass.matrix(width)  // a branch's output
        let windowAngles = cpu.angles(windowRope, pass.batch, pass.work)
        let compressAngles = cpu.angles(compressRope, pass.batch, pass.work)

        head.embed(pass, into: h)
        cpu.copyToStreams(h, into: x)
        for (index, layer) in layers.enumerated() {
            around(x, layer.hcAttn, h, y, pass) {
                pass.norm(h, layer.attnNorm, into: h)
                let angles = layer.attention.ratio == 0 ? windowAngles : compressAngles
                layer.attention.forward(h, angles, layer: index, pass, into: y)
            }
            around(x, layer.hcFfn, h, y, pass) {
                pass.norm(h, layer.ffnNorm, into: h)
                layer.experts.forward(h, pass, into: y)
            }
        }
        let weights = weights(x, outputHc, pass)
        cpu.collapseStreams(x, weights: weights, into: h)
        head.norm(h, pass, into: hidden)
    }

    /// Runs a branch from h to y between the streams.
    private func around(
        _ x: Matrix, _ connection: HyperConnection, _ h: Matrix, _ y: Matrix, _ pass: Pass, _ branch: () -> Void
    ) {
        pass.work.scoped {
            let weights = weights(x, connection, pass)
            pass.cpu.collapseStreams(x, weights: weights, into: h)
            branch()
            pass.cpu.expandStreams(y, weights: weights, into: x)
        }
    }

    private func weights(_ x: Matrix, _ connection: HyperConnection, _ pass: Pass) -> Matrix {
        let weights = pass.matrix(connection.fn.rows)
        pass.work.scoped {
            let normed = pass.matrix(x.cols)
            pass.cpu.rmsNorm(x, nil, eps: shape.epsilon, into: normed)
            pass.cpu.matmul(connection.fn, pass.prepare(normed, for: connection.fn), into: weights)
        }
        pass.cpu.hyperWeights(
            weights, streams: streams, scale: connection.scale, base: connection.base, iterations: iterations,
            eps: hyperEpsilon)
        return weights
    }
}
