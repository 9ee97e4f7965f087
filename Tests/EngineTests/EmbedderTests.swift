import CKernels
import Foundation
import GGUF
import TestSupport
import Testing

@testable import Engine

/// Hidden states, pooling and length of text vectors.
@Suite struct EmbedderTests {
    /// Hidden states of every encoder and embedder that the registry knows, and the vectors they become.
    @Test(.enabled(if: SharedData.goldens != nil, "INFER_GOLDENS names the golden models"))
    func goldenHiddenStates() throws {
        struct Meta: Decodable {
            struct Prompt: Decodable {
                let tokens: [Int32]
                let hiddenFile: String
                let pooledFile: String?
                let positions: [Int]
            }
            let ggufArchitecture: String
            let hiddenColumns: Int?
            let prompts: [Prompt]
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let roots = [SharedData.goldens, SharedData.furtherGoldens].compactMap { $0 }
        let folders = roots.flatMap { root in SharedData.goldenNames(in: root).map { root.appending(path: $0) } }
        var count = 0
        for folder in folders {
            guard let data = try? Data(contentsOf: folder.appending(path: "meta.json")),
                let meta = try? decoder.decode(Meta.self, from: data), Registry.names.contains(meta.ggufArchitecture),
                let model = try? Model.load(
                    path: folder.appending(path: "model-f32.gguf").path, options: .goldenEncoder),
                model.architecture.isEncoder
            else { continue }
            count += 1
            let embedder = try Embedder(model)
            var largest: Float = 0
            func compare(_ found: [Float], _ expected: [Float]) {
                for (a, b) in zip(found, expected) { largest = max(largest, (a - b).isNaN ? 1 : abs(a - b)) }
            }
            for prompt in meta.prompts {
                let states = try embedder.hiddenStates(prompt.tokens)
                let reference = try GoldenFolder.rows(
                    folder.appending(path: prompt.hiddenFile), columns: meta.hiddenColumns ?? 64)
                for (expected, position) in zip(reference, prompt.positions) { compare(states[position], expected) }
                guard let file = prompt.pooledFile else { continue }
                let vector = try embedder.embed(prompt.tokens, normalize: false)
                let pooled = try GoldenFolder.rows(folder.appending(path: file), columns: embedder.dimension)
                #expect(pooled.count == 1)
                compare(vector, pooled[0])
            }
            #expect(largest <= 2e-3, "\(folder.lastPathComponent)")
            print("golden \(folder.lastPathComponent): max abs diff \(largest)")
        }
        #expect(count > 0)
    }

    /// Every way to pool against sums by hand, and a length of 1.
    @Test func pooling() throws {
        let model = try Model.load(try Self.bert().file(), options: EngineOptions(threads: 2))
        let tokens: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6]
        let states = try Embedder(model).hiddenStates(tokens)
        func vector(_ pooling: Embedder.Pooling?, normalize: Bool = false) throws -> [Float] {
            try Embedder(model, pooling: pooling).embed(tokens, normalize: normalize)
        }
        #expect(try vector(.cls) == states[0] && vector(.last) == states[7])
        let mean = (0..<32).map { index in Float(states.reduce(0.0) { $0 + Double($1[index]) } / 8) }
        #expect(try vector(.mean) == mean && vector(nil) == mean)
        let unit = try vector(.mean, normalize: true)
        #expect(abs(unit.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
        #expect(abs(unit[3] / mean[3] - unit[5] / mean[5]) < 1e-4)
    }

