#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// `hunyuan-dense`, `hunyuan-moe`: Hunyuan 0.5B to 7B, Hunyuan A13B.
///
/// Tencent 2025. The Llama form with a norm of every query and key head behind the rotation of half-split pairs. The
/// mixture normalises the weights of the chosen experts and adds a shared one.
///
/// Sources: Hugging Face transformers `modeling_hunyuan_v1_dense.py`, `modeling_hunyuan_v1_moe.py`.
package struct Hunyuan: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        attention.normsBehindRotation = true
        let networks = try FeedForwards(
            hyper, shape, routed: .init(score: .always(.softmax), normalize: .always(true), shared: .added),
            mixture: hyper.architecture == "hunyuan-moe" ? .always : .never)
        var rope = try RopeFrequencies(hyper, headDim: shape.keyLength)
        // Most converters have put it into the base already.
        let alpha = try hyper.float("rope.scaling.alpha", in: 0...1e9, default: 0)
        let pairs = rope.perPair.count
        if alpha > 0, pairs > 1 {
            // The base times alpha^(d / (d − 2)).
            rope.perPair = rope.perPair.indices.map {
                rope.perPair[$0] * pow(alpha, -Double($0) / Double(pairs - 1))
            }
        }
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: networks.bind(tensors, layer: index))
        }
    }
}
