/// `granitehybrid`: Granite 4.0 Tiny, Small, Micro.
///
/// Mamba2 mixers with attention here and there, mostly without rotation; each followed by experts beside a shared
/// one, or by one dense network. Four fixed factors: on embeddings, on q·k, on what a branch adds to the residual
/// stream, and under the logits.
///
/// Sources: IBM 2025, Hugging Face transformers `modeling_granitemoehybrid.py`.
package struct GraniteHybrid: Architecture {
    package let shape: DecoderShape
    package let experts: ExpertCounts?
    package let head: OutputHead
    let rope: RopeTable?
    let residualScale: Float
    let layers: [DecoderLayer]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let widths = try hyper.ints("feed_forward_length", count: shape.layers, in: 1...(1 << 20))
        let mixture = try hyper.int("expert_count", in: 0...4096, default: 0) > 0
        var attention = AttentionBlock.Options()
        attention.scale = Float(try hyper.float("attention.scale", in: 1e-6...1e3))
        // The format has no key for "no rotation"; converters use this one.
        let rotates = try hyper.bool("rope.scaling.finetuned", default: true)
        rope = rotates ? try RopeFrequencies(hyper, headDim: shape.keyLength).table(.norm) : nil
        let routed = ExpertsBlock.Options(
            score: .always(.softmaxOfChosen), normalize: .always(false), shared: .added)

        residualScale = Float(try hyper.float("residual_scale", in: 1e-6...1e3))
        var ends = OutputHead.Options()
        ends.embeddingScale = Float(try hyper.float("embedding_scale", in: 1e-6...1e6))
        ends.logitScale = 1 / Float(try hyper.float("logit_scale", in: 1e-6...1e6))
        head = try OutputHead(weights, shape, ends)
        experts = mixture ? try ExpertCounts(hyper) : nil
        self.shape = shape
        layers = try (0..<shape.layers).map { index throws(EngineError) in
            let tensors = LayerWeights(weights, layer: index)
            return try DecoderLayer(
                tensors, shape,
                mixer: shape.headCountKV[index] > 0
                    ? AttentionBlock(tensors, shape, layer: index, attention)
                    : Mamba2Block(tensors, hyper, shape),
                feedForward: mixture
                    ? .experts(ExpertsBlock(tensors, hyper, shape, routed))
                    : .dense(DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[index])))
        }
    }

    package var layerStates: [LayerState] { layers.map(\.mixer.state) }
    package var layerKinds: [String] { layers.map(\.mixer.kind) }

    package func forward(_ pass: Pass, into hidden: Matrix) {
        let cpu = pass.cpu
        let x = pass.matrix(shape.embeddingLength)  // the residual stream
        let h = pass.matrix(shape.embeddingLength)  // a branch's normed input
        let y = pass.matrix(shape.embeddingLength)  // a branch's output
        let angles = rope.map { cpu.angles($0, pass.batch, pass.work) }
        head.embed(pass, into: x)
        for (index, layer) in layers.enumerated() {
            pass.norm(x, layer.attnNorm, into: h)
            layer.mixer.forward(h, angles, layer: index, pass, into: y)
            cpu.scale(y, by: residualScale)
            pass.add(y, to: x, thenNorm: layer.ffnNorm, into: h)
            layer.feedForward.forward(h, pass, into: y)
            cpu.scale(y, by: residualScale)
            cpu.add(y, to: x)
        }
        head.norm(x, pass, into: hidden)
    }
}
