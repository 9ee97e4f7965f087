/// 64 values of 2 bits with one scale; value = d · (q − 1).
///
/// Bytes: binary16 `d`; 16 with four adjoining values each, the first one in the lowest bits.
enum Q2_0: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        return (0..<64).map { d * Float((block[2 + $0 / 4] >> (2 * ($0 % 4)) & 3) - 1) }
    }
}
