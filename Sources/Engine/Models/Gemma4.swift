/// `gemma4`: Gemma 4 text models, dense or as a mixture.
///
/// Every branch is normed before and after, and each layer scales its result. Sliding-window layers and full layers
/// have heads of different sizes and rotations of different bases; full layers rotate part of the head only, as
/// `rope_freqs` says. Queries, keys and values are normed, attention is not scaled, the network's gate is a GELU,
/// embeddings are scaled up and logits capped. In large models the values of full layers are their keys. A mixture
/// stands beside the dense network, with a router that norms and scales the residual stream itself. In small models
/// (E2B, E4B) every layer has an input of its own for each token, and the last layers read the keys and values of the last
/// layer of their kind before them.
///
/// Source: Hugging Face transformers `modeling_gemma4.py`.
package struct Gemma4: Architecture {
    /// Experts beside the dense network.
    struct Mixture: FeedForward {
        let dense: DenseBlock
        let postFfwNorm1: Norm  // all norms (embedding)
        let routerNorm: FloatBuffer  // ffn_gate_inp.scale / sqrt(embedding)
        let preFfwNorm2: Norm
        let experts: ExpertsBlock
        let postFfwNorm2: Norm

        init(
            beside dense: DenseBlock, _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape
        ) throws(EngineError) {
            self.dense = dense
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

        var kind: String { experts.kind }

        func forward(_ h: Matrix, residual x: Matrix, _ pass: Pass, into out: Matrix) {
            dense.forward(h, pass, into: out)
            pass.work.scoped {
                let (r, h, y) = (pass.matrix(x.cols), pass.matrix(x.cols), pass.matrix(x.cols))
                pass.cpu.rmsNorm(x, routerNorm.vector, eps: preFfwNorm2.epsilon, into: r)
                pass.norm(x, preFfwNorm2, into: h)
                experts.forward(h, routerInput: r, pass, into: y)
                pass.norm(y, postFfwNorm2, into: y)
                pass.norm(out, postFfwNorm1, into: out)
                pass.cpu.add(y, to: out)
            }
        }
    }

    /// What makes the layers' own inputs.
    struct LayerInputs {
        let size: Int  // of one layer's input
        let layers: Int
        let epsilon: Float
        let perLayerTokenEmbd: Weight  // (vocabulary, layers · size): one row per token
        let perLayerModelProj: Weight  // (embedding → layers · size)
        let perLayerProjNorm: FloatVector  // (size)

        init(_ weights: WeightMap, _ shape: DecoderShape, size: Int, vocabulary: Int) throws(EngineError) {
            self.size = size
            layers = shape.layers
            epsilon = shape.epsilon
            let width = shape.layers * size
            perLayerTokenEmbd = try weights.matrix("per_layer_token_embd.weight", in: width, out: vocabulary)
            perLayerModelProj = try weights.matrix(
                "per_layer_model_proj.weight", in: shape.embeddingLength, out: width)
            perLayerProjNorm = try weights.vector("per_layer_proj_norm.weight", size)
        }

        /// ((row of the token) · sqrt(size) + norm(proj · x / sqrt(embedding))) / sqrt(2), the norm for each layer alone.
        /// x (tokens, embedding), the stream in front of the first layer; a new (tokens, layers · size).
        func make(_ x: Matrix, _ pass: Pass) -> Matrix {
            let (cpu, inputs) = (pass.cpu, pass.matrix(layers * size))
            pass.work.scoped {
                let projected = pass.matrix(layers * size)
                cpu.embed(tokens(pass), perLayerTokenEmbd, into: inputs)
                cpu.scale(inputs, by: Float(size).squareRoot())
                cpu.matmul(perLayerModelProj, pass.prepare(x, for: perLayerModelProj), into: projected)
                cpu.scale(projected, by: 1 / Float(x.cols).squareRoot())
                cpu.headNorm(projected.heads(layers, dim: size), perLayerProjNorm, eps: epsilon)
                cpu.add(projected, to: inputs)
                cpu.scale(inputs, by: Float(0.5).squareRoot())
            }
            return inputs
        }

        /// The batch's tokens; those whose embeddings come from outside count as padding, token 0.
        private func tokens(_ pass: Pass) -> UnsafePointer<Int32> {
            let ids = pass.work.ints(pass.batch.count)
            ids.update(from: pass.batch.tokens, count: pass.batch.count)
            for input in pass.batch.inputs where input.behind == nil {
                (ids + input.rows.lowerBound).update(repeating: 0, count: input.rows.count)
            }
            return UnsafePointer(ids)
        }
    }

    /// x += norm(proj · (gelu(gate · x) · input of this layer)).
    struct InputBranch: FurtherBranch {
        let layer: Int
        let inpGate: Weight  // (embedding → size)
        let proj: Weight  // (size → embedding)
        let postNorm: Norm  // (embedding)

        init(_ tensors: LayerWeights, _ shape: DecoderShape, layer: Int, size: Int) throws(EngineError) {
            self.layer = layer
            inpGate = try tensors.matrix("inp_gate", in: shape.embeddingLength, out: size)
            proj = try tensors.matrix("proj", in: size, out: shape.embeddingLength)
            postNorm = try Norm(tensors, "post_norm", shape.embeddingLength, epsilon: shape.epsilon)
        }

        func forward(_ x: Matrix, _ pass: Pass) {
            guard let inputs = pass.layerInputs else { return }
            pass.work.scoped {
                let (gate, y) = (pass.matrix(inpGate.rows), pass.matrix(x.cols))
                pass.cpu.matmul(inpGate, pass.prepare(x, for: inpGate), into: gate)
                let input = inputs.columns(layer * gate.cols..<(layer + 1) * gate.cols)
                pass.cpu.gated(.geluTanh, gate: gate, up: input, into: gate)
                pass.cpu.matmul(proj, pass.prepare(gate, for: proj), into: y)
                pass.norm(y, postNorm, into: y)
                pass.cpu.add(y, to: x)
            }
        }
    }

    package let stack: DecoderStack
    let layerInputs: LayerInputs?

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let width = shape.embeddingLength
        let windows = try hyper.windows(shape, required: true)
        let slidingKey = try hyper.int("attention.key_length_swa", in: 1...4096)
        let slidingValue = try hyper.int("attention.value_length_swa", in: 1...4096)
        let mixture = try hyper.int("expert_count", in: 0...4096, default: 0) > 0
        var dense = DenseBlock.Options()
        dense.activation = .gated(.geluTanh)
        let networks = try FeedForwards(hyper, shape, dense: dense)
        var ends = OutputHead.Options()
        ends.embeddingScale = Float(width).squareRoot()
        let cap = Float(try hyper.float("final_logit_softcapping", in: 0...1e6, default: 0))
        ends.softCap = cap > 0 ? cap : nil

        let inputSize = try hyper.int("embedding_length_per_layer_input", in: 0...(1 << 16), default: 0)
        let shared = try hyper.int("attention.shared_kv_layers", in: 0...shape.layers, default: 0)
        let own = shape.layers - shared
        guard own > 0 else {
            throw hyper.conflict(
                "attention.shared_kv_layers", found: shared, expected: "fewer than the \(shape.layers) layers")
        }
        /// The layer whose keys and values this one reads.
        func source(_ layer: Int) throws(EngineError) -> Int? {
            guard layer >= own else { return nil }
            let isSliding = windows[layer] != nil
            guard let source = (0..<own).last(where: { (windows[$0] != nil) == isSliding }) else {
                throw hyper.conflict(
                    "attention.shared_kv_layers", found: shared,
                    expected: "a layer before the last \(shared) of the kind of layer \(layer)")
            }
            return source
        }

        let sliding = try RopeFrequencies(hyper, headDim: slidingKey, keySuffix: "_swa")
        var full = try RopeFrequencies(hyper, headDim: shape.keyLength)
        try full.divide(by: weights.vector("rope_freqs.weight", full.perPair.count), "rope_freqs.weight")
        let head = try OutputHead(weights, shape, ends)
        layerInputs =
            inputSize > 0
            ? try LayerInputs(weights, shape, size: inputSize, vocabulary: head.vocabularySize) : nil
        stack = try DecoderStack(
            shape, weights, head,
            rotations: [Rotation(full.table(.neox)), Rotation(sliding.table(.neox))],
            experts: mixture ? ExpertCounts(hyper) : nil
        ) { index, tensors throws(EngineError) in
            let isSliding = windows[index] != nil
            var attention = AttentionBlock.Options()
            attention.qkNorm = .perHead
            attention.valueNorm = true
            attention.scale = 1
            attention.valuesMayBeKeys = !isSliding
            attention.window = windows[index]
            // Pictures are seen as a whole by layers with a window only.
            attention.spansSeeAhead = isSliding
            attention.cacheOf = try source(index)
            if isSliding { attention.headDims = (slidingKey, slidingValue) }
            let dense = try networks.bind(tensors, layer: index)
            var layer = try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention), feedForward: dense,
                rotation: isSliding ? 1 : 0)
            if mixture, let dense = dense as? DenseBlock {
                layer.feedForward = try Mixture(beside: dense, tensors, hyper, shape)
            }
            layer.postAttentionNorm = try Norm(tensors, "post_attention_norm", width, epsilon: shape.epsilon)
            layer.postFfwNorm = try Norm(tensors, "post_ffw_norm", width, epsilon: shape.epsilon)
            if inputSize > 0 { layer.further = try InputBranch(tensors, shape, layer: index, size: inputSize) }
            layer.outputScale = try tensors.vector("layer_output_scale", 1).pointer[0]
            return layer
        }
    }

    package func enter(_ pass: inout Pass) -> Matrix {
        let x = stack.stream(pass)
        head.embed(pass, into: x)
        pass.layerInputs = layerInputs?.make(x, pass)
        return x
    }
}
