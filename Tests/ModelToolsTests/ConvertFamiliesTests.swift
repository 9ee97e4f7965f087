import Engine
import Foundation
import GGUF
import TestSupport
import Testing
import Tokenization

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

    private struct Text: Decodable {
        let text: String
        let ids: [Int32]
    }

    private static func read<Value: Decodable>(_ name: String, of family: String) throws -> Value {
        let url = URL(filePath: "\(folder ?? "")/\(family)/\(name)")
        return try JSONDecoder().decode(Value.self, from: Data(contentsOf: url))
    }

    /// Logits, or hidden states, as `transformers` computes them with floats, within 2e-3; token ids as its tokenizer
    /// gives them.
    @Test(.enabled(if: folder != nil), arguments: families)
    func convertedModel(family: String) throws {
        let path = "\(Self.folder ?? "")/\(family)"
        let directory = try TemporaryDirectory()
        let target = directory.path("model.gguf")
        let plan = try ConvertPlan(folder: path, mixture: QuantMixture(name: "F32"))
        try Converter(plan, threads: 1).write(to: target) { _, _ in true }

        let tokenizer = try Tokenizer(try GGUFFile(path: target).metadata)
        let texts: [Text] = try Self.read("texts.json", of: family)
        for text in texts {
            #expect(tokenizer.encode(text.text, addSpecial: false, parseSpecial: true) == text.ids, "\(text.text)")
        }

        try expandBlocks(target)
        let tokens: [Int32] = try Self.read("tokens.json", of: family)
        let bytes = try Data(contentsOf: URL(filePath: "\(path)/logits.bin"))
        let reference = bytes.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        let model = try Model.load(
            path: target,
            options: EngineOptions(threads: 1, contextLength: tokens.count, keyCache: .f32, valueCache: .f32))
        var rows: [[Float]] = []
        if model.architecture.isEncoder {
            rows = try Embedder(model).hiddenStates(tokens)
        } else {
            let generator = try model.makeGenerator()
            for position in tokens.indices {
                try generator.sync(Array(tokens[...position]))
                rows.append(Array(generator.logits))
            }
        }
        let width = reference.count / tokens.count
        var worst: Float = 0
        for (position, row) in rows.enumerated() {
            for (found, expected) in zip(row, reference[position * width..<(position + 1) * width]) {
                worst = max(worst, abs(found - expected))
            }
        }
        #expect(rows.count == tokens.count)
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
