import Engine
import GGUF
import Synchronization

/// The rounding of one tensor, some rows at a time.
struct TensorWork: @unchecked Sendable {
    let tensor: GGUFTensor
    let type: GGUFTensorType
    let encoder: RowEncoder
    let columns: Int
    let rows: Int
    /// Rows of one matrix of a stack.
    let rowsPerMember: Int
    private let format: QuantFormat
    private let source: UnsafeRawPointer
    let rowBytes: Int
    private let importance: ImportanceMatrix?
    private let flaw = Flaw()

    /// What is made at a time; it fits the cache that the cores share.
    static let pieceBytes = 4 << 20
    /// Floats that are compensated at a time.
    private static let pieceValues = 16 << 20

    /// Nil for formats that cannot be read or made.
    init?(_ item: QuantizePlan.Item, _ importance: ImportanceMatrix?) {
        (tensor, type) = (item.tensor, item.type)
        guard let format = QuantFormat.find(tensor.type), let encoder = RowEncoder(item.type),
            let source = tensor.bytes.baseAddress, tensor.dimensions.count > 1
        else { return nil }
        (self.format, self.encoder, self.source, self.importance) = (format, encoder, source, importance)
        columns = tensor.dimensions[0]
        rows = tensor.dimensions.dropFirst().reduce(1, *)
        rowsPerMember = tensor.dimensions[1]
        rowBytes = item.type.byteCount(of: columns) ?? 0
    }

    /// - Throws: `ImportanceError.otherModel`.
    func checkImportance() throws(ImportanceError) { _ = try weights() }

    /// [members][columns]
    func weights() throws(ImportanceError) -> [Float]? {
        try importance?.weights(for: tensor.name, columns: columns, experts: rows / rowsPerMember)
    }

    // MARK: Each row by itself

    func round(_ range: Range<Int>, on pool: ThreadPool, _ sink: GGUFWriter.Sink) throws {
        let pieceRows = max(1, min(range.count, Self.pieceBytes / max(1, rowBytes)))
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceRows * rowBytes, alignment: 64)
        defer { piece.deallocate() }
        guard let target = piece.baseAddress else { return }
        let weights = try weights()
        for first in stride(from: range.lowerBound, to: range.upperBound, by: pieceRows) {
            let count = min(pieceRows, range.upperBound - first)
            let job = (self, first, target, weights)
            pool.run(count, scratch: 2 * RowEncoder.scratchBytes(columns: columns), job) { job, rows, worker in
                let (work, first, target, weights) = job
                for row in rows {
                    work.round(first + row, weights, worker.scratch, into: target + row * work.rowBytes)
                }
            }
            try check()
            try sink(UnsafeRawBufferPointer(rebasing: piece[..<(count * rowBytes)]))
        }
    }

    /// One row. `scratch`: room for two rows of floats, of which the first are the row's values afterwards.
    /// - Returns: false where a value is no number.
    @discardableResult func round(
        _ row: Int, _ importance: [Float]?, _ scratch: UnsafeMutableRawPointer, into target: UnsafeMutableRawPointer
    ) -> Bool {
        let values = scratch.assumingMemoryBound(to: Float.self)
        let weights = (scratch + RowEncoder.scratchBytes(columns: columns)).assumingMemoryBound(to: Float.self)
        guard load(row, into: values) else { return false }
        let out = target.assumingMemoryBound(to: UInt8.self)
        guard let importance else {
            encoder.encode(values, columns: columns, importance: nil, weights: weights, into: out)
            return true
        }
        importance.withUnsafeBufferPointer { all in
            encoder.encode(
                values, columns: columns, importance: all.baseAddress.map { $0 + row / rowsPerMember * columns },
                weights: weights, into: out)
        }
        return true
    }

    /// The floats of a row; false where one of them is no number.
    private func load(_ row: Int, into values: UnsafeMutablePointer<Float>) -> Bool {
        format.dequantize(source + row * format.rowBytes(columns: columns), columns: columns, into: values)
        // Not a loop over single values: infinities and NaN make the sum of zeros anything but zero.
        var zeros: Float = 0
        for column in 0..<columns { zeros += values[column] * 0 }
        if zeros == 0 { return true }
        let column = (0..<columns).first { !values[$0].isFinite } ?? 0
        flaw.report(row: row, column: column, value: values[column])
        return false
    }

    func check() throws(QuantizeError) {
        guard let (row, column, value) = flaw.first else { return }
        throw .notFinite(tensor: tensor.name, row: row, column: column, value: "\(value)")
    }

    // MARK: Rows of one matrix, with compensation

    func round(
        _ range: Range<Int>, with compensation: Compensation, _ encoder: BlockEncoder, on pool: ThreadPool,
        _ sink: GGUFWriter.Sink
    ) throws {
        let pieceRows = max(1, min(range.count, Self.pieceValues / columns))
        let values = UnsafeMutablePointer<Float>.allocate(capacity: pieceRows * columns)
        let piece = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: pieceRows * rowBytes)
        defer {
            values.deallocate()
            piece.deallocate()
        }
        guard let target = piece.baseAddress else { return }
        for first in stride(from: range.lowerBound, to: range.upperBound, by: pieceRows) {
            let count = min(pieceRows, range.upperBound - first)
            pool.run(count, grain: 16, (self, first, values)) { job, rows, _ in
                let (work, first, values) = job
                for row in rows { _ = work.load(first + row, into: values + row * work.columns) }
            }
            try check()
            compensation.encode(values, rows: count, encoder, into: target, on: pool)
            try sink(UnsafeRawBufferPointer(start: target, count: count * rowBytes))
        }
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
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
}
