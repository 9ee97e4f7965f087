/// As Q4_0 with the fifth bit of value i in bit i of a 32-bit word; value = d · (q − 16).
enum Q5_0: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        let fifth = block.uint32(2)
        return block.nibbles(at: 6, count: 16).enumerated().map { i, low in
            d * Float(low + Int(fifth >> i & 1) * 16 - 16)
        }
    }
}
