/// As Q4_K with a fifth bit: 32 bytes before the values, bit s of byte l belonging to value 32 s + l.
enum Q5_K: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        let dmin = block.float16(2)
        let (scales, minima) = Q4_K.scalesAndMinima(block, at: 4)
        return (0..<256).map { i in
            let low = block[48 + 32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2)) & 15
            let q = low | (block[16 + i % 32] >> (i / 32) & 1) << 4
            return d * Float(scales[i / 32]) * Float(q) - dmin * Float(minima[i / 32])
        }
    }
}
