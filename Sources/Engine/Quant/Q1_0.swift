/// 128 values of 1 bit with one scale; value = d where the bit is set, else −d.
///
/// Bytes: binary16 `d`; 16 with eight adjoining values each, the first one in the lowest bit.
enum Q1_0: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(0)
        return (0..<128).map { block[2 + $0 / 8] >> ($0 % 8) & 1 == 1 ? d : -d }
    }
}
