import GGUF

/// 256 values by eights from a codebook of 1024, with a 4-bit scale per 16 values;
/// value = d / 8 · (2 · scale + 1) · ±level.
///
/// Bytes: binary16 `d`; 32 bytes with the lower eight bits of the indices; 32 bytes of signs; 8 bytes with the upper two
/// bits of the indices, four in each; 8 bytes of scales, the first of two in the low half.
enum IQ2_S: BlockFormat {
    private static let codebook = GGUFTensorType.iq2_S.codebookLevels()

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0) / 8
        return (0..<32).flatMap { eight in
            let index = block[2 + eight] | (block[66 + eight / 4] >> (2 * (eight % 4)) & 3) << 8
            let scale = Float(2 * (block[74 + eight / 4] >> (4 * (eight / 2 % 2)) & 15) + 1)
            return signed(codebook[index], block[34 + eight]).map { d * scale * Float($0) }
        }
    }
}
