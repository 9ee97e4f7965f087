/// The numbers a quant can stand for, before it is multiplied by its scale.
///
/// Sixteen values go through at once; every search below is written over such groups.
protocol Grid {
    /// The ends of the grid.
    static var lowest: Float { get }
    static var highest: Float { get }
    /// The grid's number nearest to each value.
    static func nearest(_ values: SIMD16<Float>) -> SIMD16<Float>
    /// The bits that stand for a number of the grid.
    static func code(_ level: Float) -> UInt8
}

extension SIMD16<Float> {
    /// The nearest integers for magnitudes below 2²², ties to even. The addition moves the fraction out of the
    /// significand; the rounding function itself is a call for each lane without SSE 4.1.
    @inline(__always) func roundedToInteger() -> Self {
        let shift: Float = 0x1.8p23
        return (self + shift) - shift
    }

    // The standard library's `clamped`, `pointwiseMin` and `sum` go lane by lane (Swift 6.3); these become a few
    // vector instructions.

    @inline(__always) func clamped(_ lowest: Float, _ highest: Float) -> Self {
        larger(Self(repeating: lowest)).smaller(Self(repeating: highest))
    }

    @inline(__always) func smaller(_ other: Self) -> Self { replacing(with: other, where: other .< self) }
    @inline(__always) func larger(_ other: Self) -> Self { replacing(with: other, where: other .> self) }

    /// The sum of all lanes, halves first.
    @inline(__always) var total: Float {
        let eight = lowHalf + highHalf
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return two.x + two.y
    }
}

/// Whole numbers from `lowest` to `highest`, stored with an offset so that the lowest is 0.
protocol IntegerGrid: Grid {}

extension IntegerGrid {
    @inline(__always) static func nearest(_ values: SIMD16<Float>) -> SIMD16<Float> {
        values.clamped(lowest, highest).roundedToInteger()
    }
    @inline(__always) static func code(_ level: Float) -> UInt8 { UInt8(Int(level) - Int(lowest)) }
}

enum Signed3Bits: IntegerGrid {
    static let lowest: Float = -4
    static let highest: Float = 3
}

enum Signed4Bits: IntegerGrid {
    static let lowest: Float = -8
    static let highest: Float = 7
}

enum Signed5Bits: IntegerGrid {
    static let lowest: Float = -16
    static let highest: Float = 15
}

enum Signed6Bits: IntegerGrid {
    static let lowest: Float = -32
    static let highest: Float = 31
}

enum Signed8Bits: IntegerGrid {
    static let lowest: Float = -127
    static let highest: Float = 127
}

enum Unsigned2Bits: IntegerGrid {
    static let lowest: Float = 0
    static let highest: Float = 3
}

enum Unsigned4Bits: IntegerGrid {
    static let lowest: Float = 0
    static let highest: Float = 15
}

enum Unsigned5Bits: IntegerGrid {
    static let lowest: Float = 0
    static let highest: Float = 31
}

/// A few numbers at uneven distances, in rising order.
protocol TableGrid: Grid {
    static var levels: [Float] { get }
    /// Half-way between each level and the next.
    static var boundaries: [Float] { get }
}

extension TableGrid {
    @inline(__always) static func nearest(_ values: SIMD16<Float>) -> SIMD16<Float> {
        var result = SIMD16<Float>(repeating: lowest)
        let (levels, boundaries) = (levels, boundaries)
        for (index, boundary) in boundaries.enumerated() {
            result.replace(with: levels[index + 1], where: values .> boundary)
        }
        return result
    }

    static func middles(of levels: [Float]) -> [Float] { zip(levels, levels.dropFirst()).map { ($0 + $1) / 2 } }
}

/// The table of IQ4_NL and IQ4_XS (ggml's `kvalues_iq4nl`).
enum NonLinear4Bits: TableGrid {
    static let levels: [Float] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
    static let boundaries = middles(of: levels)
    static let lowest: Float = -127
    static let highest: Float = 113
    static func code(_ level: Float) -> UInt8 { UInt8(levels.firstIndex(of: level) ?? 0) }
}

/// Twice the values of E2M1 (Open Compute Project, Microscaling Formats 1.0, section 5.3.3).
enum DoubledE2M1: TableGrid {
    static let levels: [Float] = [-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12]
    static let boundaries = middles(of: levels)
    static let lowest: Float = -12
    static let highest: Float = 12
    /// The sign in the highest of four bits, then the index of the magnitude.
    static func code(_ level: Float) -> UInt8 {
        let magnitude = UInt8((levels.firstIndex(of: abs(level)) ?? 7) - 7)
        return level < 0 ? magnitude | 8 : magnitude
    }
}
