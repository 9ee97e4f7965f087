import GGUF

/// 256 values by eights from IQ1_S's codebook, with a 3-bit scale per 16 values and a shift per 8 values;
/// value = d · (2 · scale + 1) · (level ± 1/8).
///
/// Bytes: 32 bytes with the lower eight bits of the indices; 16 bytes with, per 8 values, a half of three upper bits and
/// 1 where the shift is down; four times 16 bits with four scales and above them a quarter of the bits of the binary16
/// `d`, the lowest first.
enum IQ1_M: BlockFormat {
    private static let codebook = GGUFTensorType.iq1_M.codebookLevels()

    static func dequantize(_ block: BlockBytes) -> [Float] {
        let words = (0..<4).map { block.uint16(48 + 2 * $0) }
        let d = Float(halfBits: (0..<4).reduce(0) { $0 | (words[$1] >> 12) << UInt16(4 * $1) })
        return (0..<32).flatMap { eight in
            let upper = block[32 + eight / 2] >> (4 * (eight % 2)) & 15
            let sixteen = eight / 2
            let scale = Float(2 * (words[sixteen / 4] >> UInt16(3 * (sixteen % 4)) & 7) + 1)
            let shift: Float = upper & 8 == 0 ? 0.125 : -0.125
            return codebook[block[eight] | (upper & 7) << 8].map { d * scale * (Float($0) + shift) }
        }
    }
}
