import Engine
import Foundation
import GGUF

/// Writes what a plan describes.
///
/// A piece of a tensor at a time is read, put in order, encoded by all threads and written, so memory stays within
/// some hundred megabytes whatever the size of the model. The result does not depend on the number of threads.
package struct Converter {
    private let plan: ConvertPlan
    private let pool: ThreadPool

    /// - Throws: `ConvertError.unsupportedTarget`.
    package init(_ plan: ConvertPlan, threads: Int) throws(ConvertError) {
        for item in plan.items where !item.values.isPacked && item.type != .i32 && RowEncoder(item.type) == nil {
            throw .unsupportedTarget(item.type)
        }
        self.plan = plan
        pool = ThreadPool(threads: threads)
    }

    /// Writes the file under another name beside `path` and gives it its own when it is complete.
    /// - Parameter progress: called with the bytes written so far and those of all tensors; false stops.
    /// - Throws: `ConvertError`, `GGUFError`. Nothing is left behind then.
    package func write(to path: String, progress: @escaping (Int, Int) -> Bool) throws {
        var writer = GGUFWriter(metadata: plan.metadata)
        let total = plan.byteCount
        var done = 0
        for item in plan.items {
            try writer.add(tensor: item.name, dimensions: item.dimensions, type: item.type) { sink in
                defer { item.values.forget() }
                try produce(item) { piece in
                    try sink(piece)
                    done += piece.count
                    guard progress(done, total) else { throw ConvertError.cancelled }
                }
            }
        }
        try writer.write(to: path)
    }

    private func produce(_ item: ConvertPlan.Item, sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        let columns = item.dimensions[0]
        let rows = item.dimensions.dropFirst().reduce(1, *)
        let rowBytes = item.type.byteCount(of: columns) ?? 0
        let pieceRows = max(1, min(rows, Self.pieceFloats / columns))
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, pieceRows * rowBytes), alignment: 64)
        defer { piece.deallocate() }
        guard let target = piece.baseAddress else { return }
        if item.values.isPacked || item.type == .i32 {
            for first in stride(from: 0, to: rows, by: pieceRows) {
                let end = min(rows, first + pieceRows)
                if item.type == .i32 {
                    try item.values.readIntegers(first..<end, into: target.assumingMemoryBound(to: Int32.self))
                } else {
                    try item.values.readPacked(first..<end, into: target)
                }
                try sink(UnsafeRawBufferPointer(rebasing: piece[..<((end - first) * rowBytes)]))
            }
            return
        }
        guard let encoder = RowEncoder(item.type), let floats = QuantFormat.find(.f32) else { return }
        let values = UnsafeMutablePointer<Float>.allocate(capacity: pieceRows * columns)
        defer { values.deallocate() }
        let flaw = Flaw()
        for first in stride(from: 0, to: rows, by: pieceRows) {
            let count = min(pieceRows, rows - first)
            try item.values.read(first..<first + count, into: values)
            let work = RowWork(
                source: UnsafeRawPointer(values), target: target, format: floats, encoder: encoder, columns: columns,
                rowBytes: rowBytes, importance: nil, factors: nil, rowsPerExpert: rows, firstRow: first, flaw: flaw)
            pool.run(count, scratch: 2 * RowEncoder.scratchBytes(columns: columns), work) { work, rows, worker in
                for row in rows { work.run(row, worker.scratch) }
            }
            if let (row, column, value) = flaw.first {
                throw ConvertError.notFinite(tensor: item.name, row: row, column: column, value: "\(value)")
            }
            if item.type == .f16 { try checkHalves(item.name, values, count * columns) }
            try sink(UnsafeRawBufferPointer(rebasing: piece[..<(count * rowBytes)]))
        }
    }

    /// Binary16 ends at 65504; beyond it weights would become infinite.
    private func checkHalves(_ name: String, _ values: UnsafePointer<Float>, _ count: Int) throws(ConvertError) {
        for index in 0..<count where abs(values[index]) > 65504 {
            throw .beyondRange(tensor: name, value: values[index], type: .f16)
        }
    }

    /// A piece is what is made at a time.
    private static let pieceFloats = 1 << 20
}
