import GGUF

/// 256 values by eights from a codebook of 256, with a 4-bit scale per 32 values;
/// value = d / 8 · (2 · scale + 1) · ±level.
///
/// Bytes: binary16 `d`; per 32 values four indices and a 32-bit word with four times seven signs – an eighth makes the
/// number of negative ones even – and above them the scale.
enum IQ2_XXS: BlockFormat {
    private static let codebook = GGUFTensorType.iq2_XXS.codebookLevels()

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0) / 8
        return (0..<32).flatMap { eight in
            let word = block.uint32(6 + 8 * (eight / 4))
            let scale = Float(2 * (word >> 28) + 1)
            let signs = Codebook.evenSigns(Int(word >> (7 * UInt32(eight % 4))) & 127)
            return signed(codebook[block[2 + 8 * (eight / 4) + eight % 4]], signs).map { d * scale * Float($0) }
        }
    }
}
