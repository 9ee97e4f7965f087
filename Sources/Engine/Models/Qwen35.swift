/// `qwen35` and `qwen35moe`: Qwen 3.5, dense or as a mixture; `qwen3next`: Qwen3-Next, Qwen3-Coder-Next.
///
/// Three of four layers are Gated DeltaNet mixers, which remember the past in one matrix per head; every fourth is
/// softmax attention with a norm of each query and key head, rotation of the first quarter of a head only, and a
/// sigmoid gate on its result. The mixture adds a shared expert behind a gate of its own. Layers behind the main
/// ones predict a further token; the main pass leaves them out. Qwen3-Next is the mixture with another order of value
/// heads, and with the gates of the delta rule in one tensor.
///
/// Sources: Hugging Face transformers `modeling_qwen3_5.py`, `modeling_qwen3_5_moe.py`,
/// `modeling_qwen3_next.py`.
package struct Qwen35: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let recurrent = try Self.recurrentLayers(hyper, shape)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        attention.gate = .betweenQueries
        attention.mayBeFused = false
        let next = hyper.architecture == "qwen3next"
        let networks = try FeedForwards(
            hyper, shape, routed: .init(score: .always(.softmax), normalize: .always(true), shared: .gated),
            mixture: hyper.architecture == "qwen35" ? .never : .always)
        // With text alone the three axes of the rotation agree, and it is the plain one.
        let rope = try RopeFrequencies(
            hyper, headDim: shape.keyLength, defaultBase: 10_000_000, axes: next ? nil : .interleaved)
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(rope.table(.neox))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            try DecoderLayer(
                tensors, shape,
                mixer: recurrent[index]
                    ? DeltaNetBlock(tensors, hyper, shape, order: next ? .grouped : .tiled)
                    : AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: "post_attention_norm", feedForward: networks.bind(tensors, layer: index))
        }
    }

    /// Which layers run the delta rule: as the file lists them, else all but every `full_attention_interval`-th.
    /// Prediction layers always attend.
    private static func recurrentLayers(
        _ hyper: Hyperparameters, _ shape: DecoderShape
    ) throws(EngineError) -> [Bool] {
        let interval = try hyper.int("full_attention_interval", in: 1...1024, default: 4)
        let blocks = shape.layers + shape.nextTokenLayers
        let listed = try hyper.optionalBools("attention.recurrent_layers", count: blocks)
        return (0..<blocks).map { $0 < shape.layers && (listed?[$0] ?? !($0 + 1).isMultiple(of: interval)) }
    }
}
