import GGUF

/// Makes one row of a format from floats.
struct RowEncoder: Sendable {
    private enum Kind: Sendable {
        case f32, f16, bf16
        case blocks(BlockEncoder)
    }

    private let kind: Kind
    private let type: GGUFTensorType

    /// Nil for a format that cannot be made.
    init?(_ type: GGUFTensorType) {
        self.type = type
        switch type {
        case .f32: kind = .f32
        case .f16: kind = .f16
        case .bf16: kind = .bf16
        default:
            guard let encoder = BlockEncoder.find(type) else { return nil }
            kind = .blocks(encoder)
        }
    }

    /// Nil for F32, F16 and BF16.
    var blocks: BlockEncoder? {
        if case .blocks(let encoder) = kind { encoder } else { nil }
    }

    /// Room for one row of floats in whole vectors.
    static func scratchBytes(columns: Int) -> Int { (columns * 4 + 63) & ~63 }

    /// - Parameters:
    ///   - values: `columns` floats, aligned to 64 bytes.
    ///   - importance: how much each column matters, or nil.
    ///   - weights: room for `columns` floats, aligned to 64 bytes.
    ///   - row: room for the row's bytes.
    func encode(
        _ values: UnsafeMutablePointer<Float>, columns: Int, importance: UnsafePointer<Float>?,
        weights: UnsafeMutablePointer<Float>, into row: UnsafeMutablePointer<UInt8>
    ) {
        switch kind {
        case .f32:
            UnsafeMutableRawPointer(row).copyMemory(from: values, byteCount: 4 * columns)
        case .f16:
            let out = BlockBuffer(bytes: row)
            for column in 0..<columns { out.storeHalf(values[column], at: 2 * column) }
        case .bf16:
            for column in 0..<columns {
                let bits = values[column].bfloat16Bits
                row[2 * column] = UInt8(truncatingIfNeeded: bits)
                row[2 * column + 1] = UInt8(truncatingIfNeeded: bits >> 8)
            }
        case .blocks(let encoder):
            fillWeights(values, columns, importance, weights)
            let groups = type.blockSize / 16
            values.withMemoryRebound(to: SIMD16<Float>.self, capacity: columns / 16) { values in
                weights.withMemoryRebound(to: SIMD16<Float>.self, capacity: columns / 16) { weights in
                    for block in 0..<columns / type.blockSize {
                        encoder.encode(
                            WeightedValues(
                                values: values + block * groups, weights: weights + block * groups, groups: groups),
                            BlockBuffer(bytes: row + block * type.blockBytes))
                    }
                }
            }
        }
    }

    /// How much the square of an error counts.
    ///
    /// With an importance matrix: the column's mean square activation, more for large weights (llama.cpp's
    /// `quantize_row_*_impl` weighs alike). Without one only the latter.
    private func fillWeights(
        _ values: UnsafePointer<Float>, _ columns: Int, _ importance: UnsafePointer<Float>?,
        _ weights: UnsafeMutablePointer<Float>
    ) {
        var sum: Float = 0
        for column in 0..<columns { sum += values[column] * values[column] }
        // Zero rows, and columns that no text ever used, must not divide by zero.
        let meanSquare = max(sum / Float(columns), smallest)
        for column in 0..<columns {
            let weight = (meanSquare + values[column] * values[column]).squareRoot() / meanSquare.squareRoot()
            weights[column] = importance.map { max($0[column], smallest) * weight } ?? weight
        }
    }
}
