package import Engine
import Foundation
package import GGUF
import Synchronization

/// Sums up the squares of what meets each column of each matrix, for each expert by itself.
package final class ImportanceCollector: ComputeObserver {
    struct Sums: Sendable {
        /// [members][columns]
        var squares: [Float]
        /// Rows that each member met.
        var counts: [Int]

        mutating func add(_ batch: [Float], _ rows: Int, to member: Int) {
            counts[member] += rows
            let first = member * batch.count
            for column in batch.indices { squares[first + column] += batch[column] }
        }
    }

    private let matrices: ObservedMatrices
    /// Tensors in the order of the file.
    private let names: [String]
    private let sums = Mutex<[String: Sums]>([:])

    package init(_ file: GGUFFile) {
        matrices = ObservedMatrices(file)
        names = file.tensors.map(\.name)
    }

    package func multiply(_ weights: [Weight], member: Int, _ rows: ObservedRows) {
        let known = matrices.known(weights)
        guard !known.isEmpty else { return }
        // This call's own sum first: many small terms onto a large sum would be lost.
        var batch = [Float](repeating: 0, count: rows.cols)
        batch.withUnsafeMutableBufferPointer { batch in
            for index in 0..<rows.count {
                let row = rows[index]
                for column in 0..<rows.cols { batch[column] += row[column] * row[column] }
            }
        }
        sums.withLock { sums in
            for weight in known {
                let empty = Sums(
                    squares: [Float](repeating: 0, count: weight.cols * weight.experts),
                    counts: [Int](repeating: 0, count: weight.experts))
                sums[weight.name, default: empty].add(batch, rows.count, to: member)
            }
        }
    }

    /// Experts in the file, and how many of them met no row.
    package var experts: (all: Int, unseen: Int) {
        sums.withLock { sums in
            sums.filter { $0.value.counts.count > 1 }.reduce((0, 0)) {
                ($0.0 + $1.value.counts.count, $0.1 + $1.value.counts.count { $0 == 0 })
            }
        }
    }

    package var matrixCount: Int { sums.withLock { $0.count } }
    var all: [String: Sums] { sums.withLock { $0 } }

    /// Writes the form that `ImportanceMatrix` reads and llama.cpp with it.
    /// - Parameters:
    ///   - dataset: the name of the text.
    ///   - text: what was read.
    /// - Throws: `CalibrationError.nothingSeen`, `.notFinite`, `GGUFError`.
    package func write(to path: String, dataset: String, _ text: CalibrationText) throws {
        var writer = GGUFWriter(metadata: [
            ("general.type", .string("imatrix")), ("imatrix.datasets", .array(GGUFArray([dataset]))),
            ("imatrix.chunk_count", .uint32(UInt32(clamping: text.pieces.count))),
            ("imatrix.chunk_size", .uint32(UInt32(clamping: text.pieceLength))),
        ])
        let sums = all
        guard !sums.isEmpty else { throw CalibrationError.nothingSeen }
        for name in names {
            guard let entry = sums[name] else { continue }
            guard entry.squares.allSatisfy(\.isFinite) else { throw CalibrationError.notFinite(tensor: name) }
            let members = entry.counts.count
            try writer.add(
                tensor: name + ImportanceMatrix.sumsSuffix, dimensions: [entry.squares.count / members, members],
                floats: entry.squares)
            try writer.add(
                tensor: name + ImportanceMatrix.countsSuffix, dimensions: [1, members],
                floats: entry.counts.map { Float($0) })
        }
        try writer.write(to: path)
    }
}
