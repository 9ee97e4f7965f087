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
        // Zero rows must not divide by zero.
        let meanSquare = max(sum / Float(columns), smallest)
        for column in 0..<columns {
            // Squares of huge weights are no numbers.
            weights[column] =
                sum < 1e38
                ? (meanSquare + values[column] * values[column]).squareRoot() / meanSquare.squareRoot() : 1
        }
        guard let importance else { return }
        for first in stride(from: 0, to: columns, by: type.blockSize) {
            weigh(weights + first, by: importance + first, type.blockSize)
        }
    }

    /// Brings the importance of one block's columns to a mean of about 1, because fits multiply sums of weights with
    /// each other. By a power of two, which is exact: only proportions count.
    ///
    /// Of a column without data (0) nothing is known but that the others do not tell: it counts as the average of
    /// those. And however little a column matters, it matters enough to take part in a fit of two parameters.
    private func weigh(_ weights: UnsafeMutablePointer<Float>, by importance: UnsafePointer<Float>, _ count: Int) {
        var (sum, known) = (0.0, 0)
        for column in 0..<count where importance[column] > 0 {
            sum += Double(importance[column])
            known += 1
        }
        // A block without data is rounded as without importance.
        guard known > 0 else { return }
        let mean = sum / Double(known)
        let unit = Double(sign: .plus, exponent: -mean.exponent, significand: 1)
        for column in 0..<count {
            let value = importance[column] > 0 ? max(Double(importance[column]), mean * leastPart) : mean
            weights[column] *= Float(value * unit)
        }
    }
}

/// What a column counts at least, as a part of the mean of its block.
private let leastPart = 1e-5
