/// 32 values of 4 bits: binary16 scale `d`, 16 bytes whose low halves are values 0…15, high halves 16…31;
/// value = d · (q − 8).
enum Q4_0: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        return block.nibbles(at: 2, count: 16).map { d * Float($0 - 8) }
    }
}
