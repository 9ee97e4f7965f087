/// 256 indices into IQ4_NL's table with a 6-bit scale per 32 values; value = d · (scale − 32) · table[q].
///
/// Bytes: binary16 `d`; 16 bits with the upper two bits of the eight scales; 4 bytes with their lower four bits;
/// 128 bytes of indices, 16 per group of 32.
enum IQ4_XS: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        let upper = Int(block.uint16(2))
        return (0..<8).flatMap { group in
            let scale = (block[4 + group / 2] >> (4 * (group % 2)) & 15) | (upper >> (2 * group) & 3) << 4
            return block.nibbles(at: 8 + 16 * group, count: 16).map {
                d * Float(scale - 32) * Float(IQ4_NL.table[$0])
            }
        }
    }
}
