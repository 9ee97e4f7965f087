import Foundation
import GGUF
import TestSupport
import Testing

@testable import Engine

/// The engine against the reference implementation of every family. Needs the golden models.
@Suite(.enabled(if: SharedData.goldens != nil, "INFER_GOLDENS names the golden models"))
struct GoldenTests {
    /// Float files: every stored position within 2e-3, and the same best token wherever the reference's two
    /// best are more than 1e-2 apart. In pieces and on other threads the bits are the same.
    @Test(arguments: GoldenFolder.float)
    func floatLogits(_ folder: GoldenFolder) throws {
        let file = try folder.floatFile()
        let model = try Model.load(file, options: .golden)
        var options = EngineOptions.golden
        options.batchSize = 7
        options.threads = 3
        let inPieces = try Model.load(file, options: options)
        var difference = LogitsDifference()
        for prompt in folder.meta.prompts where prompt.isText {
            let logits = try model.allLogits(prompt.tokens)
            #expect(logits == (try inPieces.allLogits(prompt.tokens)))
            for (reference, position) in zip(try folder.rows(prompt.logitsFile), prompt.positions) {
                difference.add(logits[position], reference: reference, margin: 1e-2)
            }
        }
        #expect(difference.count > 0)
        #expect(difference.maximum <= 2e-3)
        #expect(difference.argmaxErrors == 0)
        print("golden \(folder.testDescription): max abs diff \(difference.maximum)")
    }

    @Test(arguments: GoldenFolder.float.filter { $0.meta.prompts.contains { $0.mtpLogitsFile != nil } })
    func nextTokenLogits(_ folder: GoldenFolder) throws {
        for batchSize in [512, 7] {
            var options = EngineOptions.golden
            options.batchSize = batchSize
            let model = try Model.load(path: folder.model, options: options)
            var difference = LogitsDifference()
            for prompt in folder.meta.prompts {
                guard let file = prompt.mtpLogitsFile else { continue }
                var rows: [[Float]] = []
                try model.nextTokenLogits(prompt.tokens) { _, logits in rows.append([Float](logits)) }
                let references = try folder.rows(file)
                #expect(rows.count == references.count && rows.count == prompt.tokens.count - 1)
                for (row, reference) in zip(rows, references) {
                    difference.add(row, reference: reference, margin: 1e-2)
                }
            }
            #expect(difference.count > 0 && difference.maximum <= 2e-3 && difference.argmaxErrors == 0)
            print("golden \(folder.testDescription), prediction layer: max abs diff \(difference.maximum)")
        }
    }

    @Test(arguments: GoldenFolder.float)
    func greedyContinuation(_ folder: GoldenFolder) throws {
        let model = try Model.load(folder.floatFile(), options: .golden)
        for prompt in folder.meta.prompts where prompt.isText {
            guard let expected = prompt.greedy else { continue }
            let generator = try model.makeGenerator()
            try generator.sync(prompt.tokens)
            var found: [Int32] = []
            while found.count < expected.count {
                found.append(argmax(generator.logits))
                try generator.decode(found[found.count - 1])
            }
            #expect(found == expected)
        }
    }

    /// Quantized files: activations are quantized too, so the result may be as far from the exact product of
    /// the dequantized weights as llama.cpp's is, which does the same: by 5 % more on average and by 10 % more at
    /// the worst place, since activations are rounded in another way. One file has a single place that is a third
    /// farther off; its average is held to the same bound as all others'.
    @Test(arguments: GoldenFolder.quantized)
    func quantizedLogits(_ golden: GoldenVariant) throws {
        let folder = golden.folder
        let model = try Model.load(path: folder.url.appending(path: golden.variant.file).path, options: .golden)
        var difference = LogitsDifference()
        for (index, prompt) in folder.meta.prompts.enumerated() {
            let logits = try model.allLogits(prompt.tokens)
            let references = try folder.rows("logits-\(golden.type)-dequant-\(index).bin")
            for (reference, position) in zip(references, prompt.positions) {
                difference.add(
                    logits[position], reference: reference, margin: golden.variant.llamacppVsDequantMaxAbs)
            }
        }
        #expect(difference.count > 0)
        #expect(difference.rms <= 1.05 * Double(golden.variant.llamacppVsDequantRms))
        let isOutlier =
            golden.testDescription.contains("nemotron_h_moe-quant") && golden.testDescription.contains("q8_0")
        #expect(difference.maximum <= (isOutlier ? 4 / 3 : 1.1) * golden.variant.llamacppVsDequantMaxAbs)
        #expect(difference.argmaxErrors == 0)
        print(
            "golden \(golden.testDescription): rms \(difference.rms) (peer \(golden.variant.llamacppVsDequantRms)),"
                + " max \(difference.maximum) (peer \(golden.variant.llamacppVsDequantMaxAbs))")
    }
}

extension EngineOptions {
    /// References are computed without a cache, so ours keeps full precision.
    static let golden: EngineOptions = {
        var options = EngineOptions(threads: 2, contextLength: 512, keyCache: .f32, valueCache: .f32)
        // One was trained for less.
        options.allowsUntrainedContext = true
        return options
    }()
}

extension Model {
    /// The logits of every position of a fresh sequence.
    func allLogits(_ tokens: [Int32]) throws -> [[Float]] {
        let generator = try makeGenerator()
        var rows: [[Float]] = []
        try generator.evaluate(tokens) { _, logits in rows.append([Float](logits)) }
        return rows
    }
}
