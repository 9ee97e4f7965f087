/// 256 values −1, 0 or 1, five to a byte, with one scale; value = d · q.
///
/// Bytes: 32 that hold values l, 32 + l, …, 128 + l; 16 that hold values 160 + l, 176 + l, …, 224 + l; 4 that hold
/// values 240 + l, …, 252 + l; binary16 `d`. A byte is a fraction of 256 in base three, the first value its first digit.
enum TQ1_0: BlockFormat {
    static func dequantize(_ block: BlockBytes) -> [Float] {
        let d = block.float16(52)
        let parts = [
            (first: 0, bytes: 32, digits: 5), (first: 32, bytes: 16, digits: 5), (first: 48, bytes: 4, digits: 4),
        ]
        return parts.flatMap { part in
            var rests = (0..<part.bytes).map { block[part.first + $0] }
            return (0..<part.digits).flatMap { _ in
                defer { rests = rests.map { $0 * 3 & 255 } }
                return rests.map { d * Float((($0 * 3) >> 8) - 1) }
            }
        }
    }
}
