/// `qwen35` and `qwen35moe`: Qwen 3.5, dense or as a mixture.
///
/// Three of four layers are Gated DeltaNet mixers, which remember the past in one matrix per head; every fourth is
/// softmax attention with a norm of each query and key head, rotation of the first quarter of a head only, and a
/// sigmoid gate on its result. The mixture adds a shared expert behind a gate of its own. Layers behind the main
/// ones predict a further token; the main pass leaves them out.
///
/// Sources: Hugging Face transformers `modeling_qwen3_5.py`, `modeling_qwen3_5_moe.py`.
package struct Qwen35: Architecture {
    enum Mixer {
        case attention(AttentionBlock)
        case deltaNet(DeltaNetBlock)

        var state: LayerState {
            switch self {
            case .attention(let block): block.state
            case .deltaNet(let block): block.state
            }
        }
    }

    struct Layer {
        let attnNorm: FloatVector  // (embedding)
        let mixer: Mixer
        let postAttentionNorm: FloatVector  // (embedding), the norm before the feed-forward half
        let feedForward: FeedForward
    }

    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable
    let layers: [Layer]
    /// Bound and checked, not run by the main pass.
    let nextToken: [NextTokenLayer<Layer>]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let embedding = shape.embeddingLength
        let mixture = hyper.architecture == "qwen35moe"
        let blocks = shape.layers + shape.nextTokenLayers
        let widths = mixture ? [] : try hyper.ints("feed_forward_length", count: blocks, in: 1...(1 << 20))
        let recurrent = try Self.recurrentLayers(hyper, shape)
        var attention = AttentionBlock.Options()
        attention.qkNorm = true
        attention.gated = true
        attention.mayBeFused = false

        func bind(_ index: Int) throws(EngineError) -> Layer {
            let tensors = LayerWeights(weights, layer: index)
            return Layer(
                attnNorm: try tensors.vector("attn_norm", embedding),
                mixer: recurrent[index]
                    ? .deltaNet(try DeltaNetBlock(tensors, hyper, shape, order: .tiled))
                    : .attention(try AttentionBlock(tensors, shape, layer: index, attention)),
                postAttentionNorm: try tensors.vector("post_attention_norm", embedding),
                feedForward: mixture
                    ? .experts(
                        try ExpertsBlock(
                            tensors, hyper, shape, .init(score: .softmax, normalize: true, shared: .gated)))
                    : .dense(try DenseBlock(tensors, embedding: embedding, width: widths[index])))
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

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let (cpu, eps) = (pass.cpu, shape.epsilon)
        let x = pass.matrix(shape.embeddingLength)  // the residual stream
        let h = pass.matrix(shape.embeddingLength)  // a branch's normed input
        let y = pass.matrix(shape.embeddingLength)  // a branch's output
        // With text alone the three axes of the rotation agree, and it is the plain one.
        let angles = cpu.angles(rope, pass.batch, pass.work)

        head.embed(pass, into: x)
        for (index, layer) in layers.enumerated() {
            cpu.rmsNorm(x, layer.attnNorm, eps: eps, into: h)
            switch layer.mixer {
            case .attention(let attention): attention.forward(h, angles, layer: index, pass, into: y)
            case .deltaNet(let deltaNet): deltaNet.forward(h, layer: index, pass, into: y)
            }
            cpu.addRMSNorm(y, to: x, layer.postAttentionNorm, eps: eps, into: h)
            layer.feedForward.forward(h, pass, into: y)
            cpu.add(y, to: x)
        }
        head.norm(x, pass, into: hidden)
    }
}
