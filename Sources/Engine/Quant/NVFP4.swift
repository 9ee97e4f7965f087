/// 64 values of 4 bits (E2M1) with an 8-bit scale (E4M3 without its sign) per 16 values; value = scale · E2M1[q].
///
/// Bytes: four scales; per 16 values 8 bytes, the first 8 values in the low, the next in the high halves. As ggml reads
/// it, the scale 0x7f, which would be a NaN, is 0, and the upper bit of the others does not count.
///
/// A matrix may have one more factor, in a tensor of its own; see `Weight.factors`.
enum NVFP4: BlockFormat {
    /// The E2M1 values, doubled.
    private static let doubled = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

    static func dequantize(_ block: BlockBytes) -> [Float] {
        (0..<4).flatMap { group in
            let half = halfScale(block[group])
            return block.nibbles(at: 4 + 8 * group, count: 8).map { half * Float(doubled[$0]) }
        }
    }

    static func halfScale(_ byte: Int) -> Float {
        guard byte != 0x7f else { return 0 }
        let (exponent, fraction) = (byte >> 3 & 15, byte & 7)
        guard exponent > 0 else { return Float(fraction) * 0x1p-10 }
        return Float(sign: .plus, exponent: exponent - 11, significand: Float(8 + fraction))
    }
}
