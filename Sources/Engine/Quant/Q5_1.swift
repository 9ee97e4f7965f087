/// As Q5_0 with a minimum `m` after the scale; value = d · q + m.
enum Q5_1: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        let m = block.float16(2)
        let fifth = block.uint32(4)
        return block.nibbles(at: 8, count: 16).enumerated().map { i, low in
            d * Float(low + Int(fifth >> i & 1) * 16) + m
        }
    }
}
