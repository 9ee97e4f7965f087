/// `nemotron_h` and `nemotron_h_moe`: Nemotron-H, Nemotron 3 Nano and Super.
///
/// Every block holds one branch: a Mamba2 mixer, attention without rotation, or a feed-forward network. Networks and
/// experts have no gate: down(relu(up · x)²). Routing is by sigmoid with a bias for the choice, and one expert is
/// shared; in Super the routed experts work in a smaller latent space.
///
/// Sources: NVIDIA 2025 (Nemotron-H, Nemotron 3), Hugging Face transformers `modeling_nemotron_h.py`.
package struct NemotronH: Architecture {
    enum Branch {
        case mixer(any Mixer)
        case feedForward(FeedForward)
    }

    struct Layer {
        let attnNorm: Norm  // (embedding), whatever the branch
        let branch: Branch
    }

    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let layers: [Layer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        // Either name is in use for the epsilon of the RMS norms.
        let rmsKey = "attention.layer_norm_rms_epsilon"
        let epsilonKey = try hyper.optionalFloat(rmsKey, in: 0...1) == nil ? "attention.layer_norm_epsilon" : rmsKey
        let shape = try DecoderShape(hyper, nextTokenLayers: true, epsilonKey: epsilonKey)
        let mixture = hyper.architecture == "nemotron_h_moe"
        let blocks = shape.layers + shape.nextTokenLayers
        let widths = try hyper.ints("feed_forward_length", count: blocks, in: 0...(1 << 20))
        var dense = DenseBlock.Options()
        dense.activation = .plain(.reluSquared)
        var routed = ExpertsBlock.Options(
            score: .always(.sigmoid), normalize: .stated(default: true), shared: .added)
        routed.selectionBias = .required
        routed.grouped = true
        routed.activation = .plain(.reluSquared)
        routed.latentWidth = try hyper.optionalInt("moe_latent_size", in: 1...(1 << 17))

        head = try OutputHead(weights, shape)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            let branch: Branch
            if shape.headCountKV[index] > 0 {
                branch = .mixer(try AttentionBlock(tensors, shape, layer: index))
            } else if widths[index] == 0 {
                branch = .mixer(try Mamba2Block(tensors, hyper, shape))
            } else if mixture {
                branch = .feedForward(.experts(try ExpertsBlock(tensors, hyper, shape, routed)))
            } else {
                branch = .feedForward(
                    .dense(try DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index], dense)))
            }
            return Layer(
                attnNorm: try Norm(tensors, "attn_norm", shape.embeddingLength, epsilon: shape.epsilon),
                branch: branch)
        }
        weights.skip(layers: shape.layers..<blocks)
    }

    package var layerStates: [LayerState] {
        layers.map { if case .mixer(let mixer) = $0.branch { mixer.state } else { .none } }
    }

    package var layerKinds: [String] {
        layers.map { layer in
            switch layer.branch {
            case .mixer(let mixer): mixer.kind
            case .feedForward(.dense): "feed-forward"
            case .feedForward(.experts): "experts"
            }
        }
    }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let x = pass.matrix(shape.embeddingLength)  // the residual stream
        let h = pass.matrix(shape.embeddingLength)  // a branch's normed input
        let y = pass.matrix(shape.embeddingLength)  // a branch's output
        head.embed(pass, into: x)
        for (index, layer) in layers.enumerated() {
            pass.norm(x, layer.attnNorm, into: h)
            switch layer.branch {
            case .mixer(let mixer): mixer.forward(h, nil, layer: index, pass, into: y)
            case .feedForward(let network): network.forward(h, pass, into: y)
            }
            pass.cpu.add(y, to: x)
        }
        head.norm(x, pass, into: hidden)
    }
}
