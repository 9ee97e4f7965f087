/// 256 values of 4 bits with a 6-bit scale and a 6-bit minimum per 32 values; value = d · scale · q − dmin · min.
///
/// Bytes: binary16 `d` and `dmin`; 12 bytes of scales and minima; 128 bytes of values, 32 per 64 values: the first 32
/// in the low halves, the next 32 in the high halves.
enum Q4_K: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        let dmin = block.float16(2)
        let (scales, minima) = scalesAndMinima(block, at: 4)
        return (0..<256).map { i in
            let q = block[16 + 32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2)) & 15
            return d * Float(scales[i / 32]) * Float(q) - dmin * Float(minima[i / 32])
        }
    }

    /// Eight 6-bit scales and eight 6-bit minima in 12 bytes: scales 0…3 in the low six bits of bytes 0…3, minima 0…3 in
    /// those of bytes 4…7; scales 4…7 have their lower four bits in the low halves of bytes 8…11 and their upper two in
    /// the free bits of bytes 0…3, minima 4…7 likewise in the high halves and in bytes 4…7.
    static func scalesAndMinima(_ block: BlockBytes, at offset: Int) -> (scales: [Int], minima: [Int]) {
        let byte = (0..<12).map { block[offset + $0] }
        let scales = (0..<4).map { byte[$0] & 63 } + (0..<4).map { (byte[8 + $0] & 15) | (byte[$0] >> 6) << 4 }
        let minima = (4..<8).map { byte[$0] & 63 } + (4..<8).map { (byte[4 + $0] >> 4) | (byte[$0] >> 6) << 4 }
        return (scales, minima)
    }
}