    /// `pooling_type` decides, and what it cannot mean is refused.
    @Test func statedPooling() throws {
        for (value, expected) in [(0, Embedder.Pooling.mean), (1, .mean), (2, .cls), (3, .last)] {
            var file = try Self.bert()
            file["bert.pooling_type"] = .uint32(UInt32(value))
            #expect(try Embedder(Model.load(file.file())).pooling == expected)
        }
        var file = try Self.bert()
        file["bert.pooling_type"] = .uint32(4)
        let error = try #require(throws: EngineError.self) { try Embedder(Model.load(file.file())) }
        #expect(error.description.contains("bert.pooling_type"))
        let decoder = try Model.load(FamilyToy.every[0].file(format: try #require(QuantFormat.find(.q8_0))))
        #expect(try Embedder(decoder).pooling == .last)
    }

    /// The same bits for any number of threads and any instruction set; later tokens change earlier states.
    @Test func bits() throws {
        let file = try Self.bert().file()
        let tokens = (0..<100).map { Int32($0 * 7 % 40) }
        var reference: [[Float]] = []
        try onEachInstructionSet { isa, index in
            for threads in [1, 3] {
                let model = try Model.load(file, options: EngineOptions(threads: threads, batchSize: 16 + index))
                let states = try Embedder(model).hiddenStates(tokens)
                if reference.isEmpty { reference = states }
                #expect(sameBits(states, reference), "\(isa), \(threads) threads")
            }
        }
        let model = try Model.load(file)
        let shorter = try Embedder(model).hiddenStates([Int32](tokens.prefix(99)))
        #expect(!sameBits([shorter[0]], [reference[0]]))
    }

    /// A decoder's vector does not depend on the batches.
    @Test func decoder() throws {
        let toy = FamilyToy.every[0]
        let file = try toy.file(format: try #require(QuantFormat.find(.q8_0)))
        let tokens = toy.tokens(50)
        var reference: [[Float]] = []
        for batchSize in [512, 7] {
            let model = try Model.load(file, options: EngineOptions(threads: 2, batchSize: batchSize))
            let vectors = try Embedder.Pooling.allCases.map { try Embedder(model, pooling: $0).embed(tokens) }
            if reference.isEmpty { reference = vectors }
            #expect(sameBits(vectors, reference))
        }
    }

    @Test func errors() throws {
        let model = try Model.load(try Self.bert().file())
        #expect(throws: EngineError.encoderOnly(architecture: "bert")) { try model.makeGenerator() }
        let embedder = try Embedder(model)
        #expect(throws: EngineError.contextFull(limit: 128, wanted: 129)) {
            try embedder.embed([Int32](repeating: 1, count: 129))
        }
        #expect(throws: EngineError.self) { try embedder.embed([]) }
        #expect(throws: EngineError.self) { try embedder.embed([40]) }
        let cancelled = try Embedder(model, isCancelled: { true })
        #expect(throws: EngineError.cancelled) { try cancelled.embed([1]) }

        var file = try Self.bert()
        file["bert.attention.causal"] = .bool(true)
        let error = try #require(throws: EngineError.self) { try Model.load(file.file()) }
        #expect(error.description.contains("bert.attention.causal"))
        for tensor in try Self.bert().tensors {
            var file = try Self.bert()
            file.remove(tensor.name)
            let error = try #require(throws: EngineError.self) { try Model.load(file.file()) }
            #expect(
                error == .missingTensor(name: tensor.name, expected: tensor.dimensions)
                    || tensor.name == "token_types.weight" || tensor.name == "token_embd.weight")
        }
    }

    /// Two layers of width 32 with two heads, 40 tokens, texts of up to 128.
    private static func bert() throws -> ToyFile {
        var file = ToyFile(architecture: "bert", seed: 3)
        for (key, value) in [
            ("block_count", 2), ("context_length", 128), ("embedding_length", 32), ("feed_forward_length", 48),
            ("attention.head_count", 2),
        ] {
            file["bert.\(key)"] = .uint32(UInt32(value))
        }
        file["bert.attention.layer_norm_epsilon"] = .float32(1e-12)
        file["bert.attention.causal"] = .bool(false)
        func norm(_ name: String) {
            file.random("\(name).weight", [32], scale: 1)
            file.random("\(name).bias", [32])
        }
        func linear(_ name: String, _ cols: Int, _ rows: Int) {
            file.random("\(name).weight", [cols, rows], scale: 0.3)
            file.random("\(name).bias", [rows])
        }
        file.random("token_embd.weight", [32, 40], scale: 1)
        file.random("position_embd.weight", [32, 128], scale: 0.3)
        file.random("token_types.weight", [32, 2], scale: 0.3)
        norm("token_embd_norm")
        for layer in 0..<2 {
            for name in ["attn_q", "attn_k", "attn_v", "attn_output"] { linear("blk.\(layer).\(name)", 32, 32) }
            norm("blk.\(layer).attn_output_norm")
            linear("blk.\(layer).ffn_up", 32, 48)
            linear("blk.\(layer).ffn_down", 48, 32)
            norm("blk.\(layer).layer_output_norm")
        }
        return file
    }
}

extension EngineOptions {
    static let goldenEncoder = EngineOptions(threads: 2, keyCache: .f32, valueCache: .f32)
}
