import Engine
import GGUF
import Synchronization

/// Some rows of a tensor, as the threads share them out.
struct RowWork: @unchecked Sendable {
    let source: UnsafeRawPointer
    let target: UnsafeMutableRawPointer
    let format: QuantFormat
    let encoder: RowEncoder
    let columns: Int
    let rowBytes: Int
    /// `columns` values, for each expert; nil without an importance matrix.
    let importance: [Float]?
    /// Per expert; see `TensorWork.ownFactors`.
    let factors: [Float]?
    let rowsPerExpert: Int
    /// Number of the first row in the tensor.
    let firstRow: Int
    let flaw: Flaw

    /// - Parameter scratch: room for two rows of floats; the first are the row's values afterwards.
    /// - Returns: false where a value is no number.
    @discardableResult func run(_ row: Int, _ scratch: UnsafeMutableRawPointer) -> Bool {
        let values = scratch.assumingMemoryBound(to: Float.self)
        let weights = (scratch + RowEncoder.scratchBytes(columns: columns)).assumingMemoryBound(to: Float.self)
        guard load(row, into: values) else { return false }
        let out = (target + row * rowBytes).assumingMemoryBound(to: UInt8.self)
        guard let importance else {
            encoder.encode(values, columns: columns, importance: nil, weights: weights, into: out)
            return true
        }
        let expert = (firstRow + row) / rowsPerExpert
        importance.withUnsafeBufferPointer { all in
            encoder.encode(
                values, columns: columns, importance: all.baseAddress.map { $0 + expert * columns }, weights: weights,
                into: out)
        }
        return true
    }

    /// The floats of a row; false where one of them is no number.
    func load(_ row: Int, into values: UnsafeMutablePointer<Float>) -> Bool {
        format.dequantize(source + row * format.rowBytes(columns: columns), columns: columns, into: values)
        // Not a loop over single values: infinities and NaN make the sum of zeros anything but zero.
        var zeros: Float = 0
        for column in 0..<columns { zeros += values[column] * 0 }
        if zeros == 0 {
            if let factors {
                let inverse = 1 / factors[(firstRow + row) / rowsPerExpert]
                for column in 0..<columns { values[column] *= inverse }
            }
            return true
        }
        let column = (0..<columns).first { !values[$0].isFinite } ?? 0
        flaw.report(row: firstRow + row, column: column, value: values[column])
        return false
    }
}

/// The first number that is none, whichever thread finds it.
final class Flaw: Sendable {
    private let found = Mutex<(row: Int, column: Int, value: Float)?>(nil)

    var first: (row: Int, column: Int, value: Float)? { found.withLock { $0 } }

    func report(row: Int, column: Int, value: Float) {
        found.withLock { if $0.map({ row < $0.row }) ?? true { $0 = (row, column, value) } }
    }
}

/// Fowler, Noll and Vo's 64-bit hash: the same on every run, unlike `Hasher`.
struct FNV1a {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ text: String) {
        for byte in text.utf8 { add(UInt32(byte)) }
    }

    mutating func add(_ number: UInt32) { value = (value ^ UInt64(number)) &* 0x100_0000_01b3 }
}
