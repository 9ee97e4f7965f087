#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The rotation of one attention head, reduced to what a kernel needs: an angle per position for each pair of
/// values, and a factor on cosine and sine. Every scaling scheme ends here.
package struct RopeFrequencies: Sendable, Equatable {
    /// Radians per position, one per pair: half as many as rotated values.
    package var perPair: [Double]
    /// Multiplies cosine and sine.
    package var amplitude: Double
    /// Which axis of a position turns each pair; nil: positions are numbers.
    package var axisOfPair: [UInt8]?

    /// How `rope.dimension_sections` shares the pairs out among time, height and width.
    package enum Axes: Sendable {
        /// One section behind the other.
        case consecutive
        /// In turn; where height or width have had their share, time takes the rest.
        case interleaved
    }

    /// Reads `rope.dimension_count`, `rope.freq_base` and `rope.scaling.*`.
    /// - Parameters:
    ///   - headDim: values per head; at most this many are rotated, all of them unless the file says less.
    ///   - defaultBase: the base of a file that names none.
    ///   - keySuffix: `_swa` for layers with a sliding window in families that rotate them by another base; scaling
    ///     is not for these.
    ///   - baseKey: where the base is, if not at `rope.freq_base`.
    ///   - unscaled: leaves `rope.scaling.*` aside.
    ///   - roundsYarnBounds: whether the bounds of YaRN's ramp are whole pairs.
    ///   - axes: for families whose positions have several; a file without sections has one.
    package init(
        _ hyper: Hyperparameters, headDim: Int, defaultBase: Double = 10_000, keySuffix: String = "",
        baseKey: String? = nil, unscaled: Bool = false, roundsYarnBounds: Bool = true, axes: Axes? = nil
    ) throws(EngineError) {
        let dims = try hyper.int("rope.dimension_count\(keySuffix)", in: 1...8192, default: headDim)
        guard dims <= headDim, dims.isMultiple(of: 2) else {
            throw hyper.conflict(
                "rope.dimension_count\(keySuffix)", found: dims,
                expected: "an even number up to the head's \(headDim)")
        }
        let base = try hyper.float(
            baseKey ?? "rope.freq_base\(keySuffix)", in: 1.000_001...1e15, default: defaultBase)
        // A file that names another base names the common one too, though nobody may need it.
        if baseKey != nil { _ = try hyper.optionalFloat("rope.freq_base", in: 0...1e15) }
        perPair = (0..<dims / 2).map { pow(base, -2 * Double($0) / Double(dims)) }
        amplitude = 1
        axisOfPair = try axes.flatMap { style throws(EngineError) in try Self.axes(hyper, style, pairs: dims / 2) }
        guard keySuffix.isEmpty, !unscaled else { return }

        switch try hyper.optionalString("rope.scaling.type") {
        case "none":
            break
        case nil, "linear":
            // Old files name the factor `rope.scale_linear` and no type; 0 stands for none.
            let old = try hyper.float("rope.scale_linear", in: 0...1e6, default: 1)
            let factor = try hyper.float("rope.scaling.factor", in: 0...1e6, default: old)
            if factor > 0 { perPair = perPair.map { $0 / max(factor, Double(Self.smallestDivisor)) } }
        case "yarn":
            try applyYarn(hyper, base: base, dims: dims, rounded: roundsYarnBounds)
        case let type?:
            throw hyper.conflict("rope.scaling.type", found: "'\(type)'", expected: "none, linear or yarn")
        }
    }

    /// What the kernels take.
    package func table(_ pairing: RopePairing) -> RopeTable {
        RopeTable(pairing: pairing, frequencies: perPair, amplitude: amplitude, axisOfPair: axisOfPair)
    }

    private static func axes(
        _ hyper: Hyperparameters, _ style: Axes, pairs: Int
    ) throws(EngineError) -> [UInt8]? {
        let key = "rope.dimension_sections"
        guard let sections = try hyper.optionalInts(key, in: 0...4096), sections.contains(where: { $0 > 0 }) else {
            return nil
        }
        // A fourth axis is written and always 0. Sections may cover more pairs than there are.
        guard sections.count >= 3, sections.dropFirst(3).allSatisfy({ $0 == 0 }), sections.reduce(0, +) >= pairs else {
            throw hyper.conflict(key, found: sections, expected: "three numbers with a sum of at least \(pairs)")
        }
        switch style {
        case .consecutive:
            return [UInt8]((0..<3).flatMap { [UInt8](repeating: UInt8($0), count: sections[$0]) }.prefix(pairs))
        case .interleaved:
            return (0..<pairs).map { pair in
                let axis = pair % 3
                return axis > 0 && pair < 3 * sections[axis] ? UInt8(axis) : 0
            }
        }
    }

    /// Divides each frequency, as the tensors `rope_freqs.weight` (Llama 3 scaling) and `rope_factors_*.weight` ask.
    /// - Parameter name: the tensor's, for the error.
    package mutating func divide(by divisors: FloatVector, _ name: String) throws(EngineError) {
        for index in perPair.indices {
            let divisor = divisors.pointer[index]
            guard divisor >= Self.smallestDivisor else {
                throw .hyperparameter(
                    key: "\(name)[\(index)]", found: "\(divisor)",
                    expected: "a number from \(Self.smallestDivisor)")
            }
            perPair[index] /= Double(divisor)
        }
    }

    /// `rope.scaling.yarn_log_multiplier`: YaRN's factor on cosine and sine is divided by multiplier · 0.1 ln(factor) + 1
    /// (`mscale_all_dim` of configurations).
    package mutating func takeBackAmplitude(_ hyper: Hyperparameters) throws(EngineError) {
        let multiplier = try hyper.float("rope.scaling.yarn_log_multiplier", in: 0...100, default: 0)
        guard multiplier > 0, try hyper.optionalString("rope.scaling.type") == "yarn" else { return }
        amplitude /= 0.1 * multiplier * log(try hyper.float("rope.scaling.factor", in: 1...1e6)) + 1
    }

    /// Keeps angles within what the kernels take, at the longest context there can be.
    private static let smallestDivisor: Float = 0.125

    /// YaRN (Peng et al. 2023, "NTK-by-parts"): pairs that turn often within the original context keep their
    /// frequency, slow ones are interpolated, with a linear ramp between; its bounds are usually rounded outwards.
    /// Attention is sharpened by 0.1 ln(factor) + 1.
    private mutating func applyYarn(
        _ hyper: Hyperparameters, base: Double, dims: Int, rounded: Bool
    ) throws(EngineError) {
        let factor = try hyper.float("rope.scaling.factor", in: 1...1e6)
        let original = Double(try hyper.int("rope.scaling.original_context_length", in: 1...(1 << 26)))
        let fast = try hyper.float("rope.scaling.yarn_beta_fast", in: 1e-6...1e6, default: 32)
        let slow = try hyper.float("rope.scaling.yarn_beta_slow", in: 1e-6...1e6, default: 1)
        // Written by converters as a further factor on the default.
        let attention = try hyper.float("rope.scaling.attn_factor", in: 1e-6...1e6, default: 1)
        // How much of the ramp is mixed in; negative stands for "not stated". All of it is what YaRN is.
        let mixing = try hyper.float("rope.scaling.yarn_ext_factor", in: -1e6...1e6, default: 1)
        guard mixing == 1 || mixing < 0 else {
            throw hyper.conflict("rope.scaling.yarn_ext_factor", found: mixing, expected: "1")
        }

        // The pair index, not yet whole, that turns `turns` times within the original context.
        func pair(turning turns: Double) -> Double {
            Double(dims) * log(original / (2 * .pi * turns)) / (2 * log(base))
        }
        let (first, last) = (pair(turning: fast), pair(turning: slow))
        let low = min(max(rounded ? first.rounded(.down) : first, 0), Double(dims - 1))
        let high = min(max(rounded ? last.rounded(.up) : last, 0), Double(dims - 1))
        for index in perPair.indices {
            let ramp = min(max((Double(index) - low) / max(high - low, 0.001), 0), 1)
            perPair[index] *= (1 - ramp) + ramp / factor
        }
        amplitude = (0.1 * log(factor) + 1) * attention
    }
}
