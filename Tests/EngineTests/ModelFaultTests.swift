import GGUF
import TestSupport
import Testing

@testable import Engine

/// All that is wrong with a file, not only the first thing.
@Suite struct ModelFaultTests {
    private static let format = QuantFormat.find(.q4_0)

    @Test(arguments: FamilyToy.all)
    func aSoundModelHasNone(_ toy: FamilyToy) throws {
        #expect(Model.faults(of: try toy.file(format: try #require(Self.format))) == [])
    }

    /// Whatever stops a load is in the list, and the list goes on behind it.
    @Test(arguments: FamilyToy.all)
    func whatStopsALoadIsListed(_ toy: FamilyToy) throws {
        var file = toy.toyFile(format: try #require(Self.format))
        for tensor in toy.tensors where tensor.name.hasPrefix("blk.0.") { file.remove(tensor.name) }
        file.remove("output_norm.weight")
        let opened = try file.file()
        let thrown = try #require(throws: EngineError.self) { try Model.load(opened) }
        let faults = Model.faults(of: opened)
        #expect(faults.contains(thrown), "\(thrown): \(faults)")
        #expect(faults.count > 2, "\(faults)")
    }

    @Test func severalAtOnce() throws {
        var file = FamilyToy.every[0].toyFile(format: try #require(Self.format))
        file["llama.logit_scale"] = .float32(0.5)
        file.remove("blk.0.attn_norm.weight")
        file.remove("blk.1.ffn_up.weight")
        file.random("blk.0.ffn_down.weight", [64, 64])
        let type = try #require(GGUFTensorType(name: "Q8_1"))
        let bytes = type.byteCount(of: 256 * 256) ?? 0
        file.tensor("blk.0.attn_q.weight", [256, 256], type, [UInt8](repeating: 0, count: bytes))
        file.random("extra.weight", [8])
        let faults = Model.faults(of: try file.file())
        let expected: [EngineError] = [
            .missingTensor(name: "blk.0.attn_norm.weight", expected: [256]),
            .unsupportedTensorType(tensor: "blk.0.attn_q.weight", type: "Q8_1"),
            .tensorShape(name: "blk.0.ffn_down.weight", expected: [256, 256], found: [64, 64]),
            .missingTensor(name: "blk.1.ffn_up.weight", expected: [256, 256]),
            .hyperparameter(
                key: "llama.logit_scale", found: "0.5", expected: "no such setting for architecture 'llama'"),
            .unexpectedTensors(names: ["extra.weight"]),
        ]
        #expect(faults.map { "\($0)" }.sorted() == expected.map { "\($0)" }.sorted())
    }

    /// A file of a few bytes cannot make the check take memory for tensors it only speaks of.
    @Test func shapesThatTheFileCannotHold() throws {
        var file = FamilyToy.every[0].toyFile(format: try #require(Self.format))
        file["llama.feed_forward_length"] = .uint32(1 << 20)
        let faults = Model.faults(of: try file.file())
        #expect(faults.count == 1)
        guard case .tensorShape(let name, let expected, _)? = faults.first else {
            Issue.record("\(faults)")
            return
        }
        #expect(name.hasPrefix("blk.0.ffn_") && expected.contains(1 << 20))
    }

    @Test func otherFiles() throws {
        #expect(
            Model.faults(of: try ToyFile(architecture: "gpt-17").file())
                == [.unsupportedArchitecture(name: "gpt-17", known: Registry.names)])
        #expect(Model.faults(of: try ToyFile(architecture: "llama").file()) == [.vocabularyOnly(architecture: "llama")])
    }
}
