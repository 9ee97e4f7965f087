import Engine
import Foundation
import GGUF
import TestSupport
import Testing

@testable import InferCLI

@Suite struct InspectTests {
    private func summary(_ toy: ToyFile, full: Bool = false) throws -> FileSummary {
        FileSummary(try toy.file(), contextLength: 128, full: full)
    }

    @Test func memoryOfASupportedModel() throws {
        let short = try #require(FileSummary(try ToyModel.llama.file(), contextLength: 64, full: false).memory)
        let long = try #require(FileSummary(try ToyModel.llama.file(), contextLength: 128, full: false).memory)
        #expect(short.weights == long.weights)
        #expect(long.cache > short.cache)
        // Keys and values of one head of 16 in 16 bits for each token of one layer.
        #expect(long.cache >= 128 * 2 * 16 * 2)
        #expect(long.total == long.weights + long.cache + long.scratch)
        #expect(try summary(ToyModel.llama).text(full: false).contains("Memory at a context of 128 tokens"))
    }

    @Test func whyThereIsNoMemoryFigure() throws {
        var toy = ToyFile(architecture: "gpt-17")
        toy.random("b", [64])
        let summary = try summary(toy)
        #expect(summary.memory == nil)
        #expect(summary.cannotRun?.contains("gpt-17") == true)
        #expect(summary.text(full: false).contains("Cannot be run"))
    }

    @Test func totalsOfAMixtureOfExperts() throws {
        let toy = ToyModel.qwen35moe
        let totals = try summary(toy).totals
        let sizes = toy.tensors.map { $0.dimensions.reduce(1, *) }
        #expect(totals.tensors == toy.tensors.count)
        #expect(totals.parameters == sizes.reduce(0, +))
        // Two of four experts rest: 2 layers × 3 matrices × 2 × 32 · 16. The embedding is only copied from.
        let vocabulary = try #require(toy["tokenizer.ggml.tokens"]?.array?.count)
        #expect(totals.activeParameters == totals.parameters - 2 * 3 * 2 * 32 * 16 - vocabulary * 32)
        #expect(try Model.load(toy.file()).info.activeParameters == totals.activeParameters)
        #expect(totals.bytes == 4 * totals.parameters)
        #expect(totals.bitsPerWeight == 32)
    }

    @Test func predictionLayersAreNotActive() throws {
        var toy = ToyModel.qwen35moe
        let before = try summary(toy).totals.activeParameters
        toy["qwen35moe.block_count"] = .uint32(3)
        toy["qwen35moe.nextn_predict_layers"] = .uint32(1)
        toy.random("blk.2.nextn.eh_proj.weight", [64, 32])
        #expect(try summary(toy).totals.activeParameters == before)
    }

    @Test func theTiedEmbeddingIsActive() throws {
        var toy = ToyModel.llama
        toy.remove("output.weight")
        let totals = try summary(toy).totals
        #expect(totals.activeParameters == totals.parameters)
    }

    /// Keys of hostile files: absent, zero, negative, of another type.
    @Test(
        arguments: [nil, .uint32(0), .int32(-1), .uint64(.max), .string("2"), .array(GGUFArray([Int32]()))]
            as [GGUFValue?])
    func strangeCounts(value: GGUFValue?) throws {
        var toy = ToyModel.qwen35moe
        for key in ["block_count", "expert_used_count", "nextn_predict_layers"] { toy["qwen35moe.\(key)"] = value }
        let totals = try summary(toy).totals
        #expect(totals.activeParameters <= totals.parameters)
    }

    @Test func typesAreOrderedBySize() throws {
        var toy = ToyFile(architecture: "gpt-17")
        toy.tensor("a", [32, 2], .q8_0, [UInt8](repeating: 0, count: 68))
        toy.random("b", [64])
        toy.tensor("c", [256], GGUFTensorType(name: "IQ1_S") ?? .f32, [UInt8](repeating: 0, count: 50))
        let totals = try summary(toy).totals
        #expect(totals.types.map { $0.type } == ["F32", "Q8_0", "IQ1_S"])
        #expect(totals.types.map { $0.bytes } == [256, 68, 50])
        #expect(totals.types.map { $0.parameters } == [64, 64, 256])
    }

    @Test func textOfAnUnknownArchitecture() throws {
        var toy = ToyFile(architecture: "gpt-17")
        toy["general.name"] = .string("evil\u{1b}[2J\nname")
        toy["x.list"] = .array(GGUFArray((0..<1_000).map { Int32($0) }))
        toy.random("b", [1_024, 3])
        let text = try summary(toy).text(full: false)
        #expect(text.contains("Architecture   gpt-17"))
        #expect(!text.contains("\u{1b}"))
        #expect(text.contains("array of int32 (1,000)  0, 1, 2, 3, 4, 5, 6, 7, …"))
        #expect(text.contains("b  F32  1024 × 3  12.0 KiB"))
        #expect(text.contains("parameters        3.1 K (3,072)"))
        #expect(try summary(toy, full: true).text(full: true).contains("998, 999"))
    }

    @Test func aVocabularyAlone() throws {
        var toy = ToyFile()
        toy.metadata = ToyVocabulary.byteLevel
        let text = try summary(toy).text(full: false)
        #expect(text.contains("Architecture   (not named)"))
        #expect(text.contains("this file holds only metadata"))
    }

    @Test func json() throws {
        var toy = ToyModel.llama
        toy["x.nested"] = .array(GGUFArray([GGUFArray(["a"]), GGUFArray([true])]))
        toy["x.huge"] = .uint64(.max)
        let data = try JSONEncoder().encode(summary(toy))
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(object["architecture"] as? String == "llama")
        let tensors = try #require(object["tensors"] as? [[String: Any]])
        #expect(tensors.count == toy.tensors.count)
        #expect(tensors[0]["dimensions"] as? [Int] == toy.tensors[0].dimensions)
        let metadata = try #require(object["metadata"] as? [[String: Any]])
        let entry = { (key: String) in try #require(metadata.first { $0["key"] as? String == key }) }
        #expect(try entry("x.huge")["value"] as? UInt64 == .max)
        #expect(try (entry("tokenizer.ggml.tokens")["value"] as? [String])?.count == 8)
        #expect(try entry("tokenizer.ggml.tokens")["count"] as? Int == 268)
        #expect(try (entry("x.nested")["value"] as? [[Any]])?[0] as? [String] == ["a"])
    }

    @Test func layersAndWhatTheyRemember() throws {
        let hybrid = try summary(ToyModel.qwen35moe)
        let layers = try #require(hybrid.layers)
        #expect(
            layers.kinds.map(\.kind).sorted() == ["attention", "recurrent"] && layers.kinds.map(\.layers) == [1, 1])
        #expect(layers.experts?.count == 4 && layers.experts?.usedPerToken == 2)
        // One head of 16 keys and 16 values in 16 bits, each with a scale.
        #expect(layers.cacheBytesPerToken == 2 * (16 * 2 + 4) && layers.windowBytes == 0 && layers.recurrentBytes > 0)
        #expect(hybrid.text(full: false).contains("experts          4, of which a token visits 2"))

        var toy = ToyModel.llama
        toy["llama.attention.sliding_window"] = .uint32(32)
        let windowed = try #require(try summary(toy).layers)
        #expect(windowed.kinds.map(\.kind) == ["sliding-window attention"] && windowed.experts == nil)
        // 32 positions and a pass of 512, in whole blocks of 256.
        #expect(windowed.cacheBytesPerToken == 0 && windowed.windowBytes == 768 * 2 * (16 * 2 + 4))
    }
}
