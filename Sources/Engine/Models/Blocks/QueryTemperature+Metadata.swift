extension QueryTemperature {
    /// `attention.temperature_scale` over `attention.temperature_length`, or else the length that the rotation was first
    /// trained for; nil: queries do not grow.
    init?(_ hyper: Hyperparameters) throws(EngineError) {
        let strength = Float(try hyper.float("attention.temperature_scale", in: 0...100, default: 0))
        let stated = try hyper.int("attention.temperature_length", in: 0...(1 << 26), default: 0)
        guard strength > 0 else { return nil }
        let length =
            stated > 0 ? stated : try hyper.int("rope.scaling.original_context_length", in: 1...(1 << 26))
        self.init(strength: strength, length: length)
    }
}
