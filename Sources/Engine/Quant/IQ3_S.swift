import GGUF

/// 256 values by fours from a codebook of 512, with a 4-bit scale per 32 values;
/// value = d · (2 · scale + 1) · ±level.
///
/// Bytes: binary16 `d`; 64 bytes with the lower eight bits of the indices; 8 bytes with their ninth; 32 bytes of signs;
/// 4 bytes of scales, the first of two in the low half.
enum IQ3_S: BlockFormat {
    private static let codebook = GGUFTensorType.iq3_S.codebookLevels()

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        return (0..<32).flatMap { eight in
            let four = 2 * eight
            let ninths = block[66 + four / 8] >> (four % 8)
            let first = block[2 + four] | (ninths & 1) << 8
            let second = block[3 + four] | (ninths >> 1 & 1) << 8
            let scale = Float(2 * (block[106 + eight / 8] >> (4 * (eight / 4 % 2)) & 15) + 1)
            return signed(codebook[first] + codebook[second], block[74 + eight]).map { d * scale * Float($0) }
        }
    }
}
