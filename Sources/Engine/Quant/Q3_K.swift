/// 256 values of 3 bits with a 6-bit scale per 16 values; value = d · (scale − 32) · (q − 4).
///
/// Bytes: 32 bytes with the third bits (bit s of byte l belongs to value 32 s + l); 64 bytes of low bits as in Q2_K;
/// 12 bytes of scales: scale j has its lower four bits in byte j mod 8 (half j / 8), its upper two in byte 8 + j mod 4;
/// binary16 `d`.
enum Q3_K: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(108)
        let scales = (0..<16).map { j in
            (block[96 + j % 8] >> (4 * (j / 8)) & 15) | (block[104 + j % 4] >> (2 * (j / 4)) & 3) << 4
        }
        return (0..<256).map { i in
            let q = block.bitPair(at: 32, of: i) | (block[i % 32] >> (i / 32) & 1) << 2
            return d * Float(scales[i / 16] - 32) * Float(q - 4)
        }
    }
}
