import GGUF
import TestSupport
import Testing

@testable import Engine

/// The factor of an NVFP4 matrix, `name.scale` beside `name.weight`. A power of two can go into the scales of the blocks
/// as well, without a difference of a single bit.
@Suite struct WeightFactorTests {
    /// Half of what the blocks say: one less in the exponent of every scale.
    private func halved(_ blocks: [UInt8]) -> [UInt8] {
        blocks.enumerated().map { $0 % 36 < 4 ? $1 - 8 : $1 }
    }

    private func logits(_ file: ToyFile, _ tokens: [Int32]) throws -> [[Float]] {
        try Model.load(try file.file(), options: EngineOptions(threads: 2, contextLength: 64)).allLogits(tokens)
    }

    /// Whether each expert has a factor or all share one, and where nothing but the factor's name tells it from others.
    @Test(arguments: ["llama with biases, tied", "llama with experts", "qwen35moe", "gemma4"], [false, true])
    func factorsAreAppliedOnce(name: String, each: Bool) throws {
        let toy = try FamilyToy.named(name)
        let format = try #require(QuantFormat.find(.nvfp4))
        let original = toy.toyFile(format: format)
        let (tokens, ownsScale) = (toy.tokens(9), name == "gemma4")
        for part in ["token_embd", "attn_output", "ffn_down", "ffn_gate_exps", "ffn_down_exps"] {
            if ownsScale, part == "ffn_down_exps" { continue }
            var (factored, expected) = (original, original)
            var changes = 0
            for tensor in original.tensors where tensor.name.hasSuffix("\(part).weight") && tensor.type == .nvfp4 {
                let experts = tensor.dimensions.dropFirst(2).reduce(1, *)
                let count = each ? experts : 1
                let base = tensor.name.dropLast("weight".count)
                factored.floats("\(base)scale", [count], [Float](repeating: 0.5, count: count))
                factored.floats("\(base)input_scale", [1], [7])
                expected.tensor(tensor.name, tensor.dimensions, .nvfp4, halved(tensor.data))
                changes += 1
            }
            guard changes > 0 else { continue }
            let found = try logits(factored, tokens)
            #expect(sameBits(found, try logits(expected, tokens)), "\(part)")
            #expect(!sameBits(found, try logits(original, tokens)), "\(part)")
        }
    }

    /// Gemma 4 has numbers of that name of its own; with NVFP4 weights they are the same thing.
    @Test func anExpertsOwnScaleIsItsFactor() throws {
        let toy = try FamilyToy.named("gemma4")
        let format = try #require(QuantFormat.find(.nvfp4))
        var plain = toy.toyFile(format: format)
        var scaled = plain
        for tensor in plain.tensors where tensor.name.hasSuffix("ffn_down_exps.scale") {
            plain.floats(tensor.name, tensor.dimensions, [Float](repeating: 1, count: 4))
            scaled.floats(tensor.name, tensor.dimensions, [Float](repeating: 0.5, count: 4))
        }
        for tensor in plain.tensors where tensor.name.hasSuffix("ffn_down_exps.weight") {
            plain.tensor(tensor.name, tensor.dimensions, .nvfp4, halved(tensor.data))
        }
        let tokens = toy.tokens(9)
        #expect(sameBits(try logits(plain, tokens), try logits(scaled, tokens)))
    }

    /// Other formats have no factors: what nobody asks for is refused, as everywhere.
    @Test func otherFormatsHaveNone() throws {
        let format = try #require(QuantFormat.find(.q4_0))
        var file = FamilyToy.all[0].toyFile(format: format)
        file.floats("blk.0.attn_q.scale", [1], [0.5])
        let opened = try file.file()
        #expect(throws: EngineError.unexpectedTensors(names: ["blk.0.attn_q.scale"])) { try Model.load(opened) }
    }
}
