import Engine
import Foundation
import GGUF
import TestSupport
import Testing
import Tokenization

@testable import ModelTools

@Suite struct CalibrateTests {
    private let story = String(
        repeating: "Once upon a time there was a small fox. One day it said hello world to a boat by the river. ",
        count: 4)

    private func text(_ file: GGUFFile, _ text: String? = nil, pieceLength: Int = 64) throws -> CalibrationText {
        try CalibrationText(text ?? story, try Tokenizer(file.metadata), pieceLength: pieceLength)
    }

    @Test func piecesHoldTheText() throws {
        let file = try ToyModel.qwen35moe.file()
        let tokenizer = try Tokenizer(file.metadata)
        let text = try text(file)
        #expect(text.pieces.count > 2 && text.pieces.dropLast().allSatisfy { $0.count == 64 })
        let beginning = tokenizer.addBOS ? 1 : 0
        let tokens = text.pieces.flatMap { $0.dropFirst(beginning) }
        #expect(tokens == Array(tokenizer.encode(story, addSpecial: false, parseSpecial: false).prefix(tokens.count)))
        #expect(try CalibrationText(story, tokenizer, pieceLength: 64, limit: 2).pieces == Array(text.pieces.prefix(2)))
    }

    @Test(arguments: ["", "  \n", "too short"])
    func shortTextsAreRefused(short: String) throws {
        let file = try ToyModel.qwen35moe.file()
        #expect {
            try text(file, short)
        } throws: { error in
            guard case CalibrationError.tooShort(_, 32) = error else { return false }
            return true
        }
    }

    /// What is written can be read again, and is what a plain sum over the rows gives.
    @Test func importanceMatrix() throws {
        let file = try ToyModel.qwen35moe.file()
        let text = try text(file)
        let collector = ImportanceCollector(file)
        try CalibrationRun(file, text: text, threads: 2).run(collector)
        let directory = try TemporaryDirectory()
        let path = directory.path("imatrix.gguf")
        try collector.write(to: path, dataset: "fox.txt", text)

        let written = try GGUFFile(path: path)
        #expect(written.metadata["general.type"]?.stringValue == "imatrix")
        #expect(written.metadata["imatrix.chunk_count"]?.int == text.pieces.count)
        #expect(written.metadata["imatrix.chunk_size"]?.int == 64)
        let matrix = try ImportanceMatrix(path: path)
        for tensor in file.tensors where QuantizePlan.isQuantizable(tensor) {
            // The embedding table is only looked up, prediction layers are not run.
            guard let sums = written.tensor(tensor.name + ".in_sum2") else { continue }
            let experts = tensor.dimensions.dropFirst(2).first ?? 1
            #expect(sums.dimensions == [tensor.dimensions[0], experts])
            let weights = try matrix.weights(for: tensor.name, columns: tensor.dimensions[0], experts: experts)
            #expect(try #require(weights).allSatisfy { $0.isFinite && $0 >= 0 })
        }
        let stack = try #require(file.tensor("blk.0.ffn_up_exps.weight"))
        let counts = try #require(written.tensor(stack.name + ".counts")).floats
        let used = try #require(file.metadata["qwen35moe.expert_used_count"]?.int)
        #expect(counts.reduce(0, +) == Float(text.tokenCount * used))
        let plain = try #require(file.tensor("blk.1.ffn_down_shexp.weight"))
        #expect(try #require(written.tensor(plain.name + ".counts")).floats == [Float(text.tokenCount)])
    }

    /// With compensation the file is of the same kind, and its logits are nearer to the source's.
    @Test func compensatedFile() throws {
        let file = try ToyModel.qwen35moe.file()
        let directory = try TemporaryDirectory()
        let mixture = try #require(QuantMixture(name: "Q4_0"))
        // No product, so nothing to learn: its own error would hide the others'.
        var exceptions = QuantizePlan.Exceptions()
        exceptions.embedding = .f32
        let plan = try QuantizePlan(file, mixture: mixture, exceptions: exceptions)
        let text = try text(file)
        let (plain, gptq) = (directory.path("plain.gguf"), directory.path("gptq.gguf"))
        try Quantizer(file, plan: plan, threads: 2).write(to: plain) { _, _ in true }
        // Little memory: the text is read several times.
        let compensator = try ErrorCompensator(file, text: text, threads: 2, memory: 100_000)
        try Quantizer(file, plan: plan, compensator: compensator, threads: 2).write(to: gptq) { _, _ in true }
        #expect(compensator.compensated > 10)
        let before = try GGUFFile(path: plain).tensors.map { "\($0.name) \($0.type)" }
        #expect(try GGUFFile(path: gptq).tensors.map { "\($0.name) \($0.type)" } == before)

        let tokens = Array(text.pieces[0])
        let reference = try logits(file, tokens)
        let (rounded, compensated) = (
            distance(try logits(try GGUFFile(path: plain), tokens), reference),
            distance(try logits(try GGUFFile(path: gptq), tokens), reference)
        )
        #expect(compensated < 0.9 * rounded, "\(compensated) against \(rounded)")
    }

    @Test func aTextThatEndsEarlyLeavesNothing() throws {
        let file = try ToyModel.qwen35moe.file()
        let directory = try TemporaryDirectory()
        let compensator = try ErrorCompensator(file, text: try text(file), threads: 2) { _, _ in false }
        let plan = try QuantizePlan(file, mixture: try #require(QuantMixture(name: "Q4_0")))
        #expect(throws: CalibrationError.cancelled) {
            try Quantizer(file, plan: plan, compensator: compensator, threads: 2)
                .write(to: directory.path("out.gguf")) { _, _ in true }
        }
        #expect(!FileManager.default.fileExists(atPath: directory.path("out.gguf")))
    }

    private func logits(_ file: GGUFFile, _ tokens: [Int32]) throws -> [Float] {
        let generator = try Model.load(file, options: EngineOptions(threads: 2, contextLength: 64)).makeGenerator()
        var all: [Float] = []
        try generator.evaluate(tokens) { _, logits in all += logits }
        return all
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Float {
        zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
}
