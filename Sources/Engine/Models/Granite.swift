/// `granite`, `granitemoe`: Granite 3 and 4, dense or as a mixture; `granite_swa`: with windows; `granitehybrid`: Granite
/// 4.0 Tiny, Small, Micro.
///
/// Four fixed factors: on embeddings, on q·k, on what a branch adds to the residual stream, and under the logits.
/// The mixture may have a shared expert. With windows every head has a sink, and the file may list the layers that
/// rotate. The hybrid has Mamba2 mixers with attention here and there, mostly without rotation.
///
/// Sources: IBM 2025, Hugging Face transformers `modeling_granite.py`, `modeling_granitemoe.py`,
/// `modeling_granitemoeshared.py`, `modeling_granite_swa.py`, `modeling_granitemoehybrid.py`.
package struct Granite: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let hybrid = hyper.architecture == "granitehybrid"
        let hasWindows = ["granite_swa", "granite-swa"].contains(hyper.architecture)
        let windows = hasWindows ? try hyper.windows(shape, pattern: .stated, required: true) : []
        var attention = AttentionBlock.Options()
        attention.scale = Float(try hyper.float("attention.scale", in: 1e-6...1e3))
        attention.sinks = hasWindows
        if !hybrid { (attention.qkvBias, attention.outputBias) = (.optional, .optional) }
        var dense = DenseBlock.Options()
        if !hybrid { dense.biases = .optional }
        // The format has no key for "no rotation"; converters use this one.
        let rotates = try hyper.bool("rope.scaling.finetuned", default: true)
        let rotating = hasWindows ? try hyper.optionalBools("attention.rope_pattern", count: shape.layers) : nil
        let rotations =
            rotates ? [Rotation(try RopeFrequencies(hyper, headDim: shape.keyLength).table(.norm))] : []
        let networks = try FeedForwards(
            hyper, shape, dense: dense,
            routed: .init(
                score: .always(.softmaxOfChosen), normalize: .always(false), shared: hybrid ? .added : .addedIfPresent),
            mixture: hyper.architecture == "granitemoe" ? .always : .stated)
        let residualScale = Float(try hyper.float("residual_scale", in: 1e-6...1e3))
        var ends = OutputHead.Options()
        ends.embeddingScale = Float(try hyper.float("embedding_scale", in: 1e-6...1e6))
        ends.logitScale = 1 / Float(try hyper.float("logit_scale", in: 1e-6...1e6))
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends), rotations: rotations, experts: networks.experts
        ) { index, tensors throws(EngineError) in
            if hasWindows { attention.window = windows[index] }
            var layer = try DecoderLayer(
                tensors, shape,
                mixer: hybrid && shape.headCountKV[index] == 0
                    ? Mamba2Block(tensors, hyper, shape)
                    : AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: networks.bind(tensors, layer: index),
                rotation: rotating?[index] ?? true ? 0 : nil)
            layer.residualScale = residualScale
            return layer
        }
    }
}
