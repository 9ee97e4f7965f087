/// 256 values of 6 bits with an int8 scale per 16 values; value = d · scale · (q − 32).
///
/// Bytes: 128 bytes with the lower four bits, 64 per 128 values (first 64 in the low halves, next 64 in the high
/// halves); 64 bytes with the upper two bits, placed as in Q2_K; 16 scales; binary16 `d`.
enum Q6_K: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(208)
        return (0..<256).map { i in
            let low = block[64 * (i / 128) + i % 64] >> (4 * (i / 64 % 2)) & 15
            let q = low | block.bitPair(at: 128, of: i) << 4
            return d * Float(block.int8(192 + i / 16)) * Float(q - 32)
        }
    }
}
