import GGUF

/// 256 values by eights from a codebook of 2048 with levels −1, 0 and 1, with a 3-bit scale and a shift per 32 values;
/// value = d · (2 · scale + 1) · (level ± 1/8).
///
/// Bytes: binary16 `d`; 32 bytes with the lower eight bits of the indices; per 32 values 16 bits with the upper three
/// bits of four indices, the scale, and above them 1 where the shift is down.
enum IQ1_S: BlockFormat {
    private static let codebook = GGUFTensorType.iq1_S.codebookLevels()

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        return (0..<32).flatMap { eight in
            let word = Int(block.uint16(34 + 2 * (eight / 4)))
            let scale = Float(2 * (word >> 12 & 7) + 1)
            let shift: Float = word >> 15 == 0 ? 0.125 : -0.125
            let levels = codebook[block[2 + eight] | (word >> (3 * (eight % 4)) & 7) << 8]
            return levels.map { d * scale * (Float($0) + shift) }
        }
    }
}
