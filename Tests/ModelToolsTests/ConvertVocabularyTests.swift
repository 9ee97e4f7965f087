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

/// Texts of a vocabulary are code points, whatever Swift takes for one character.
@Suite struct ConvertCombiningTests {
    static let marks = [
        "\u{301}", "\u{200d}", "\u{fe0f}", "\u{1f3fd}", "\u{e33}", "\u{ff9e}", "\u{3099}", "\u{93e}", "\u{9be}",
        "\u{20e3}",
        "\u{1f1e6}", "\u{e0020}", "\u{1100}", "\u{11a8}",
    ]

    private func tokenizer(_ folder: ConvertFolder, rows: Int, architecture: String = "bert") throws -> Tokenizer {
        let files = try TokenizerFiles(folder: folder.path, config: ModelConfig(JSONObject()))
        return try Tokenizer(GGUFMetadata(try files.metadata(rows: rows, architecture: architecture)))
    }

    private func wordPieces(_ words: [String]) -> [String: Any] {
        let vocabulary = Dictionary(uniqueKeysWithValues: words.enumerated().map { ($1, $0) })
        return [
            "model": [
                "type": "WordPiece", "vocab": vocabulary, "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            ] as [String: Any],
            "normalizer": ["type": "BertNormalizer", "lowercase": true, "strip_accents": false] as [String: Any],
        ]
    }

    @Test(arguments: marks)
    func wordPiecesThatBeginWithAMark(mark: String) throws {
        let folder = try ConvertFolder()
        try folder.json("tokenizer.json", wordPieces(["[UNK]", "[CLS]", "[SEP]", "a", "##\(mark)", "##b"]))
        let files = try TokenizerFiles(folder: folder.path, config: ModelConfig(JSONObject()))
        let metadata = try GGUFMetadata(files.metadata(rows: 6, architecture: "bert"))
        let tokens = try #require(metadata["tokenizer.ggml.tokens"]?.array)
        #expect(Array(tokens.stringBytes(at: 4)) == Array(mark.utf8))
        #expect(Array(tokens.stringBytes(at: 3)) == Array("\u{2581}a".utf8))
    }

    @Test(arguments: marks)
    func mergesThatBeginWithAMark(mark: String) throws {
        let folder = try ConvertFolder()
        let words = ["a", mark, " ", "a\(mark)", " \(mark)", "a \(mark)"]
        let model: [String: Any] = [
            "type": "BPE", "vocab": Dictionary(uniqueKeysWithValues: words.enumerated().map { ($1, $0) }),
            "merges": ["a \(mark)", "  \(mark)"],
        ]
        try folder.json("tokenizer.json", ["model": model])
        let files = try TokenizerFiles(folder: folder.path, config: ModelConfig(JSONObject()))
        let metadata = try GGUFMetadata(files.metadata(rows: words.count, architecture: "gemma4"))
        let merges = try #require(metadata["tokenizer.ggml.merges"]?.array)
        #expect(Array(merges.stringBytes(at: 0)) == Array("a \(mark)".utf8))
        #expect(Array(merges.stringBytes(at: 1)) == Array("\u{120} \(mark)".utf8))
    }

    @Test func lineEndsInAPattern() {
        #expect(PreTokenizerName.canonical("[^\r\n\\p{L}]+|\r\n") == "[^\\r\\n\\p{L}]+|\\r\\n")
    }

    /// `किसानों` with Devanagari signs as pieces of their own.
    @Test func devanagari() throws {
        let folder = try ConvertFolder()
        let signs = ["\u{93f}", "स", "\u{93e}", "न", "\u{94b}", "\u{902}"].map { "##\($0)" }
        try folder.json("tokenizer.json", wordPieces(["[UNK]", "[CLS]", "[SEP]", "क"] + signs))
        let tokenizer = try tokenizer(folder, rows: 10)
        #expect(tokenizer.encode("किसानों", addSpecial: false, parseSpecial: false) == [3, 4, 5, 6, 7, 8, 9])
        #expect(tokenizer.encode("क x", addSpecial: true, parseSpecial: false) == [1, 3, 0, 2])
    }

    /// Without settings beside it the vocabulary itself says what is unknown and what goes around a text.
    @Test func marksWithoutSettings() throws {
        let folder = try ConvertFolder()
        var json = wordPieces(["<u>", "x", "<c>", "<s>", "y"])
        var model = try #require(json["model"] as? [String: Any])
        model["unk_token"] = "<u>"
        json["model"] = model
        json["post_processor"] = ["type": "BertProcessing", "cls": ["<c>", 2], "sep": ["<s>", 3]] as [String: Any]
        json["added_tokens"] = [["id": 2, "content": "<c>"], ["id": 3, "content": "<s>"]] as [[String: Any]]
        try folder.json("tokenizer.json", json)
        #expect(
            try tokenizer(folder, rows: 5).encode("x zz y", addSpecial: true, parseSpecial: false) == [2, 1, 0, 4, 3])
    }

    @Test(arguments: ["\n", "\r\n"])
    func aTokenInEachLine(end: String) throws {
        let folder = try ConvertFolder()
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##\u{301}", "##b"]
        try folder.directory.write(Array(words.map { $0 + end }.joined().utf8), to: "vocab.txt")
        let tokenizer = try tokenizer(folder, rows: 7)
        #expect(tokenizer.encode("Ab ?", addSpecial: true, parseSpecial: false) == [2, 4, 6, 1, 3])
        #expect(tokenizer.type(of: 2) == .control && tokenizer.type(of: 1) == .unknown)
    }
}
