import Engine
import GGUF

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
    /// What the values of each member are divided by before they are rounded; nil where by nothing.
    private let factors: [Float]?
    private let flaw = Flaw()

    /// What is made at a time; it fits the cache that the cores share.
    static let pieceBytes = 4 << 20
    /// Floats that are compensated at a time.
    private static let pieceValues = 16 << 20

    /// Nil for formats that cannot be read or made.
    init?(_ item: QuantizePlan.Item, _ importance: ImportanceMatrix?, factors: [Float]? = nil) {
        (tensor, type) = (item.tensor, item.type)
        guard let format = QuantFormat.find(tensor.type), let encoder = RowEncoder(item.type),
            let source = tensor.bytes.baseAddress, tensor.dimensions.count > 1
        else { return nil }
        (self.format, self.encoder, self.source, self.importance) = (format, encoder, source, importance)
        self.factors = factors
        columns = tensor.dimensions[0]
        rows = tensor.dimensions.dropFirst().reduce(1, *)
        rowsPerMember = tensor.dimensions[1]
        rowBytes = item.type.byteCount(of: columns) ?? 0
    }

    /// [members][columns]
    /// - Throws: `ImportanceError.otherModel`.
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
            pool.run(count, scratch: 2 * RowEncoder.scratchBytes(columns: columns), work(first, target, weights)) {
                work, rows, worker in
                for row in rows { work.run(row, worker.scratch) }
            }
            try check()
            try sink(UnsafeRawBufferPointer(rebasing: piece[..<(count * rowBytes)]))
        }
    }

    /// The rows from `first` on.
    /// - Parameter target: where they go; unused where rows are only loaded.
    func work(_ first: Int, _ target: UnsafeMutableRawPointer, _ importance: [Float]?) -> RowWork {
        RowWork(
            source: source + first * format.rowBytes(columns: columns), target: target, format: format,
            encoder: encoder,
            columns: columns, rowBytes: rowBytes, importance: importance, factors: factors,
            rowsPerExpert: rowsPerMember, firstRow: first, flaw: flaw)
    }

    /// NVFP4's scales reach from 2^-9 to 448 only, so that a matrix has a factor of its own: the one that maps its largest
    /// value to the format's. Of a stack each member has one.
    func ownFactors(on pool: ThreadPool) throws(QuantizeError) -> [Float] {
        let largest = UnsafeMutablePointer<Float>.allocate(capacity: rows)
        defer { largest.deallocate() }
        let job = (work(0, UnsafeMutableRawPointer(largest), nil), largest)
        pool.run(rows, grain: 16, scratch: RowEncoder.scratchBytes(columns: columns), job) { job, rows, worker in
            let (work, largest) = job
            let values = worker.scratch.assumingMemoryBound(to: Float.self)
            for row in rows {
                largest[row] = 0
                guard work.load(row, into: values) else { continue }
                for column in 0..<work.columns { largest[row] = max(largest[row], abs(values[column])) }
            }
        }
        try check()
        return (0..<rows / rowsPerMember).map { member in
            let rows = member * rowsPerMember..<(member + 1) * rowsPerMember
            let extreme = rows.reduce(Float(0)) { max($0, largest[$1]) }
            return extreme > smallest ? extreme / (6 * 448) : 1
        }
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
            pool.run(count, grain: 16, (work(first, UnsafeMutableRawPointer(target), nil), values)) { job, rows, _ in
                let (work, values) = job
                for row in rows { _ = work.load(row, into: values + row * work.columns) }
            }
            try check()
            compensation.encode(values, rows: count, encoder, into: target, on: pool)
            try sink(UnsafeRawBufferPointer(start: target, count: count * rowBytes))
        }
    }
}
