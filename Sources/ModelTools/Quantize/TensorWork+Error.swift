import Engine
import GGUF

extension TensorWork {
    /// Σ importance · (value − rounded value)² over some rows, evenly spread.
    /// - Parameter weights: about how many values are rounded.
    /// - Throws: `QuantizeError.notFinite`, `ImportanceError.otherModel`.
    func error(sampling weights: Int, on pool: ThreadPool) throws -> Double {
        let step = max(1, rows * columns / max(weights, columns))
        let count = (rows + step - 1) / step
        let errors = UnsafeMutablePointer<Double>.allocate(capacity: count)
        defer { errors.deallocate() }
        let job = (self, step, errors, try self.weights())
        pool.run(count, scratch: rowScratch, job) { job, items, worker in
            let (work, step, errors, importance) = job
            for item in items {
                errors[item] = 0
                let row = item * step
                let (values, found) = work.rounded(row, importance, worker.scratch)
                guard let values, let found else { continue }
                let first = row / work.rowsPerMember * work.columns
                for column in 0..<work.columns {
                    let difference = Double(values[column] - found[column])
                    errors[item] += Double(importance?[first + column] ?? 1) * difference * difference
                }
            }
        }
        try check()
        return (0..<count).reduce(0) { $0 + errors[$1] }
    }

    /// The rounded tensor, stored in the format it had before.
    /// - Throws: as ``error(sampling:on:)``, `QuantizeError.unsupportedTarget`.
    func reconstruct(on pool: ThreadPool, _ sink: GGUFWriter.Sink) throws {
        guard let back = RowEncoder(tensor.type), let bytes = tensor.type.byteCount(of: columns) else {
            throw QuantizeError.unsupportedTarget(tensor.type)
        }
        let pieceRows = max(1, min(rows, Self.pieceBytes / bytes))
        let piece = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: pieceRows * bytes)
        defer { piece.deallocate() }
        guard let target = piece.baseAddress else { return }
        let importance = try weights()
        for first in stride(from: 0, to: rows, by: pieceRows) {
            let count = min(pieceRows, rows - first)
            pool.run(count, scratch: rowScratch, (self, first, target, bytes, importance, back)) { job, rows, worker in
                let (work, first, target, bytes, importance, back) = job
                for row in rows {
                    let (values, found) = work.rounded(first + row, importance, worker.scratch)
                    guard let values, let found else { continue }
                    back.encode(
                        found, columns: work.columns, importance: nil, weights: values, into: target + row * bytes)
                }
            }
            try check()
            try sink(UnsafeRawBufferPointer(start: target, count: count * bytes))
        }
    }

    /// Room for two rows of floats, their weights, and a row's bytes.
    private var rowScratch: Int { 3 * RowEncoder.scratchBytes(columns: columns) + rowBytes }

    /// A row's values and what they are rounded to.
    private func rounded(
        _ row: Int, _ importance: [Float]?, _ scratch: UnsafeMutableRawPointer
    ) -> (values: UnsafeMutablePointer<Float>?, found: UnsafeMutablePointer<Float>?) {
        let size = RowEncoder.scratchBytes(columns: columns)
        let found = (scratch + 2 * size).assumingMemoryBound(to: Float.self)
        let bytes = scratch + 3 * size
        guard let format = QuantFormat.find(type), work(row, bytes, importance).run(0, scratch) else {
            return (nil, nil)
        }
        format.dequantize(bytes, columns: columns, into: found)
        return (scratch.assumingMemoryBound(to: Float.self), found)
    }
}
