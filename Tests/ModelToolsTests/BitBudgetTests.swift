import Engine
import Foundation
import GGUF
import TestSupport
import Testing
import Tokenization

@testable import ModelTools

@Suite struct BitBudgetTests {
    private func candidate(_ name: String, _ choices: [(GGUFTensorType, Int, Double)]) -> BitBudget.Candidate {
        .init(tensor: name, choices: choices.map { .init(type: $0.0, bytes: $0.1, cost: $0.2) })
    }

    /// b is four times as sensitive as a, c does not matter.
    private var candidates: [BitBudget.Candidate] {
        [
            candidate("a", [(.q8_0, 80, 0.001), (.q4_0, 40, 0.1), (.q5_0, 50, 0.02)]),
            candidate("b", [(.q4_0, 40, 0.4), (.q5_0, 50, 0.08), (.q8_0, 80, 0.004)]),
            candidate("c", [(.q4_0, 40, 0), (.q8_0, 80, 0)]),
        ]
    }

    @Test(
        arguments: [
            (119, nil), (120, [.q4_0, .q4_0]), (130, [.q4_0, .q5_0]), (140, [.q5_0, .q5_0]), (170, [.q5_0, .q8_0]),
            (1000, [.q8_0, .q8_0]),
        ] as [(Int, [GGUFTensorType]?)])
    func mostForTheBytes(limit: Int, expected: [GGUFTensorType]?) throws {
        let budget = BitBudget(candidates, limit: limit)
        guard let expected else { return #expect(budget == nil) }
        let found = try #require(budget)
        #expect([found.types["a"], found.types["b"]] == expected)
        #expect(found.types["c"] == .q4_0)
        #expect(found.bytes <= limit)
    }

    /// More bytes never cost more, and no single exchange of two choices does better.
    @Test func neverWorseWithMore() throws {
        var random = SeededRandom(seed: 9)
        let types: [GGUFTensorType] = [.q2_K, .q3_K, .q4_K, .q5_K, .q6_K]
        let candidates = (0..<20).map { index in
            let weight = Double.random(in: 0.1..<10, using: &random)
            return candidate(
                "\(index)", types.enumerated().map { ($1, 100 + 30 * $0, weight * pow(0.25, Double($0))) })
        }
        var last = Double.infinity
        for limit in stride(from: 2000, through: 4600, by: 60) {
            let budget = try #require(BitBudget(candidates, limit: limit))
            #expect(budget.cost <= last && budget.bytes <= limit)
            last = budget.cost
        }
        #expect(BitBudget(candidates, limit: 4400)?.types.values.allSatisfy { $0 == .q6_K } == true)
    }

    /// What a mixture of two others beats does not come into question.
    @Test func hull() {
        let choices: [BitBudget.Choice] = [
            .init(type: .q4_0, bytes: 40, cost: 1), .init(type: .q4_1, bytes: 45, cost: 0.9),
            .init(type: .q5_0, bytes: 50, cost: 0.2), .init(type: .q5_1, bytes: 55, cost: 0.3),
            .init(type: .iq4_NL, bytes: 40, cost: 1.2), .init(type: .q8_0, bytes: 80, cost: 0),
        ]
        #expect(BitBudget.hull(choices).map(\.type) == [.q4_0, .q5_0, .q8_0])
    }

    /// A file of the size that was asked for, better than one format for all at that size.
    @Test func toyModel() throws {
        let file = try ToyModel.qwen35moe.file()
        let story = String(repeating: "Once upon a time a small fox said hello world. ", count: 8)
        let text = try CalibrationText(story, try Tokenizer(file.metadata), pieceLength: 64, limit: 1)
        let collector = ImportanceCollector(file)
        try CalibrationRun(file, text: text, threads: 2).run(collector)
        let importance = try ImportanceMatrix(collector)
        let directory = try TemporaryDirectory()
        let candidates = try Sensitivity(file, text: text, importance: importance, threads: 2)
            .measure(scratchPath: directory.path("probe")) { _, _ in true }
        #expect(try directory.contents().isEmpty, "the copy is gone")
        #expect(candidates.count == file.tensors.count { QuantizePlan.isQuantizable($0) })
        #expect(candidates.allSatisfy { $0.choices.allSatisfy { $0.cost.isFinite && $0.cost >= 0 } })

        let mixture = try QuantizePlan(file, mixture: try #require(QuantMixture(name: "Q4_0")))
        let budget = try QuantizePlan(file, bitsPerWeight: mixture.bitsPerWeight, candidates)
        #expect(budget.bitsPerWeight <= mixture.bitsPerWeight)
        let meter = try DivergenceMeter(file, text: text, tokens: 64, threads: 2)
        func divergence(_ plan: QuantizePlan, _ name: String) throws -> Double {
            try Quantizer(file, plan: plan, importance: importance, threads: 2)
                .write(to: directory.path(name)) { _, _ in true }
            return try meter.divergence(of: try GGUFFile(path: directory.path(name)))
        }
        #expect(try divergence(budget, "budget.gguf") < divergence(mixture, "mixture.gguf"))
        #expect(try meter.divergence(of: file) < 1e-5)
        #expect {
            try QuantizePlan(file, bitsPerWeight: 1, candidates)
        } throws: { error in
            guard case QuantizeError.budget(1, let least) = error else { return false }
            return least > 2 && least <= mixture.bitsPerWeight + 0.01
        }
    }
}
