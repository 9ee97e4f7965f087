import Foundation
import GGUF
import Synchronization
import Testing

@testable import Engine

/// Copies everything it is shown.
private final class Recorder: ComputeObserver {
    struct Seen {
        /// Tensor name → matrix of the stack → rows.
        var rows: [String: [Int: [[Float]]]] = [:]
        var weights: [String: Weight] = [:]
        /// Layer → token → (expert, weight).
        var routes: [Int: [[(expert: Int, weight: Float)]]] = [:]
    }
    let seen = Mutex(Seen())

    func multiply(_ weights: [Weight], member: Int, _ rows: ObservedRows) {
        let copies = (0..<rows.count).map { [Float](UnsafeBufferPointer(start: rows[$0], count: rows.cols)) }
        seen.withLock {
            for weight in weights {
                $0.weights[weight.name] = weight
                $0.rows[weight.name, default: [:]][member, default: []] += copies
            }
        }
    }

    func route(_ router: Weight, _ routing: Routing) {
        let tokens = (0..<routing.tokens).map { token in
            (token * routing.topK..<(token + 1) * routing.topK).map {
                (expert: Int(routing.ids[$0]), weight: routing.weights[$0])
            }
        }
        seen.withLock { $0.routes[router.layer ?? -1, default: []] += tokens }
    }
}

@Suite struct ComputeObserverTests {
    @Test(arguments: FamilyToy.all)
    func resultsStayAndEveryMatrixIsSeen(_ toy: FamilyToy) throws {
        let file = try toy.file(format: try #require(QuantFormat.find(.q4_K)))
        let tokens = toy.tokens(24)
        var options = EngineOptions(threads: 2, contextLength: 64, batchSize: 16)
        let plain = try Model.load(file, options: options).allLogits(tokens)
        let recorder = Recorder()
        options.observer = recorder
        let model = try Model.load(file, options: options)
        #expect(sameBits(try model.allLogits(tokens), plain))

        let seen = recorder.seen.withLock { $0 }
        let main = "blk.\(model.architecture.shape.layers)."  // prediction layers are not run
        for tensor in toy.tensors where tensor.kind == .matrix && !tensor.name.hasPrefix(main) {
            if tensor.name == "token_embd.weight" && !toy.tied { continue }
            // Rows are looked up in it, as in the embedding.
            if tensor.name == "per_layer_token_embd.weight" { continue }
            // Two matrices of another shape are made from it.
            if tensor.name.hasSuffix("attn_kv_b.weight") { continue }
            let rows = try #require(seen.rows[tensor.name], "\(tensor.name) was not seen")
            let weight = try #require(seen.weights[tensor.name])
            #expect(rows.values.allSatisfy { $0.allSatisfy { $0.count == weight.cols } })
            #expect(rows.keys.allSatisfy { (0..<weight.experts).contains($0) })
            if weight.experts == 1 { #expect(rows[0]?.count == tokens.count, "\(tensor.name)") }
        }
    }

    /// Every row that an expert meets is the layer's input of a token that chose it, and what the last projection
    /// meets is made from it.
    @Test(arguments: ["llama with experts", "qwen3moe, fused"], [512, 7])
    func experts(_ name: String, _ batchSize: Int) throws {
        let toy = try FamilyToy.named(name)
        let file = try toy.file(format: try #require(QuantFormat.find(.f32)))
        defer { withExtendedLifetime(file) {} }  // weights lie in it
        let recorder = Recorder()
        var options = EngineOptions(threads: 2, contextLength: 64, batchSize: batchSize)
        options.observer = recorder
        _ = try Model.load(file, options: options).allLogits(toy.tokens(24))
        let seen = recorder.seen.withLock { $0 }
        #expect(seen.routes.keys.sorted() == [0, 1])
        for layer in 0..<2 {
            let routes = try #require(seen.routes[layer])
            #expect(routes.count == 24 && routes.allSatisfy { $0.count == 2 && $0[0].expert != $0[1].expert })
            let inputs = try #require(seen.rows["blk.\(layer).ffn_gate_inp.weight"]?[0])
            let up = toy.fused ? "ffn_gate_up_exps" : "ffn_up_exps"
            let stack = try #require(seen.rows["blk.\(layer).\(up).weight"])
            let down = try #require(seen.rows["blk.\(layer).ffn_down_exps.weight"])
            if !toy.fused { #expect(stack == seen.rows["blk.\(layer).ffn_gate_exps.weight"]) }
            #expect(Set(stack.keys) == Set(routes.joined().map(\.expert)))
            for (expert, rows) in stack {
                let chosen = routes.indices.filter { token in routes[token].contains { $0.expert == expert } }
                #expect(rows == chosen.map { inputs[$0] })
                #expect(down[expert]?.count == rows.count)
            }
            guard !toy.fused else { continue }
            let (expert, rows) = try #require(stack.first)
            let gate = try product(seen, "blk.\(layer).ffn_gate_exps.weight", expert, rows[0])
            let value = try product(seen, "blk.\(layer).ffn_up_exps.weight", expert, rows[0])
            let hidden = try #require(down[expert]?[0])
            for index in hidden.indices {
                let expected = gate[index] / (1 + exp(-gate[index])) * value[index]
                #expect(abs(Double(hidden[index]) - expected) < 1e-4 * max(1, abs(expected)))
            }
        }
    }

    /// One expert's matrix times a row, in double precision.
    private func product(_ seen: Recorder.Seen, _ name: String, _ expert: Int, _ x: [Float]) throws -> [Double] {
        let weight = try #require(seen.weights[name]).expert(expert)
        return (0..<weight.rows).map { row in
            let values = weight.row(row).assumingMemoryBound(to: Float.self)
            return x.indices.reduce(0) { $0 + Double(values[$1]) * Double(x[$1]) }
        }
    }
}
