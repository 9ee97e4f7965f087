/// `gemma4`: Gemma 4 text models, dense or as a mixture.
///
/// Every branch is normed before and after, and each layer scales its result. Sliding-window layers and full layers
/// have heads of different sizes and rotations of different bases; full layers rotate part of the head only, as
/// `rope_freqs` says. Queries, keys and values are normed, attention is not scaled, the network's gate is a GELU,
/// embeddings are scaled up and logits capped. In large models the values of full layers are their keys. A mixture
/// stands beside the dense network, with a router that norms and scales the residual stream itself.
///
/// Not here: inputs of their own for each layer and shared caches (E2B, E4B); such files are refused. Source: Hugging
/// Face transformers `modeling_gemma4.py`.
package struct Gemma4: Architecture {
    struct Layer {
        let attnNorm: Norm  // all norms (embedding)
        let attention: AttentionBlock
        let postAttentionNorm: Norm
        let ffnNorm: Norm
        let feedForward: DenseBlock
        let postFfwNorm: Norm
        let mixture: Mixture?
        let layerOutputScale: Float
        let isSliding: Bool
    }

    /// Experts beside the dense network.
    struct Mixture {
        let postFfwNorm1: Norm  // all norms (embedding)
        let routerNorm: FloatBuffer  // ffn_gate_inp.scale / sqrt(embedding)
        let preFfwNorm2: Norm
        let experts: ExpertsBlock
        let postFfwNorm2: Norm

        init(_ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape) throws(EngineError) {
            let width = shape.embeddingLength
            var routed = ExpertsBlock.Options(score: .always(.softmax), normalize: .always(true))
            routed.scalesExperts = true
            routed.activation = .gated(.geluTanh)
            postFfwNorm1 = try Norm(tensors, "post_ffw_norm_1", width, epsilon: shape.epsilon)
            let scale = try tensors.vector(exactly: "ffn_gate_inp.scale", width)
            routerNorm = FloatBuffer((0..<width).map { scale.pointer[$0] / Float(width).squareRoot() })
            preFfwNorm2 = try Norm(tensors, "pre_ffw_norm_2", width, epsilon: shape.epsilon)
            experts = try ExpertsBlock(tensors, hyper, shape, routed)
            postFfwNorm2 = try Norm(tensors, "post_ffw_norm_2", width, epsilon: shape.epsilon)
        }

        /// Adds the experts' part to `dense`, the dense network's result. x (tokens, embedding), the residual stream.
        func forward(_ x: Matrix, _ pass: Pass, addingTo dense: Matrix) {
            pass.work.scoped {
                let (r, h, y) = (pass.matrix(x.cols), pass.matrix(x.cols), pass.matrix(x.cols))
                pass.cpu.rmsNorm(x, routerNorm.vector, eps: preFfwNorm2.epsilon, into: r)
                pass.norm(x, preFfwNorm2, into: h)
                experts.forward(h, routerInput: r, pass, into: y)
                pass.norm(y, postFfwNorm2, into: y)
                pass.norm(dense, postFfwNorm1, into: dense)
                pass.cpu.add(y, to: dense)
            }
        }
    }

    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let slidingRope: RopeTable
    let fullRope: RopeTable
    let layers: [Layer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let width = shape.embeddingLength
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        let window = try hyper.int("attention.sliding_window", in: 1...(1 << 31))
        let sliding = try hyper.bools("attention.sliding_window_pattern", count: shape.layers)
        let slidingKey = try hyper.int("attention.key_length_swa", in: 1...4096)
        let slidingValue = try hyper.int("attention.value_length_swa", in: 1...4096)
        let mixture = try hyper.int("expert_count", in: 0...4096, default: 0) > 0
        var dense = DenseBlock.Options()
        dense.activation = .gated(.geluTanh)
        var ends = OutputHead.Options()
        ends.embeddingScale = Float(width).squareRoot()
        let cap = Float(try hyper.float("final_logit_softcapping", in: 0...1e6, default: 0))
        ends.softCap = cap > 0 ? cap : nil

        slidingRope = try RopeFrequencies(hyper, headDim: slidingKey, keySuffix: "_swa").table(.neox)
        var full = try RopeFrequencies(hyper, headDim: shape.keyLength)
        try full.divide(by: weights.vector("rope_freqs.weight", full.perPair.count), "rope_freqs.weight")
        fullRope = full.table(.neox)
        head = try OutputHead(weights, shape, ends)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            func norm(_ name: String) throws(EngineError) -> Norm {
                try Norm(tensors, name, width, epsilon: shape.epsilon)
            }
            var attention = AttentionBlock.Options()
            attention.qkNorm = .perHead
            attention.valueNorm = true
            attention.scale = 1
            attention.valuesMayBeKeys = !sliding[index]
            if sliding[index] {
                attention.window = window
                attention.headDims = (slidingKey, slidingValue)
            }
            return Layer(
                attnNorm: try norm("attn_norm"),
                attention: try AttentionBlock(tensors, shape, layer: index, attention),
                postAttentionNorm: try norm("post_attention_norm"), ffnNorm: try norm("ffn_norm"),
                feedForward: try DenseBlock(tensors, embedding: width, width: widths[index], dense),
                postFfwNorm: try norm("post_ffw_norm"),
                mixture: mixture ? try Mixture(tensors, hyper, shape) : nil,
                layerOutputScale: try tensors.vector("layer_output_scale", 1).pointer[0], isSliding: sliding[index])
        }
    }

    package var layerStates: [LayerState] { layers.map(\.attention.state) }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let cpu = pass.cpu
        let x = pass.matrix(shape.embeddingLength)  // the residual stream
        let h = pass.matrix(shape.embeddingLength)  // a branch's normed input
        let y = pass.matrix(shape.embeddingLength)  // a branch's output
        let slidingAngles = cpu.angles(slidingRope, pass.batch, pass.work)
        let fullAngles = cpu.angles(fullRope, pass.batch, pass.work)

        head.embed(pass, into: x)
        for (index, layer) in layers.enumerated() {
            pass.norm(x, layer.attnNorm, into: h)
            layer.attention.forward(h, layer.isSliding ? slidingAngles : fullAngles, layer: index, pass, into: y)
            pass.norm(y, layer.postAttentionNorm, into: y)
            pass.add(y, to: x, thenNorm: layer.ffnNorm, into: h)
            layer.feedForward.forward(h, pass, into: y)
            layer.mixture?.forward(x, pass, addingTo: y)
            pass.norm(y, layer.postFfwNorm, into: y)
            cpu.add(y, to: x)
            if layer.layerOutputScale != 1 { cpu.scale(x, by: layer.layerOutputScale) }
        }
        head.norm(x, pass, into: hidden)
    }
}
