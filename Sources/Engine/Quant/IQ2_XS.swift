import GGUF

/// 256 values by eights from a codebook of 512, with a 4-bit scale per 16 values;
/// value = d / 8 · (2 · scale + 1) · ±level.
///
/// Bytes: binary16 `d`; per 8 values 16 bits with an index of 9 and seven signs as in IQ2_XXS; 8 bytes of scales, the
/// first of two in the low half.
enum IQ2_XS: BlockFormat {
    private static let codebook = GGUFTensorType.iq2_XS.codebookLevels()

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0) / 8
        return (0..<32).flatMap { eight in
            let word = Int(block.uint16(2 + 2 * eight))
            let scale = Float(2 * (block[66 + eight / 4] >> (4 * (eight / 2 % 2)) & 15) + 1)
            return signed(codebook[word & 511], Codebook.evenSigns(word >> 9)).map { d * scale * Float($0) }
        }
    }
}
