/// The numbers that every decoder file states, validated against one another. `{A}` below is the architecture.
package struct DecoderShape: Sendable {
    /// Layers of the main pass: `block_count` less the next-token-prediction layers behind them.
    package let layers: Int
    package let nextTokenLayers: Int
    /// The length the model was trained for, in tokens.
    package let contextLength: Int
    package let embeddingLength: Int
    package let headCount: Int
    /// Key and value heads of each layer, prediction layers included; 0 marks a layer without attention.
    package let headCountKV: [Int]
    package let keyLength: Int
    package let valueLength: Int
    /// Added to the mean square in every RMS norm, to the variance in every layer norm.
    package let epsilon: Float

    /// - Parameters:
    ///   - nextTokenLayers: true for families that know `nextn_predict_layers`.
    ///   - epsilonKey: where the file states ``epsilon``.
    ///   - attends: false for families without attention, whose files may say that there are 0 heads.
    package init(
        _ hyper: Hyperparameters, nextTokenLayers: Bool = false,
        epsilonKey: String = "attention.layer_norm_rms_epsilon", attends: Bool = true
    ) throws(EngineError) {
        let blocks = try hyper.int("block_count", in: 1...1024)
        self.nextTokenLayers =
            nextTokenLayers ? try hyper.int("nextn_predict_layers", in: 0...16, default: 0) : 0
        layers = blocks - self.nextTokenLayers
        guard layers > 0 else {
            throw hyper.conflict(
                "nextn_predict_layers", found: self.nextTokenLayers, expected: "fewer than the \(blocks) blocks")
        }
        contextLength = try hyper.int("context_length", in: 1...(1 << 26))
        embeddingLength = try hyper.int("embedding_length", in: 1...(1 << 17))
        let heads = try hyper.int("attention.head_count", in: (attends ? 1 : 0)...1024, default: attends ? nil : 0)
        headCount = max(heads, 1)
        headCountKV = try hyper.ints("attention.head_count_kv", count: blocks, in: 0...1024, default: headCount)
        for heads in headCountKV where heads > 0 && (heads > headCount || !headCount.isMultiple(of: heads)) {
            throw hyper.conflict(
                "attention.head_count_kv", found: heads, expected: "a divisor of the \(headCount) heads")
        }
        if let length = try hyper.optionalInt("attention.key_length", in: 1...4096) {
            keyLength = length
        } else {
            guard embeddingLength.isMultiple(of: headCount) else {
                throw hyper.conflict(
                    "attention.head_count", found: headCount,
                    expected: "a divisor of embedding_length \(embeddingLength), or attention.key_length")
            }
            keyLength = embeddingLength / headCount
        }
        valueLength = try hyper.int("attention.value_length", in: 1...4096, default: keyLength)
        epsilon = Float(try hyper.float(epsilonKey, in: 0...1))
    }
}
