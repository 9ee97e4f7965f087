extension Rotation {
    /// LongRoPE (Ding et al. 2024): the frequencies divided by `rope_factors_short`, beyond the original context by
    /// `rope_factors_long`; cosine and sine times `rope.scaling.attn_factor`. A file without factors rotates plainly.
    /// - Parameter amplitude: what becomes of the stated factor and the original context; nil: files need not state one.
    init(
        longRope hyper: Hyperparameters, _ weights: WeightMap, _ shape: DecoderShape, pairing: RopePairing,
        amplitude: ((Double, Int) -> Double)? = nil
    ) throws(EngineError) {
        let plain = try RopeFrequencies(hyper, headDim: shape.keyLength)
        let (shortName, longName) = ("rope_factors_short.weight", "rope_factors_long.weight")
        guard weights.contains(shortName) || weights.contains(longName) else {
            self.init(plain.table(pairing))
            return
        }
        guard plain == (try RopeFrequencies(hyper, headDim: shape.keyLength, unscaled: true)) else {
            throw hyper.conflict(
                "rope.scaling.type", found: try hyper.optionalString("rope.scaling.type") ?? "linear",
                expected: "none beside the tensors \(shortName) and \(longName)")
        }
        let original = try hyper.int("rope.scaling.original_context_length", in: 2...(1 << 26))
        let stated = try hyper.float(
            "rope.scaling.attn_factor", in: 1e-6...1e6, default: amplitude == nil ? 1 : nil)
        var (short, long) = (plain, plain)
        let pairs = plain.perPair.count
        try short.divide(by: weights.vector(shortName, pairs), shortName)
        try long.divide(by: weights.vector(longName, pairs), longName)
        short.amplitude = amplitude?(stated, original) ?? stated
        long.amplitude = short.amplitude
        self.init(short.table(pairing), long: (original, long.table(pairing)))
    }
}
