/// `llama`: Llama 1 to 3, Yi, Mistral and everything else in that form, and with `expert_count` Mixtral; `mistral3`:
/// Ministral 3, Devstral 2, Mistral Small 3; `smollm3`: SmolLM3.
///
/// Touvron et al. 2023. Pre-norm residual layers of grouped-query attention and a SiLU-gated network. Queries and
/// keys are stored permuted, so the rotation takes interleaved pairs. Llama 3's frequency scaling comes as the
/// tensor `rope_freqs`; some relatives have biases. Ministral's queries grow with their positions, and its YaRN has a
/// multiplier that takes the factor on cosine and sine back. Every fourth layer of SmolLM3 does not rotate.
/// Sources: Hugging Face transformers `modeling_llama.py`, `modeling_ministral3.py`, `modeling_smollm3.py`.
package struct Llama: Architecture {
    package let stack: DecoderStack

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let windows = try hyper.windows(shape, pattern: .all)
        var attention = AttentionBlock.Options()
        attention.qkvBias = .optional
        attention.outputBias = .optional
        let unrotated = hyper.architecture == "smollm3" ? 4 : 0
        let ministral = hyper.architecture == "mistral3"
        if ministral { attention.temperature = try QueryTemperature(hyper) }
        var dense = DenseBlock.Options()
        dense.biases = .optional
        let networks = try FeedForwards(
            hyper, shape, dense: dense, routed: .init(score: .always(.softmax), normalize: .always(true)),
            mixture: .stated)

        var frequencies = try RopeFrequencies(hyper, headDim: shape.keyLength)
        if ministral { try frequencies.takeBackAmplitude(hyper) }
        if let divisors = try weights.optionalVector("rope_freqs.weight", frequencies.perPair.count) {
            try frequencies.divide(by: divisors, "rope_freqs.weight")
        }
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape), rotations: [Rotation(frequencies.table(.norm))],
            experts: networks.experts
        ) { index, tensors throws(EngineError) in
            attention.window = windows[index]
            return try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: networks.bind(tensors, layer: index),
                rotation: unrotated > 0 && (index + 1).isMultiple(of: unrotated) ? nil : 0)
        }
    }
}
