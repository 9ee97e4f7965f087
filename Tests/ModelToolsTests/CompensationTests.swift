import Engine
import GGUF
import TestSupport
import Testing

@testable import ModelTools

@Suite struct CompensationTests {
    private let columns = 256
    private let rows = 8

    /// Σ x xᵀ of activations whose columns go together: `causes` hidden ones, and noise of each column by itself.
    private func hessian(causes: Int = 12, noise: Float = 0.3) -> [Float] {
        var random = SeededRandom(seed: 3)
        let mixing = (0..<causes).map { _ in
            (0..<columns).map { Float.random(in: -1..<1, using: &random) * ($0 % 7 == 0 ? 3 : 1) }
        }
        var sum = [Float](repeating: 0, count: columns * columns)
        sum.withUnsafeMutableBufferPointer { sum in
            for row in 0..<columns {
                for column in row..<columns {
                    sum[row * columns + column] = row == column ? noise : 0
                    for cause in mixing { sum[row * columns + column] += cause[row] * cause[column] }
                }
            }
        }
        return sum
    }

    private func matrix() -> [Float] {
        var random = SeededRandom(seed: 4)
        return (0..<rows * columns).map { _ in
            (0..<4).reduce(0) { sum, _ in sum + Float.random(in: -1..<1, using: &random) }
        }
    }

    /// Σ over rows of d H dᵀ, where d is what rounding changed.
    private func loss(_ values: [Float], _ found: [Float], _ hessian: [Float]) -> Double {
        (0..<rows).reduce(0.0) { total, row in
            let d = (0..<columns).map { Double(values[row * columns + $0]) - Double(found[row * columns + $0]) }
            var sum = 0.0
            for a in 0..<columns {
                for b in a..<columns { sum += (a == b ? 1 : 2) * d[a] * Double(hessian[a * columns + b]) * d[b] }
            }
            return total + sum
        }
    }

    private func plain(_ values: [Float], _ type: GGUFTensorType) throws -> [Float] {
        let format = try #require(QuantFormat.find(type))
        let encoder = try #require(RowEncoder(type))
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: 2 * RowEncoder.scratchBytes(columns: columns), alignment: 64)
        defer { scratch.deallocate() }
        let row = scratch.assumingMemoryBound(to: Float.self)
        return (0..<rows).flatMap { index in
            for column in 0..<columns { row[column] = values[index * columns + column] }
            var bytes = [UInt8](repeating: 0, count: format.rowBytes(columns: columns))
            bytes.withUnsafeMutableBufferPointer { bytes in
                guard let base = bytes.baseAddress else { return }
                encoder.encode(row, columns: columns, importance: nil, weights: row + columns, into: base)
            }
            return format.dequantize(row: bytes)
        }
    }

    private func compensated(_ values: [Float], _ hessian: [Float], _ type: GGUFTensorType) throws -> [Float]? {
        let format = try #require(QuantFormat.find(type))
        let encoder = try #require(BlockEncoder.find(type))
        let square = UnsafeMutableBufferPointer<Float>.allocate(capacity: columns * columns)
        _ = square.initialize(from: hessian)
        defer { square.deallocate() }
        guard let compensation = Compensation(overwriting: square, columns: columns) else { return nil }
        var rest = values
        var bytes = [UInt8](repeating: 0, count: rows * format.rowBytes(columns: columns))
        rest.withUnsafeMutableBufferPointer { rest in
            bytes.withUnsafeMutableBufferPointer { bytes in
                guard let values = rest.baseAddress, let out = bytes.baseAddress else { return }
                compensation.encode(values, rows: rows, encoder, into: out, on: ThreadPool(threads: 2))
            }
        }
        return format.dequantize(row: bytes)
    }

    /// In the norm that counts, the loss falls well below that of rounding each weight to what is nearest.
    @Test(
        arguments: [
            .q4_0, .q4_1, .q5_0, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_NL, .iq4_XS, .iq2_XXS, .iq2_XS, .iq2_S,
            .iq3_XXS, .iq3_S, .iq1_S, .iq1_M, .q2_0, .tq2_0,
        ] as [GGUFTensorType])
    func losesLessThanRounding(type: GGUFTensorType) throws {
        let (values, hessian) = (matrix(), hessian())
        let rounded = loss(values, try plain(values, type), hessian)
        let found = try #require(try compensated(values, hessian, type))
        let compensated = loss(values, found, hessian)
        // Where columns are chosen by eights, or have few levels, the others can make up for less.
        let isCoarse = (QuantFormat.find(type)?.bitsPerWeight ?? 16) < 4
        #expect(compensated < (isCoarse ? 0.7 : 0.4) * rounded, "\(compensated / rounded) of the loss of rounding")
    }

    /// Without correlations there is nothing to make up for: the result is as good as rounding.
    @Test(arguments: [.q4_0, .q4_K] as [GGUFTensorType])
    func independentColumns(type: GGUFTensorType) throws {
        let values = matrix()
        var identity = [Float](repeating: 0, count: columns * columns)
        for column in 0..<columns { identity[column * columns + column] = 5 }
        let rounded = loss(values, try plain(values, type), identity)
        let found = try #require(try compensated(values, identity, type))
        #expect(abs(loss(values, found, identity) / rounded - 1) < 0.05)
    }

    /// Fewer rows than columns leave the Hessian singular, a column that is never used leaves zeros in it.
    @Test func singular() throws {
        let values = matrix()
        var hessian = hessian(noise: 0)
        for column in 0..<columns { hessian[5 * columns + column] = 0 }
        for row in 0..<5 { hessian[row * columns + 5] = 0 }
        let found = try #require(try compensated(values, hessian, .q4_0))
        #expect(found.allSatisfy { $0.isFinite })
        #expect(loss(values, found, hessian) < loss(values, try plain(values, .q4_0), hessian))
    }

    @Test(arguments: [0, Float.nan, .infinity])
    func nothingToLearn(value: Float) throws {
        #expect(try compensated(matrix(), [Float](repeating: value, count: columns * columns), .q4_0) == nil)
    }
}

extension QuantFormat {
    fileprivate var bitsPerWeight: Double { Double(8 * blockBytes) / Double(block) }
}
