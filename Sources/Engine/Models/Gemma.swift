/// `gemma`, `gemma2`, `gemma3`: Gemma 1 to 3; `gemma-embedding`: EmbeddingGemma.
///
/// Gemma Team 2024 and 2025. Embeddings times the root of their length and a network whose gate is a GELU. Gemma 2
/// norms every branch before and after, gives every other layer a window and caps scores and logits. Gemma 3 norms
/// query and key heads instead of capping, has windows in five of six layers, and rotates those by another base and
/// without scaling. The embedder sees a text in both directions, its windows too, and two linear maps stand behind the
/// pooled vector.
///
/// Sources: Hugging Face transformers `modeling_gemma.py`, `modeling_gemma2.py`, `modeling_gemma3.py`.
package struct Gemma: Architecture {
    package let stack: DecoderStack
    package let isEncoder: Bool
    package let pooledLayers: [Weight]

    package init(_ hyper: Hyperparameters, _ weights: WeightMap) throws(EngineError) {
        let shape = try DecoderShape(hyper)
        let width = shape.embeddingLength
        let (first, second) = (hyper.architecture == "gemma", hyper.architecture == "gemma2")
        let embedder = hyper.architecture == "gemma-embedding"
        let windows =
            first ? [] : try hyper.windows(shape, pattern: .period(second ? 2 : 6), required: second || embedder)
        isEncoder = embedder
        guard try hyper.bool("attention.causal", default: !embedder) == !embedder else {
            throw hyper.conflict("attention.causal", found: "\(embedder)", expected: "\(!embedder)")
        }

        var attention = AttentionBlock.Options()
        attention.qkNorm = first || second ? .none : .perHead
        attention.isCausal = !embedder
        // The largest models scale by the mean length of a head.
        if !embedder, [46, 62].contains(shape.layers), !first {
            attention.scale = 1 / Float(width / shape.headCount).squareRoot()
        }
        if second { attention.softCap = try Self.cap(hyper, "attn_logit_softcapping", default: 50) }
        var dense = DenseBlock.Options()
        dense.activation = .gated(.geluTanh)
        let networks = try FeedForwards(hyper, shape, dense: dense)
        var ends = OutputHead.Options()
        ends.embeddingScale = Float(width).squareRoot()
        if !first { ends.softCap = try Self.cap(hyper, "final_logit_softcapping", default: second ? 30 : 0) }

        let full = try RopeFrequencies(hyper, headDim: shape.keyLength)
        let hasOwnBase = !first && !second && windows.contains { $0 != nil }
        let sliding =
            hasOwnBase ? try RopeFrequencies(hyper, headDim: shape.keyLength, keySuffix: "_swa") : full
        pooledLayers = embedder ? try Self.pooledLayers(hyper, weights, shape) : []
        stack = try DecoderStack(
            shape, weights, OutputHead(weights, shape, ends),
            rotations: [Rotation(full.table(.neox)), Rotation(sliding.table(.neox))]
        ) { index, tensors throws(EngineError) in
            let window = first ? nil : windows[index]
            // The embedder's windows reach half as far, but both ways.
            attention.window = embedder ? window.map { $0 / 2 + 1 } : window
            var layer = try DecoderLayer(
                tensors, shape, mixer: AttentionBlock(tensors, shape, layer: index, attention),
                feedForward: networks.bind(tensors, layer: index), rotation: window == nil ? 0 : 1)
            if !first {
                layer.postAttentionNorm = try Norm(tensors, "post_attention_norm", width, epsilon: shape.epsilon)
                layer.postFfwNorm = try Norm(tensors, "post_ffw_norm", width, epsilon: shape.epsilon)
            }
            return layer
        }
    }

    private static func cap(
        _ hyper: Hyperparameters, _ key: String, default fallback: Double
    ) throws(EngineError) -> Float? {
        let cap = Float(try hyper.float(key, in: 0...1e6, default: fallback))
        return cap > 0 ? cap : nil
    }

    /// `dense_2` and `dense_3`, where the file has them.
    private static func pooledLayers(
        _ hyper: Hyperparameters, _ weights: WeightMap, _ shape: DecoderShape
    ) throws(EngineError) -> [Weight] {
        var layers: [Weight] = []
        var width = shape.embeddingLength
        for name in ["dense_2", "dense_3"] {
            let input = try hyper.optionalInt("\(name)_feat_in", in: 1...(1 << 17))
            let output = try hyper.optionalInt("\(name)_feat_out", in: 1...(1 << 17))
            guard weights.contains("\(name).weight") else { continue }
            guard input ?? width == width else {
                throw hyper.conflict("\(name)_feat_in", found: input ?? 0, expected: "\(width)")
            }
            let stored = try weights.rowCount("\(name).weight", cols: width)
            let rows = output ?? stored
            layers.append(try weights.matrix("\(name).weight", in: width, out: rows))
            width = rows
        }
        return layers
    }
}
