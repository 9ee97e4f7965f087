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
    package let stack: DecoderStack
    let outputHc: HyperConnection

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let blocks = shape.layers + shape.nextTokenLayers
        let embedding = shape.embeddingLength
        let streams = try HyperConnection.Options(hyper, shape)
        let ratios = try hyper.ints("attention.compress_ratios", count: blocks, in: 0...128)
        for ratio in ratios where ![0, 4, 128].contains(ratio) {
            throw hyper.conflict("attention.compress_ratios", found: ratio, expected: "0, 4 or 128")
        }
        let hashLayers = try hyper.int("hash_layer_count", in: 0...blocks, default: 0)
        let clamps = try hyper.floats("swiglu_clamp_exp", count: blocks, in: 1e-3...1e6)
        let sharedClamps = try hyper.floats("swiglu_clamp_shexp", count: blocks, in: 1e-3...1e6)

        // Layers without compression rotate by another base.
        var compressed = try RopeFrequencies(
            hyper, headDim: shape.keyLength, baseKey: "attention.compress_rope_freq_base")
        compressed.amplitude = 1
        var plain = compressed
        let base = try hyper.float("rope.freq_base", in: 1.000_001...1e15)
        plain.perPair = plain.perPair.indices.map { pow(base, -Double($0) / Double(plain.perPair.count)) }
        let rotations = [Rotation(plain.table(.norm)), Rotation(compressed.table(.norm))]

        outputHc = try HyperConnection(
            LayerWeights(outside: weights), "output_hc", embedding: embedding, streams, collapses: true)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: rotations, experts: ExpertCounts(hyper),
            predicts: false
        ) { index, tensors throws(EngineError) in
            var routed = ExpertsBlock.Options(
                score: .always(.sqrtSoftplus), normalize: .stated(default: true), shared: .added)
            routed.normalizeEpsilon = 1e-20
            routed.byToken = index < hashLayers
            routed.selectionBias = index < hashLayers ? .optional : .required
            routed.activation = .gated(.clampedSilu(limit: Float(clamps[index])))
            routed.sharedActivation = .gated(.clampedSilu(limit: Float(sharedClamps[index])))
            let rotation = ratios[index] == 0 ? 0 : 1
            var layer = try DecoderLayer(
                tensors, shape,
                mixer: CompressedAttentionBlock(
                    tensors, hyper, shape, ratio: ratios[index], rope: rotations[rotation].table),
                feedForward: ExpertsBlock(tensors, hyper, shape, routed), rotation: rotation)
            layer.connections = (
                attn: try HyperConnection(tensors, "hc_attn", embedding: embedding, streams),
                ffn: try HyperConnection(tensors, "hc_ffn", embedding: embedding, streams)
            )
            return layer
        }
    }

    package func enter(_ pass: inout Pass) -> Matrix {
        let x = stack.stream(pass)
        pass.work.scoped {
            let h = pass.matrix(shape.embeddingLength)
            head.embed(pass, into: h)
            pass.cpu.copyToStreams(h, into: x)
        }
        return x
    }

    package func leave(_ x: Matrix, _ pass: Pass, into hidden: Matrix) {
        pass.work.scoped {
            let h = pass.matrix(shape.embeddingLength)
            outputHc.collapse(x, pass, into: h)
            head.norm(h, pass, into: hidden)
        }
    }
}
