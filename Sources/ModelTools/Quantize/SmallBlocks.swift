import GGUF

// Formats with few levels and one scale, and the one with scales of four bits of exponent.

/// −1, 0, 1 and 2; an extreme of either sign goes to either end.
enum TwoBits: IntegerGrid {
    static let lowest: Float = -1
    static let highest: Float = 2
}

enum Ternary: IntegerGrid {
    static let lowest: Float = -1
    static let highest: Float = 1
}

enum OneBit: Grid {
    static let lowest: Float = -1
    static let highest: Float = 1

    @inline(__always) static func nearest(_ values: SIMD16<Float>) -> SIMD16<Float> {
        SIMD16<Float>(repeating: 1).replacing(with: -1, where: values .< 0)
    }
    static func code(_ level: Float) -> UInt8 { level < 0 ? 0 : 1 }
}

struct Q2_0Fit: ScaledFit {
    typealias Levels = TwoBits
    let d: Float

    init(_ block: WeightedValues) { d = ScaleSearch<Levels>.scale(of: block).roundedToHalf }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        out.storeHalf(d, at: 0)
        for byte in 0..<16 { out[2 + byte] = (0..<4).reduce(0) { $0 | codes[4 * byte + $1] << UInt8(2 * $1) } }
    }
}

struct Q1_0Fit: ScaledFit {
    typealias Levels = OneBit
    let d: Float

    init(_ block: WeightedValues) { d = abs(ScaleSearch<Levels>.scale(of: block)).roundedToHalf }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        out.storeHalf(d, at: 0)
        for byte in 0..<16 { out[2 + byte] = (0..<8).reduce(0) { $0 | codes[8 * byte + $1] << UInt8($1) } }
    }
}

struct TQ2_0Fit: ScaledFit {
    typealias Levels = TwoBits
    let d: Float

    init(_ block: WeightedValues) { d = ScaleSearch<Levels>.scale(of: block).roundedToHalf }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        out.storeBitPairs(codes(block), at: 0)
        out.storeHalf(d, at: 64)
    }
}

struct TQ1_0Fit: ScaledFit {
    typealias Levels = Ternary
    let d: Float

    init(_ block: WeightedValues) { d = ScaleSearch<Levels>.scale(of: block).roundedToHalf }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        for (first, bytes, start, digits) in [(0, 32, 0, 5), (32, 16, 160, 5), (48, 4, 240, 4)] {
            for byte in 0..<bytes {
                var number = (0..<digits).reduce(0) { $0 * 3 + Int(codes[start + bytes * $1 + byte]) }
                if digits == 4 { number *= 3 }
                // A fraction of 243, rounded up to one of 256.
                out[first + byte] = UInt8((number * 256 + 242) / 243)
            }
        }
        out.storeHalf(d, at: 52)
    }
}

/// Per 16 values the byte whose scale leaves the least error.
struct NVFP4Fit: BlockFit {
    typealias Levels = DoubledE2M1
    private let scales: [UInt8]

    init(_ block: WeightedValues) { scales = (0..<block.groups).map { Self.search(block[$0..<$0 + 1]) } }

    func scale(ofGroup group: Int, of _: Int) -> (scale: Float, offset: Float) { (Self.half[Int(scales[group])], 0) }

    func store(_ block: WeightedValues, into out: BlockBuffer) {
        let codes = codes(block)
        for group in 0..<4 {
            out[group] = scales[group]
            for byte in 0..<8 {
                out[4 + 8 * group + byte] = codes[16 * group + byte] | codes[16 * group + 8 + byte] << 4
            }
        }
    }

    /// Half of what bytes 0…126 say; to go with doubled levels.
    private static let half: [Float] = (0..<127).map { byte in
        let (exponent, fraction) = (byte >> 3, Float(byte & 7))
        return exponent == 0
            ? fraction * 0x1p-10 : Float(sign: .plus, exponent: exponent - 11, significand: 8 + fraction)
    }

    /// The byte whose scale is the least that is not below `scale`; to go with undoubled levels.
    static func nearestScale(_ scale: Float) -> UInt8 { UInt8(half.firstIndex { 2 * $0 >= scale } ?? 126) }

    private static func search(_ group: WeightedValues) -> UInt8 {
        let extreme = abs(group.extreme)
        guard extreme > smallest else { return 0 }
        let natural = half.firstIndex { $0 * 12 >= extreme } ?? 126
        var (best, least) = (0, Float.infinity)
        for byte in max(0, natural - 3)...min(126, natural + 8) {
            let error = ScaleSearch<Levels>.error(group, scale: half[byte])
            if error < least { (best, least) = (byte, error) }
        }
        return UInt8(best)
    }
}
