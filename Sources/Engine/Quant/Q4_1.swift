/// As Q4_0 with a minimum `m` after the scale; value = d · q + m.
enum Q4_1: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        let m = block.float16(2)
        return block.nibbles(at: 4, count: 16).map { d * Float($0) + m }
    }
}
