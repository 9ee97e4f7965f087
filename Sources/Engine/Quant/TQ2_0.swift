/// 256 values of 2 bits with one scale; value = d · (q − 1).
///
/// Bytes: 64 with the values in Q2_K's order; binary16 `d`.
enum TQ2_0: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(64)
        return (0..<256).map { d * Float(block.bitPair(at: 0, of: $0) - 1) }
    }
}
