/// 32 indices of 4 bits into a non-linear table, laid out as Q4_0; value = d · table[q].
enum IQ4_NL: BlockFormat {
    /// ggml's `kvalues_iq4nl`, also used by IQ4_XS.
    static let table = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        return block.nibbles(at: 2, count: 16).map { d * Float(table[$0]) }
    }
}
