import Engine
import Foundation
import GGUF
import InferKit
import TestSupport
import Testing
import Tokenization

/// The model of this repository against what the reference implementation (transformers, float32, on the weights of the
/// same file) was measured to do; `models/heldout.json` states the procedures.
@Suite struct ShippedModelTests {
    private struct HeldOut: Decodable {
        let text: String
        let tokens: Int
        let window: Int
        let windows: Int
        let perplexity: Double
        let predicted_tokens: Int
    }

    private struct Reference: Decodable {
        struct Generation: Decodable {
            let ids: [Int32]
            let top_ids: [Int]
            let top_logits: [Float]
        }
        struct Tokens: Decodable {
            let text: String
            let parse_special: Bool
            let ids: [Int32]
        }
        let generation: [Generation]
        let tokenization: [Tokens]
    }

    private struct Sum: Decodable {
        let prompt: String
        let answer: String
    }

    private static let folder = RepositoryFiles.root.appending(path: "models")

    private static func decode<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(contentsOf: folder.appending(path: name)))
    }

    private static func tokenizer() throws -> Tokenizer {
        try Tokenizer(GGUFFile(path: RepositoryFiles.model).metadata)
    }

    @Test func perplexityOfHeldOutTextIsTheReference() throws {
        let held = try Self.decode(HeldOut.self, "heldout.json")
        let text = try String(contentsOf: Self.folder.appending(path: held.text), encoding: .utf8)
        let ids = try Self.tokenizer().encode(text, addSpecial: false, parseSpecial: false)
        #expect(ids.count == held.tokens)

        let generator = try Model.load(path: RepositoryFiles.model).makeGenerator(contextLength: held.window)
        var sum = 0.0
        var predicted = 0
        for window in 0..<held.windows {
            let tokens = Array(ids[(window * held.window)..<((window + 1) * held.window)])
            try generator.evaluate(tokens) { position, logits in
                guard position + 1 < tokens.count else { return }
                sum += Self.negativeLogLikelihood(of: Int(tokens[position + 1]), logits)
                predicted += 1
            }
        }
        #expect(predicted == held.predicted_tokens)
        let perplexity = exp(sum / Double(predicted))
        #expect(abs(perplexity / held.perplexity - 1) < 0.005, "found \(perplexity), expected \(held.perplexity)")
    }

    private static func negativeLogLikelihood(of token: Int, _ logits: UnsafeMutableBufferPointer<Float>) -> Double {
        let most = Double(logits.max() ?? 0)
        let total = logits.reduce(0.0) { $0 + exp(Double($1) - most) }
        return log(total) + most - Double(logits[token])
    }

    @Test func likeliestTokensAreTheReference() throws {
        let generator = try Model.load(path: RepositoryFiles.model).makeGenerator()
        for expected in try Self.decode(Reference.self, "reference.json").generation {
            try generator.sync(expected.ids)
            // Quantized activations move a logit by a few tenths; a clear favourite stays the favourite.
            guard expected.top_logits[0] - expected.top_logits[1] > 1 else { continue }
            let best = generator.logits.indices.max { generator.logits[$0] < generator.logits[$1] }
            #expect(best == expected.top_ids[0])
        }
    }

    @Test func tokensAreTheReference() throws {
        let tokenizer = try Self.tokenizer()
        for expected in try Self.decode(Reference.self, "reference.json").tokenization {
            let ids = tokenizer.encode(expected.text, addSpecial: false, parseSpecial: expected.parse_special)
            #expect(ids == expected.ids, "\(expected.text)")
        }
    }

    @Test func smallSumsComeOutRight() async throws {
        let lines = try String(contentsOf: Self.folder.appending(path: "heldout-sums.jsonl"), encoding: .utf8)
        let sums = try lines.split(separator: "\n").map { try JSONDecoder().decode(Sum.self, from: Data($0.utf8)) }
        let model = try GGUFLanguageModel(path: RepositoryFiles.model)
        let options = GenerationOptions(sampling: .greedy, maximumResponseTokens: 24)
        var right = 0
        for sum in sums {
            // A fresh session each: an answer must not lean on the ones before it.
            let answer = try await LanguageModelSession(model: model).respond(to: sum.prompt, options: options).content
            let result = sum.answer.split(separator: " ").last ?? ""
            if answer.split(separator: " ").last == result { right += 1 }
        }
        #expect(sums.count >= 200)
        #expect(Double(right) >= 0.9 * Double(sums.count), "\(right) of \(sums.count) right")
    }
}
