package import Engine
import Foundation
package import GGUF

/// What each matrix of a model costs in divergence when it is stored in fewer bits.
///
/// One matrix at a time is rounded to about four bits in a copy of the file, and the divergence of the model's
/// predictions is measured: no formula knows how much the layers behind an error make of it. For the matrix's other
/// formats the divergence is taken to grow with the squared error, weighed by the importance of the columns, because
/// near its minimum a divergence is quadratic in what disturbs it. And since small disturbances hardly meet, the sum
/// over the matrices estimates the divergence of a whole mixture.
package struct Sensitivity {
    private let file: GGUFFile
    private let importance: ImportanceMatrix
    private let meter: DivergenceMeter
    private let pool: ThreadPool

    /// Positions at which predictions are compared.
    private static let positions = 2048
    /// Weights of a tensor whose rounding is tried out in every format.
    private static let sampledWeights = 1 << 20

    /// Reads the text with the original.
    /// - Parameters:
    ///   - file: F32, F16, BF16 or Q8_0, of a family that runs.
    ///   - importance: from the same text.
    /// - Throws: `EngineError`.
    package init(
        _ file: GGUFFile, text: CalibrationText, importance: ImportanceMatrix, threads: Int
    ) throws(EngineError) {
        self.file = file
        self.importance = importance
        meter = try DivergenceMeter(file, text: text, tokens: Self.positions, threads: threads)
        pool = ThreadPool(threads: threads)
    }

    /// Measures every matrix that can be quantized.
    /// - Parameters:
    ///   - scratchPath: a file as large as the source is made there, and removed again.
    ///   - progress: called with the matrices done and all of them; false stops.
    /// - Throws: `QuantizeError`, `EngineError`, `GGUFError`, `CalibrationError.cancelled`.
    package func measure(scratchPath: String, progress: (Int, Int) -> Bool) throws -> [BitBudget.Candidate] {
        let tensors = file.tensors.filter {
            QuantizePlan.isQuantizable($0) && (!$0.type.isQuantized || $0.type == .q8_0)
        }
        let copy = try ScratchCopy(of: file, at: scratchPath)
        return try tensors.enumerated().map { index, tensor in
            guard progress(index, tensors.count) else { throw CalibrationError.cancelled }
            return try measure(tensor, in: copy)
        }
    }

    private func measure(_ tensor: GGUFTensor, in copy: ScratchCopy) throws -> BitBudget.Candidate {
        let (types, probe) = Self.formats(rowLength: tensor.dimensions[0])
        let elements = tensor.dimensions.reduce(1, *)
        func choice(_ type: GGUFTensorType, _ cost: Double) -> BitBudget.Choice {
            .init(type: type, bytes: type.byteCount(of: elements) ?? 0, cost: cost)
        }
        guard let work = TensorWork(.init(tensor: tensor, type: probe), importance) else {
            return .init(tensor: tensor.name, choices: [.init(type: tensor.type, bytes: tensor.byteCount, cost: 0)])
        }
        let reference = try work.error(sampling: Self.sampledWeights, on: pool)
        try copy.replace(tensor) { try work.reconstruct(on: pool, $0) }
        let divergence = try meter.divergence(of: copy.file)
        try copy.restore(tensor)
        // What the text does not reach, such as layers that predict a further token, keeps four bits.
        guard divergence > 0, reference > 0 else { return .init(tensor: tensor.name, choices: [choice(probe, 0)]) }
        let choices = try types.compactMap { type -> BitBudget.Choice? in
            guard let work = TensorWork(.init(tensor: tensor, type: type), importance) else { return nil }
            let error = type == probe ? reference : try work.error(sampling: Self.sampledWeights, on: pool)
            return choice(type, divergence * error / reference)
        }
        return .init(tensor: tensor.name, choices: choices)
    }

    /// The formats worth choosing from, and the one that is measured.
    static func formats(rowLength: Int) -> (all: [GGUFTensorType], probe: GGUFTensorType) {
        if rowLength.isMultiple(of: 256) {
            return ([.q2_K, .q3_K, .iq4_XS, .q4_K, .q5_K, .q6_K, .q8_0], .q4_K)
        }
        return rowLength.isMultiple(of: 32) ? ([.q4_0, .iq4_NL, .q5_0, .q5_1, .q8_0], .q4_0) : ([.f16], .f16)
    }
}

/// A copy of a model file in which single tensors are replaced for a while. Gone with this object.
private final class ScratchCopy {
    let file: GGUFFile
    private let handle: FileHandle
    private let path: String

    init(of source: GGUFFile, at path: String) throws {
        let split = ["split.no", "split.count", "split.tensors.count"]
        var writer = GGUFWriter(
            metadata: source.metadata.keys.filter { !split.contains($0) }
                .compactMap { key in source.metadata[key].map { (key, $0) } })
        for tensor in source.tensors {
            try writer.add(tensor: tensor.name, dimensions: tensor.dimensions, type: tensor.type) { sink in
                try sink(tensor.bytes)
            }
        }
        try writer.write(to: path)
        self.path = path
        do {
            file = try GGUFFile(path: path)
            handle = try FileHandle(forUpdating: URL(filePath: path))
        } catch {
            unlink(path)
            throw error
        }
    }

    deinit { unlink(path) }

    /// Every model is loaded anew from the mapping, through which what is written here shows.
    func replace(_ tensor: GGUFTensor, with produce: (GGUFWriter.Sink) throws -> Void) throws {
        guard let place = file.tensor(tensor.name) else { return }
        try handle.seek(toOffset: UInt64(place.fileOffset))
        try produce { try handle.write(contentsOf: Data($0)) }
    }

    func restore(_ tensor: GGUFTensor) throws { try replace(tensor) { try $0(tensor.bytes) } }
}
