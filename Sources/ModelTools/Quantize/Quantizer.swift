import Engine
import Foundation
package import GGUF
import Synchronization

/// Writes a model file with its matrices in other formats.
///
/// Row by row: the source becomes floats, each block is searched for its best scales, and the bytes go out in the order
/// of the file. Without compensation memory is a few megabytes whatever the size of the model, and the result does not
/// depend on the number of threads.
package struct Quantizer {
    private let source: GGUFFile
    private let plan: QuantizePlan
    private let importance: ImportanceMatrix?
    private let compensator: ErrorCompensator?
    private let pool: ThreadPool

    /// - Parameters:
    ///   - importance: which columns matter, for matrices that are rounded plainly.
    ///   - compensator: makes up for rounding errors, with more memory and time. Its results depend in their last bits
    ///     on the number of threads.
    /// - Throws: `QuantizeError.unsupportedSource`, `.unsupportedTarget`, `.noImportance`.
    package init(
        _ source: GGUFFile, plan: QuantizePlan, importance: ImportanceMatrix? = nil,
        compensator: ErrorCompensator? = nil, threads: Int
    ) throws(QuantizeError) {
        for item in plan.items where item.isChanged {
            guard QuantFormat.find(item.tensor.type) != nil else {
                throw .unsupportedSource(tensor: item.tensor.name, type: item.tensor.type)
            }
            guard RowEncoder(item.type) != nil else { throw .unsupportedTarget(item.type) }
            guard !plan.needsImportance(item) || importance?.covers(item.tensor.name) == true else {
                throw .noImportance(tensor: item.tensor.name, type: item.type)
            }
        }
        self.source = source
        self.plan = plan
        self.importance = importance
        self.compensator = compensator
        pool = ThreadPool(threads: threads)
    }

    /// Writes the file. A run that ends early leaves what it has beside `path`, and the same call goes on from there.
    /// - Parameter progress: called with the bytes written so far and those of all tensors; false stops.
    /// - Throws: `QuantizeError.notFinite`, `.cancelled`, `.sameFile`, `ImportanceError`, `GGUFError`.
    package func write(to path: String, progress: @escaping (Int, Int) -> Bool) throws {
        guard !FileIdentity.isSame(path, source.path) else { throw QuantizeError.sameFile(path) }
        try importance?.check(source.tensors)
        var writer = GGUFWriter(metadata: try metadata())
        let total = plan.byteCount
        let done = Atomic<Int>(0)
        func advance(_ bytes: Int) throws(QuantizeError) {
            let now = done.add(bytes, ordering: .relaxed).newValue
            guard progress(now, total) else { throw .cancelled }
        }
        for (index, item) in plan.items.enumerated() {
            try writer.add(tensor: item.tensor.name, dimensions: item.tensor.dimensions, type: item.type) { sink in
                try produce(index) { piece in
                    try sink(piece)
                    try advance(piece.count)
                }
            }
            guard let name = item.factorName else { continue }
            let members = item.tensor.dimensions.dropFirst(2).reduce(1, *)
            try writer.add(tensor: name, dimensions: [members], type: .f32) { sink in
                try (try factors(item) ?? []).withUnsafeBytes { try sink($0) }
            }
        }
        let partial = "\(path).\(identity()).part"
        do {
            try writer.write(to: path, partialPath: partial) { _ = done.add($0, ordering: .relaxed) }
        } catch let error as QuantizeError where error != .cancelled {
            // The source is at fault: going on later would end at the same place.
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
    }

    private func metadata() throws(GGUFError) -> [(String, GGUFValue)] {
        let own = [GGUFFileType.key, "general.quantization_version"]
        var entries: [(String, GGUFValue)] = []
        for key in source.metadata.keys where !own.contains(key) && !GGUFSplit.keys.contains(key) {
            if let value = source.metadata[key] { entries.append((key, value)) }
        }
        entries.append(("general.quantization_version", .uint32(2)))
        if let mixture = plan.mixture, let number = GGUFFileType.number(mixture.name) {
            entries.append((GGUFFileType.key, .uint32(UInt32(number))))
        }
        return entries
    }

    /// Names the work: another source, another plan or another importance matrix never goes on with this one's file.
    private func identity() -> String {
        var hash = FNV1a()
        let attributes = try? FileManager.default.attributesOfItem(atPath: source.path)
        hash.add("\(source.path) \(source.fileSize) \(attributes?[.modificationDate] as? Date ?? .distantPast)")
        for item in plan.items { hash.add("\(item.tensor.name) \(item.type.rawValue)") }
        hash.add(importance?.fingerprint ?? "")
        hash.add(compensator?.fingerprint ?? "")
        return String(hash.value, radix: 16)
    }

    // MARK: One tensor

    /// Those of an NVFP4 matrix.
    private func factors(_ item: QuantizePlan.Item) throws(QuantizeError) -> [Float]? {
        guard item.factorName != nil else { return nil }
        return try TensorWork(item, nil)?.ownFactors(on: pool)
    }

    private func produce(_ index: Int, sink: GGUFWriter.Sink) throws {
        let item = plan.items[index]
        let tensor = item.tensor
        guard item.isChanged, let work = TensorWork(item, importance, factors: try factors(item)) else {
            // In pieces, so that progress shows and a stop is heard.
            for start in stride(from: 0, to: tensor.bytes.count, by: TensorWork.pieceBytes) {
                let end = min(start + TensorWork.pieceBytes, tensor.bytes.count)
                try sink(UnsafeRawBufferPointer(rebasing: tensor.bytes[start..<end]))
            }
            return
        }
        guard let compensator, let encoder = work.encoder.blocks else {
            return try work.round(0..<work.rows, on: pool, sink)
        }
        let names = plan.items[index...].lazy.filter { $0.isChanged && $0.type.isQuantized }.map(\.tensor.name)
        for member in 0..<work.rows / work.rowsPerMember {
            let rows = member * work.rowsPerMember..<(member + 1) * work.rowsPerMember
            if let compensation = try compensator.compensation(for: tensor.name, member: member, tensors: names) {
                try work.round(rows, with: compensation, encoder, on: pool, sink)
            } else {
                try work.round(rows, on: pool, sink)
            }
        }
    }
}
