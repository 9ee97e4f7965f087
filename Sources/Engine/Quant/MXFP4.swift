/// 32 values of 4 bits (E2M1) with a power-of-two scale (E8M0, one byte `e`); value = 2^(e − 127) · E2M1[q].
///
/// Source: Open Compute Project, Microscaling Formats (MX) 1.0, sections 5.3 and 6. Two readings follow ggml, so that a
/// file means the same everywhere: e = 255 is 2^128, where the specification has a NaN, and there is no negative zero.
enum MXFP4: BlockFormat {
    /// The E2M1 values, doubled.
    private static let doubled = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let half = Float(sign: .plus, exponent: block[0] - 128, significand: 1)
        return block.nibbles(at: 1, count: 16).map { half * Float(doubled[$0]) }
    }
}
