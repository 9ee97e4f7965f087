import ChatTemplates
import Foundation
import GGUF
import TestSupport
import Testing
import Tokenization

@testable import ModelTools

/// Vocabularies in the form of the tiktoken library.
@Suite struct ConvertVocabularyTests {
    /// Every byte, then these.
    private static func file(_ words: [String]) -> [UInt8] {
        let tokens = (0...255).map { Data([UInt8($0)]) } + words.map { Data($0.utf8) }
        let lines = tokens.enumerated().map { "\($1.base64EncodedString()) \($0)\n" }
        return Array(lines.joined().utf8)
    }

    @Test func merges() throws {
        let words = ["he", "ll", "hell", "hello", "ab", "bc", "abc"]
        let merges = try RankFile(Self.file(words), path: "x").merges().map { pair in
            [pair.0, pair.1].map { String(decoding: $0, as: UTF8.self) }
        }
        // The pair of the lower rank comes first: "ab" before "bc".
        #expect(
            merges == [
                ["h", "e"], ["l", "l"], ["he", "ll"], ["hell", "o"], ["a", "b"], ["b", "c"], ["ab", "c"],
            ])
    }

    @Test func kimi() throws {
        let folder = try ConvertFolder()
        // The three bytes of 東 need a pair that makes two of them.
        let bytes = Array("東".utf8)
        let pair = Data(bytes[..<2]).base64EncodedString()
        let lines =
            String(decoding: Self.file(["he", "ll", "hell", "hello"]), as: UTF8.self)
            + "\(pair) 260\n\(Data(bytes).base64EncodedString()) 261\n"
        try folder.directory.write(Array(lines.utf8), to: "tiktoken.model")
        let added = ["262": "[BOS]", "263": "[EOS]"].mapValues { ["content": $0, "special": true] as [String: Any] }
        let settings: [String: Any] = ["bos_token": "[BOS]", "eos_token": "[EOS]", "added_tokens_decoder": added]
        try folder.json("tokenizer_config.json", settings)
        let files = try TokenizerFiles(folder: folder.path, config: ModelConfig(JSONObject()))
        let tokenizer = try Tokenizer(GGUFMetadata(try files.metadata(rows: 270, architecture: "kimi-linear")))
        #expect(tokenizer.encode("hello東he[EOS]", addSpecial: false, parseSpecial: true) == [259, 261, 256, 263])
        #expect(tokenizer.bos == 262 && tokenizer.eos == 263)
        #expect(tokenizer.type(of: 269) == .unused)
    }

    @Test func otherFamiliesNeedMore() throws {
        let folder = try ConvertFolder.llama()
        try folder.write()
        try FileManager.default.removeItem(atPath: folder.directory.path("tokenizer.json"))
        try folder.directory.write(Self.file(["he"]), to: "tiktoken.model")
        #expect(folder.failure()?.contains("tokenizer.json is needed") == true)
    }

    @Test(arguments: [
        ("aGU= 0\nbGw= 2\n", "line 2 is bGw= 2"), ("aGU=\n", "line 1 is aGU="), ("%%%% 0\n", "line 1"),
        ("aGU= -1\n", "line 1"), ("aGU= 99999999999999999999\n", "line 1"),
    ])
    func hostileLines(text: String, message: String) {
        let error = #expect(throws: ConvertError.self) { try RankFile(Array(text.utf8), path: "x") }
        #expect("\(error.map { "\($0)" } ?? "")".contains(message))
    }

    @Test(arguments: [["xyz"], ["he", "he"], ["hello"]])
    func tokensThatNothingMakes(words: [String]) throws {
        let file = try RankFile(Self.file(words), path: "x")
        #expect(throws: ConvertError.self) { try file.merges() }
    }
}

/// What else a published folder may hold.
@Suite struct ConvertFormTests {
    /// DeepSeek-V4's experts are published as two four-bit numbers in a byte.
    @Test func bytesAreNoWeights() throws {
        var folder = try ConvertFolder.llama()
        folder.set("model.layers.0.mlp.up_proj.weight", "I8", [96, 32], [UInt8](repeating: 0, count: 96 * 32))
        try folder.write()
        #expect(folder.failure()?.contains("holds I8, expected floats, or MXFP4 in the form of gpt-oss") == true)
    }

    @Test(arguments: [
        (0, "0.00K"), (999, "1.0K"), (12_345, "12K"), (1_000_000, "1000K"), (1_000_001, "1.0M"),
        (7_241_732_096, "7.2B"),
        (30_532_122_624, "31B"), (1_026_408_232_448, "1.0T"),
    ])
    func sizes(count: Int, label: String) { #expect(SizeLabel.rounded(count) == label) }
}
