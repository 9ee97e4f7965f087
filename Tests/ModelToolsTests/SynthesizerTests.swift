import Foundation
import GGUF
import Testing

@testable import ModelTools

private let presetFolder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("models/presets")

@Suite struct SynthesizerTests {
    @Test(arguments: Preset.names(in: presetFolder))
    func everyPresetHasAPlanForEveryMixture(name: String) throws {
        let preset = try Preset.load(name, folder: presetFolder)
        for mixture in QuantMixture.all {
            for tensor in Synthesizer(preset: preset, mixture: mixture).plan() {
                #expect(tensor.byteCount > 0, "\(tensor.name) \(tensor.type) \(tensor.dimensions)")
            }
        }
    }

    /// Sizes of published files of the same models and mixtures, within 3 %.
    @Test(arguments: [
        ("llama-3.1-8b", "Q4_K_M", 4.92), ("llama-3.1-8b", "Q8_0", 8.54), ("llama-3.1-8b", "F16", 16.07),
        ("qwen3-30b-a3b", "Q4_K_M", 18.56), ("gpt-oss-20b", "MXFP4", 12.11),
    ])
    func filesHaveThePublishedSize(preset: String, quant: String, gigabytes: Double) throws {
        let plan = Synthesizer(
            preset: try Preset.load(preset, folder: presetFolder), mixture: try #require(QuantMixture(name: quant))
        ).plan()
        let found = Double(plan.reduce(0) { $0 + $1.byteCount }) / 1e9
        #expect(abs(found / gigabytes - 1) < 0.03, "\(found) GB")
    }

    @Test(arguments: QuantMixture.all)
    func everyMixtureHasAFileType(mixture: QuantMixture) throws {
        let number = try #require(GGUFFileType.number(mixture.name))
        #expect(GGUFFileType.name(number) == mixture.name)
    }

    @Test(arguments: Preset.names(in: presetFolder))
    func aShortenedPresetHasFewerBlocks(name: String) throws {
        let preset = try Preset.load(name, folder: presetFolder)
        let short = try #require(preset.shortened(to: 4))
        let mixture = try #require(QuantMixture(name: "Q4_K_M"))
        let names = Synthesizer(preset: short, mixture: mixture).plan().map { $0.name }
        #expect(names.contains { $0.hasPrefix("blk.3.") })
        #expect(!names.contains { $0.hasPrefix("blk.4.") })
        #expect(preset.shortened(to: 0) == nil)
        #expect(preset.shortened(to: preset.blocks + 1) == nil)
        let all = Synthesizer(preset: preset, mixture: mixture).plan()
        #expect(names.count < all.count)
        #expect(short.metadata.contains { $0.key.hasSuffix(".block_count") && $0.value.number == 4 })
        for entry in short.metadata { #expect(entry.value.count ?? 4 != preset.blocks) }
    }

    @Test func unknownPresetNamesTheKnownOnes() {
        #expect {
            try Preset.load("qwen-900b", folder: presetFolder)
        } throws: { error in
            "\(error)".contains("qwen-900b") && "\(error)".contains("qwen3.5-9b")
        }
    }

    @Test(arguments: [
        #"{"description":"","source":"","blocks":0,"metadata":[],"vocabulary":{"pre":"gpt-2","tokens":300},"tensors":[]}"#,
        #"{"description":"","source":"","blocks":1,"metadata":[],"vocabulary":{"pre":"gpt-2","tokens":9},"tensors":[]}"#,
        #"{"description":"","source":"","blocks":1,"metadata":[],"vocabulary":{"pre":"gpt-2","tokens":300},"tensors":[{"name":"a","shape":[-1]}]}"#,
        #"{"blocks":1}"#,
    ])
    func badPresetsAreRefused(json: String) throws {
        let path = NSTemporaryDirectory() + "preset-\(UUID().uuidString).json"
        try Data(json.utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(throws: Preset.Failure.self) { try Preset.load(path, folder: presetFolder) }
    }
}

extension Preset.Value {
    fileprivate var number: UInt32? { if case .int(let value) = self { value } else { nil } }

    fileprivate var count: Int? {
        switch self {
        case .ints(let values): values.count
        case .bools(let values): values.count
        default: nil
        }
    }
}
