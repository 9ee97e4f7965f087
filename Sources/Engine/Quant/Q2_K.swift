/// 256 values of 2 bits with a 4-bit scale and a 4-bit minimum per 16 values; value = d · scale · q − dmin · min.
///
/// Bytes: 16 × (scale, minimum) halves; 64 bytes of values, byte 32 h + l holding values 128 h + l + {0, 32, 64, 96} in
/// its four bit pairs; binary16 `d` and `dmin`.
enum Q2_K: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(80)
        let dmin = block.float16(82)
        return (0..<256).map { i in
            let scale = block[i / 16] & 15
            let min = block[i / 16] >> 4
            return d * Float(scale) * Float(block.bitPair(at: 16, of: i)) - dmin * Float(min)
        }
    }
}
