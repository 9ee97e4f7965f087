import Engine
import Foundation
import GGUF
import TestSupport
import Testing

@testable import ModelTools

/// Models of every family as `transformers` saves them, with its logits. They are made by
/// `scripts/fixtures/convert_models.py make FOLDER`; the environment variable `INFER_TOYS` names that folder.
@Suite struct ConvertFamiliesTests {
    static let folder = ProcessInfo.processInfo.environment["INFER_TOYS"].flatMap { $0.isEmpty ? nil : $0 }

    static var families: [String] {
        guard let folder else { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { FileManager.default.fileExists(atPath: "\(folder)/\($0)/logits.bin") }.sorted()
    }

    /// Floats as `transformers` computes them, within 2e-3.
    @Test(.enabled(if: folder != nil), arguments: families)
    func logits(family: String) throws {
        let path = "\(Self.folder ?? "")/\(family)"
        let directory = try TemporaryDirectory()
        let target = directory.path("model.gguf")
        let plan = try ConvertPlan(folder: path, mixture: QuantMixture(name: "F32"))
        try Converter(plan, threads: 1).write(to: target) { _, _ in true }
        try expandBlocks(target)
        let tokens = try JSONDecoder().decode(
            [Int32].self, from: Data(contentsOf: URL(filePath: "\(path)/tokens.json")))
        let reference = try Data(contentsOf: URL(filePath: "\(path)/logits.bin")).withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))
            }
        }
        let model = try Model.load(
            path: target,
            options: EngineOptions(threads: 1, contextLength: tokens.count, keyCache: .f32, valueCache: .f32))
        guard !model.architecture.isEncoder else { return }
        let generator = try model.makeGenerator()
        var worst: Float = 0
        for position in tokens.indices {
            try generator.sync(Array(tokens[...position]))
            let row = reference[
                position * reference.count / tokens.count..<(position + 1) * reference.count / tokens.count]
            for (found, expected) in zip(generator.logits, row) { worst = max(worst, abs(found - expected)) }
        }
        #expect(worst <= 2e-3)
    }

    /// Four-bit experts as floats: the engine rounds activations for four-bit weights, the reference does not.
    private func expandBlocks(_ path: String) throws {
        let file = try GGUFFile(path: path)
        guard file.tensors.contains(where: { $0.type == .mxfp4 }) else { return }
        var copy = ToyFile()
        copy.metadata = file.metadata.keys.compactMap { key in file.metadata[key].map { (key, $0) } }
        for tensor in file.tensors {
            if tensor.type == .mxfp4 {
                copy.floats(tensor.name, tensor.dimensions, file.floats(tensor.name))
            } else {
                copy.tensor(tensor.name, tensor.dimensions, tensor.type, Array(tensor.bytes))
            }
        }
        try copy.writer().write(to: path)
    }
}
