import GGUF
import TestSupport
import Testing

@testable import Engine

@Suite struct ModelInfoTests {
    @Test func mixtureOfExperts() throws {
        let toy = FamilyToy(
            name: "", architecture: "qwen2moe", layers: 2, qkvBias: true, experts: 4, sharedExpert: true)
        let model = try Model.load(try toy.file(format: try #require(QuantFormat.find(.q8_0))))
        let info = model.info

        let attention = 256 * (256 + 128 + 128) + 256 * 256 + (256 + 128 + 128)
        let expert = 3 * 256 * 256
        let rest = 2 * 256 + 256 * 4 + 256  // norms, router, gate of the shared expert
        let table = 256 * 320
        #expect(info.parameters == 2 * (attention + 5 * expert + rest) + 2 * table + 256)
        // Two experts and the shared one; the embedding table is only looked up.
        #expect(info.activeParameters == 2 * (attention + 3 * expert + rest) + table + 256)
        #expect(info.layers == 2 && info.experts == ExpertCounts(count: 4, used: 2))
        #expect(info.layerKinds.count == 1 && info.layerKinds[0] == ("attention", 2))
        #expect(info.vocabularySize == 320 && info.trainedContextLength == 1024)
        #expect(info.formats.map(\.format) == ["Q8_0", "F32"])
        #expect(info.weightBytes == info.formats.reduce(0) { $0 + $1.bytes })

        // 2 layers of 2 heads of 64 keys and 64 values in two bytes each, with two scales of the key and one of the value.
        let perToken = 2 * 2 * (128 * 2 + 3 * 4)
        #expect(model.stateLayout.bytesPerToken == perToken)
        let figures = model.memory(contextLength: 1000)
        #expect(figures.cache >= 1000 * perToken && figures.cache < 1020 * perToken)
        #expect(figures.weights == info.weightBytes && figures.total > figures.weights + figures.cache)
    }

    /// Tied tables count as projection, prediction layers not at all.
    @Test func tiedAndNextToken() throws {
        let format = try #require(QuantFormat.find(.f16))
        let tied = FamilyToy(name: "", architecture: "qwen3", qkNorm: true, tied: true)
        let dense = try Model.load(try tied.file(format: format)).info
        #expect(dense.activeParameters == dense.parameters && dense.experts == nil)

        let toy = FamilyToy(
            name: "", architecture: "qwen35", layers: 3, qkNorm: true, recurrent: [true, true, false],
            nextTokenLayers: 1)
        let info = try Model.load(try toy.file(format: format)).info
        #expect(info.layers == 3 && info.nextTokenLayers == 1)
        #expect(info.layerKinds.map(\.kind) == ["recurrent", "attention"])
        #expect(info.layerKinds.map(\.count) == [2, 1])
        #expect(info.parameters - info.activeParameters > 256 * 320 + 2 * 256 * 256)
    }

    /// Formulas and names against a worked example: 8 frequencies, factor 4, from 64 to 256 positions.
    @Test func ropeScaling() throws {
        func frequencies(_ entries: [(String, GGUFValue)]) throws -> RopeFrequencies {
            let metadata = try GGUFMetadata([("general.architecture", .string("x"))] + entries)
            return try RopeFrequencies(try Hyperparameters(metadata), headDim: 16)
        }
        let plain = try frequencies([])
        #expect(plain.amplitude == 1 && plain.perPair.count == 8 && plain.perPair[0] == 1)
        #expect(abs(plain.perPair[4] - 0.01) < 1e-12)
        let partial = try frequencies([("x.rope.dimension_count", .uint32(8))])
        #expect(partial.perPair.count == 4 && abs(partial.perPair[2] - 0.01) < 1e-12)

        let linear = try frequencies([
            ("x.rope.scaling.type", .string("linear")), ("x.rope.scaling.factor", .float32(4)),
        ])
        #expect(zip(linear.perPair, plain.perPair).allSatisfy { abs($0 * 4 - $1) < 1e-12 })
        #expect(try frequencies([("x.rope.scale_linear", .float32(4))]) == linear)
        #expect(try frequencies([("x.rope.scaling.type", .string("none"))]) == plain)

        let yarn = try frequencies([
            ("x.rope.scaling.type", .string("yarn")), ("x.rope.scaling.factor", .float32(4)),
            ("x.rope.scaling.original_context_length", .uint32(64)),
            ("x.rope.scaling.yarn_beta_fast", .float32(4)), ("x.rope.scaling.yarn_beta_slow", .float32(1)),
        ])
        // 16 ln(64 / (2π·4)) / (2 ln 10000) = 0.81 → 0, 16 ln(64 / 2π) / (2 ln 10000) = 2.02 → 3
        for (pair, ramp) in [0, 1.0 / 3, 2.0 / 3, 1, 1, 1, 1, 1].enumerated() {
            let expected = plain.perPair[pair] * (1 - ramp) + plain.perPair[pair] / 4 * ramp
            #expect(abs(yarn.perPair[pair] - expected) < 1e-12)
        }
        #expect(abs(yarn.amplitude - 1.138_629_436) < 1e-9)
    }
}
