#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// `deepseek2`: DeepSeek-V2, V3 and R1, Kimi K2, Moonlight, GLM-4.7-Flash; `deepseek32` and `glm-dsa`: DeepSeek-V3.2
/// and GLM-5, which look at chosen positions only; `mistral4`: Mistral Small 4.
///
/// Latent attention, the first layers with a dense network, the others with many small experts and shared ones that
/// are simply added. V3's routing scores by sigmoid, with a bias for the choice and a limit to the best groups of
/// experts; V2's by softmax, and so does Mistral's, whose queries grow with their positions. YaRN sharpens the softmax
/// instead of scaling the rotation.
///
/// Sources: Hugging Face transformers `modeling_deepseek_v2.py`, `modeling_deepseek_v3.py`, `modeling_deepseek_v32.py`,
/// `modeling_glm4_moe_lite.py`, `modeling_glm_moe_dsa.py`, `modeling_mistral4.py`.
package struct DeepSeek2: Architecture {
    package let stack: DecoderStack
    /// Positions that a query may see in the sparse families.
    let topK: Int?

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper, nextTokenLayers: true)
        let keyLength = try hyper.int("attention.key_length_mla", in: 1...8192)
        var attention = LatentAttentionBlock.Options()
        var frequencies = try RopeFrequencies(hyper, headDim: keyLength)
        attention.scale = try Self.sharpen(&frequencies, hyper)
        if hyper.architecture == "mistral4" { attention.temperature = try QueryTemperature(hyper) }
        let indexers = try Self.indexers(hyper, layers: shape.layers)
        topK = indexers.first??.topK
        guard indexers.isEmpty || indexers[0] != nil else {
            throw hyper.conflict("attention.indexer.types", found: "false", expected: "true for the first layer")
        }
        let head = try OutputHead(weights, shape)
        let networks = try FeedForwards(
            hyper, shape, routed: Self.routing(hyper, shape, vocabulary: head.vocabularySize), mixture: .behindDense)
        stack = try DecoderStack(
            shape, weights, head, rotations: [Rotation(frequencies.table(.norm))], experts: networks.experts,
            predicts: false
        ) { index, tensors throws(EngineError) in
            if !indexers.isEmpty { attention.indexer = indexers[index] }
            return try DecoderLayer(
                tensors, shape, mixer: LatentAttentionBlock(tensors, hyper, shape, attention),
                feedForward: networks.bind(tensors, layer: index))
        }
    }

    /// YaRN as these models have it: with `yarn_log_multiplier` (a tenth of `mscale_all_dim`) the attention factor
    /// moves from cosine and sine, where it would not touch the unrotated values, to the softmax, squared.
    /// - Returns: the factor on the softmax's scale.
    private static func sharpen(
        _ frequencies: inout RopeFrequencies, _ hyper: Hyperparameters
    ) throws(EngineError) -> Float {
        let multiplier = try hyper.float("rope.scaling.yarn_log_multiplier", in: 0...10, default: 0)
        let type = try hyper.optionalString("rope.scaling.type") ?? "linear"
        guard type == "yarn", multiplier > 0 else {
            // Without a stretched context there is nothing to sharpen.
            let factor = type == "linear" ? try hyper.float("rope.scaling.factor", in: 0...1e6, default: 1) : 1
            guard multiplier == 0 || factor <= 1 else {
                throw hyper.conflict("rope.scaling.yarn_log_multiplier", found: multiplier, expected: "0 without YaRN")
            }
            return 1
        }
        let factor = multiplier * log(try hyper.float("rope.scaling.factor", in: 1...1e6)) + 1
        // The file does not tell `mscale`. It equals `mscale_all_dim` in V2 and V3, and is 1 in the others.
        frequencies.amplitude =
            ["deepseek2", "mistral4"].contains(hyper.architecture) ? 1 : frequencies.amplitude / factor
        return Float(factor * factor)
    }

    private static func routing(
        _ hyper: Hyperparameters, _ shape: DecoderShape, vocabulary: Int
    ) throws(EngineError) -> ExpertsBlock.Options {
        // Old files do not name the function: softmax but for GLM-4.7-Flash.
        let flash = (47...48).contains(shape.layers) && vocabulary == 154880
        let isFirst = ["deepseek2", "mistral4"].contains(hyper.architecture)
        var options = ExpertsBlock.Options(
            score: isFirst
                ? .stated(default: flash ? .sigmoid : .softmax) : .always(.sigmoid),
            normalize: .stated(default: false), shared: .added)
        let sigmoid = try hyper.optionalInt("expert_gating_func", in: 0...4) == 2
        options.selectionBias = sigmoid || !isFirst ? .required : .optional
        options.grouped = true
        return options
    }

    /// The indexer of each layer; nil where it uses the choice of the layer before. Empty: attention is not sparse.
    private static func indexers(
        _ hyper: Hyperparameters, layers: Int
    ) throws(EngineError) -> [PositionIndexer.Options?] {
        let pairing: RopePairing
        switch hyper.architecture {
        case "deepseek32": pairing = .neox
        case "glm-dsa": pairing = .norm
        default: return []
        }
        let options = try PositionIndexer.Options(hyper, pairing: pairing)
        let own = try hyper.optionalBools("attention.indexer.types", count: layers)
        return (0..<layers).map { own?[$0] ?? true ? options : nil }
    }

    package func enter(_ pass: inout Pass) -> Matrix {
        if let topK { pass.chosen = pass.cpu.chosenPositions(topK: topK, pass.batch, pass.work) }
        let x = stack.stream(pass)
        head.embed(pass, into: x)
        return x
    }
}
