/// `qwen35` and `qwen35moe`: Qwen 3.5, dense or as a mixture.
///
/// Three of four layers are Gated DeltaNet mixers, which remember the past in one matrix per head; every fourth is
/// softmax attention with a norm of each query and key head, rotation of the first quarter of a head only, and a
/// sigmoid gate on its result. The mixture adds a shared expert behind a gate of its own. Layers behind the main
/// ones predict a further token; the main pass leaves them out.
///
/// Sources: Hugging Face transformers `modeling_qwen3_5.py`, `modeling_qwen3_5_moe.py`.
package struct Qwen35: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [DecoderLayer]
    /// Bound and checked, not run by the main pass.
    let nextToken: [NextTokenLayer<DecoderLayer>]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let mixture = hyper.architecture == "qwen35moe"
        let blocks = shape.layers + shape.nextTokenLayers
        let widths = mixture ? [] : try hyper.ints("feed_forward_length", count: blocks, in: 1...(1 << 20))
        let recurrent = try Self.recurrentLayers(hyper, shape)
        var attention = AttentionBlock.Options()
        attention.qkNorm = .perHead
        attention.gated = true
        attention.mayBeFused = false
        let routed = ExpertsBlock.Options(score: .always(.softmax), normalize: .always(true), shared: .gated)

        func bind(_ index: Int) throws(EngineError) -> DecoderLayer {
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape,
                mixer: recurrent[index]
                    ? DeltaNetBlock(tensors, hyper, shape, order: .tiled)
                    : AttentionBlock(tensors, shape, layer: index, attention),
                ffnNorm: "post_attention_norm",
                feedForward: mixture
                    ? .experts(ExpertsBlock(tensors, hyper, shape, routed))
                    : .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index])))
        }

        rope = try RopeFrequencies(hyper, headDim: shape.keyLength, defaultBase: 10_000_000).table(.neox)
        head = try OutputHead(weights, shape)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in try bind(index) }
        nextToken = try (shape.layers..<blocks).map { index throws(EngineError) in
            try NextTokenLayer(LayerWeights(weights, layer: index), shape, block: bind(index))
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

    package var nextTokenState: LayerState? { nextToken.first?.block.mixer.state }

    package func predictFurther(_ pass: Pass, _ hidden: Matrix, into predicted: Matrix) {
        nextToken.first?.forward(pass, hidden, head, rope, into: predicted)
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    // With text alone the three axes of the rotation agree, and it is the plain one.
    package func forward(_ pass: Pass, into hidden: Matrix) { forward(layers, rope, pass, into: hidden) }
}
