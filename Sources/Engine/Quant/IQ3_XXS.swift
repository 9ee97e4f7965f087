import GGUF

/// 256 values by fours from a codebook of 256, with a 4-bit scale per 32 values;
/// value = d / 4 · (2 · scale + 1) · ±level.
///
/// Bytes: binary16 `d`; 64 indices; per 32 values a 32-bit word with signs and scale as in IQ2_XXS.
enum IQ3_XXS: BlockFormat {
    private static let codebook = GGUFTensorType.iq3_XXS.codebookLevels()

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0) / 4
        return (0..<32).flatMap { eight in
            let word = block.uint32(66 + 4 * (eight / 4))
            let scale = Float(2 * (word >> 28) + 1)
            let levels = codebook[block[2 + 2 * eight]] + codebook[block[3 + 2 * eight]]
            let signs = Codebook.evenSigns(Int(word >> (7 * UInt32(eight % 4))) & 127)
            return signed(levels, signs).map { d * scale * Float($0) }
        }
    }
}
