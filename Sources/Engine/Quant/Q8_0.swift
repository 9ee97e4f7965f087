/// 32 values: one binary16 scale `d`, then 32 int8; value = d · q.
enum Q8_0: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        return (0..<32).map { d * Float(block.int8(2 + $0)) }
    }
}
