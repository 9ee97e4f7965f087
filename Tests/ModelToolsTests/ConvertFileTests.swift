import ChatTemplates
import Foundation
import GGUF
import TestSupport
import Testing

@testable import ModelTools

/// Files of a model folder that are damaged, or made to harm.
@Suite struct ConvertFileTests {
    private static func entry(_ type: String, _ shape: [Any], _ offsets: [Any]) -> [String: Any] {
        ["dtype": type, "shape": shape, "data_offsets": offsets]
    }

    private static func header(_ text: String, length: UInt64? = nil, data: Int = 0) -> [UInt8] {
        let bytes = Array(text.utf8)
        return withUnsafeBytes(of: (length ?? UInt64(bytes.count)).littleEndian, Array.init) + bytes
            + [UInt8](repeating: 0, count: data)
    }

    static let hostile: [(name: String, bytes: [UInt8], expected: String)] = [
        ("empty", [], "the size is 0 bytes"),
        ("seven bytes", [1, 2, 3, 4, 5, 6, 7], "the size is 7 bytes"),
        ("header beyond the file", header("{}", length: 3), "the header's length is 3, expected at most 2"),
        ("header of 2^63", header("{}", length: 1 << 63), "the header's length"),
        ("header of 2^64 - 1", header("{}", length: .max), "the header's length"),
        ("no JSON", header("{oops"), "no JSON"),
        ("a list", header("[]"), "another JSON value"),
        ("deep", header(String(repeating: "[", count: 100_000)), "no JSON"),
        ("no fields", header(#"{"a":{}}"#), #"dtype of "a" is nothing"#),
        ("unknown type", header(#"{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}"#, data: 4), "is F7"),
        ("negative size", header(#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, data: 4), "shape of"),
        ("fraction", header(#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, data: 4), "shape of"),
        (
            "overflow",
            header(
                #"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#), "within 64 bits"
        ),
        (
            "nine dimensions",
            header(#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#, data: 4), "shape of"
        ),
        (
            "wrong length", header(#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, data: 4),
            "4 bytes, expected 8"
        ),
        (
            "end before begin", header(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, data: 4),
            "data_offsets"
        ),
        (
            "cut off", header(#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, data: 15),
            "cut off or damaged"
        ),
        (
            "beyond 64 bits",
            header(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,99999999999999999999]}}"#, data: 4),
            "data_offsets"
        ),
        (
            "overlap",
            header(
                #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
                data: 8), "another tensor's"
        ),
    ]

    @Test(arguments: hostile.indices)
    func hostileHeader(index: Int) throws {
        let (name, bytes, expected) = Self.hostile[index]
        let directory = try TemporaryDirectory()
        let path = try directory.write(bytes, to: "model.safetensors")
        let error = #expect(throws: ConvertError.self) { try SafetensorsFile(path: path) }
        #expect("\(error.map { "\($0)" } ?? "")".contains(expected), "\(name): \(error.map { "\($0)" } ?? "none")")
    }

    @Test func everyTruncationIsAnError() throws {
        var folder = try ConvertFolder()
        folder.add("a", [3, 2])
        let bytes = try ConvertFolder.file(folder.tensors)
        for length in 0..<bytes.count {
            let path = try folder.directory.write(Array(bytes[..<length]), to: "model.safetensors")
            #expect(throws: ConvertError.self) { try SafetensorsFile(path: path) }
        }
    }

    @Test func aFileThatShrinksWhileItIsRead() throws {
        var folder = try ConvertFolder()
        folder.add("a", [3, 2])
        try folder.write()
        let tensor = try #require(try Checkpoint(folder: folder.path).tensor("a"))
        let size = try #require(try? Data(contentsOf: folder.directory.url.appending(path: "model.safetensors"))).count
        #expect(truncate(folder.directory.path("model.safetensors"), off_t(size - 4)) == 0)
        var values = [Float](repeating: 0, count: 6)
        #expect(throws: ConvertError.self) { try tensor.readAll(into: &values) }
    }

    @Test(arguments: [
        (#"{"weight_map":{"a":"../model.safetensors"}}"#, "the name of a file in the folder"),
        (#"{"weight_map":{"a":7}}"#, "the name of a file in the folder"),
        (#"{"weight_map":{"a":"missing.safetensors"}}"#, "No such file"),
        (#"{"weight_map":{"b":"model.safetensors"}}"#, "missing, expected there"),
        (#"{}"#, "weight_map is nothing"),
    ])
    func hostileIndex(text: String, expected: String) throws {
        var folder = try ConvertFolder()
        folder.add("a", [3, 2])
        try folder.write()
        try folder.directory.write(Array(text.utf8), to: Checkpoint.index)
        let error = #expect(throws: ConvertError.self) { try Checkpoint(folder: folder.path) }
        #expect("\(error.map { "\($0)" } ?? "")".contains(expected), "\(error.map { "\($0)" } ?? "none")")
    }

    @Test func pythonsInfinities() throws {
        let bytes = Array(#"{"a": [0.0, Infinity, -Infinity, NaN], "b": "Infinity \" NaN", "c": 1}"#.utf8)
        let object = try JSONFile.parse(bytes, path: "x")
        #expect(object["a"]?.arrayValue?.count == 4)
        #expect(object["b"]?.stringValue == "Infinity \" NaN")
        #expect(object["c"]?.intValue == 1)
    }

    // MARK: Vocabularies

    private static let lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
    private static let upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"

    @Test(arguments: [
        (ConvertFolder.llama3Pattern, "llama-bpe"),
        (
            ConvertFolder.llama3Pattern.replacing("(?i:'s|'t|'re|'ve|'m|'ll|'d)", with: "'(?i:[sdmt]|ll|ve|re)"),
            "llama-bpe"
        ),
        (ConvertFolder.llama3Pattern.replacing("{1,3}", with: ""), "stablelm2"),
        (
            ConvertFolder.llama3Pattern.replacing("\\p{N}{1,3}", with: "\\p{N}{1}").replacing(
                "]+[\\r\\n]*|", with: "\\r\\n]+|"), "seed-coder"
        ),
        (
            "[^\\r\\n\\p{L}\\p{N}]?\(upper)*\(lower)+|[^\\r\\n\\p{L}\\p{N}]?\(upper)+\(lower)*|\\p{N}|"
                + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "tekken"
        ),
    ])
    func preTokenizers(pattern: String, expected: String) throws {
        let folder = try ConvertFolder.llama()
        try folder.writeTokenizer(pattern: pattern)
        try folder.write()
        #expect(try folder.convert().metadata["tokenizer.ggml.pre"]?.stringValue == expected)
    }

    @Test func unknownPreTokenizer() throws {
        let folder = try ConvertFolder.llama()
        try folder.writeTokenizer(pattern: "[a-z]+")
        try folder.write()
        #expect(folder.failure()?.contains("pre_tokenizer is [a-z]+, expected one that tokenizer.ggml.pre") == true)
    }

    @Test(arguments: [
        (#"{"vocab":{"a":1099511627776},"merges":[]}"#, "the id of \"a\" is 1099511627776"),
        (#"{"vocab":{"a":-1},"merges":[]}"#, "the id of \"a\" is -1"),
        (#"{"vocab":{"a":0,"b":0},"merges":[]}"#, "the id 0"),
        (#"{"vocab":{"a":300},"merges":[]}"#, "at most the 264 rows"),
        (#"{"vocab":{"a":0},"merges":["a"]}"#, "merge 0"),
        (#"{"vocab":{"a":0}}"#, "no type"),
        (#"{"type":"WordLevel","vocab":{"a":0}}"#, "WordLevel"),
    ])
    func hostileVocabulary(model: String, expected: String) throws {
        let folder = try ConvertFolder.llama()
        try folder.write()
        let text = #"{"model":\#(model),"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}}"#
        try folder.directory.write(Array(text.utf8), to: "tokenizer.json")
        #expect(folder.failure()?.contains(expected) == true, "\(folder.failure() ?? "none")")
    }

    /// A message of the protocol buffer encoding.
    private func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
        [UInt8(number << 3 | 2), UInt8(bytes.count)] + bytes
    }

    private func sentencePieces() -> [UInt8] {
        func piece(_ text: String, _ score: Float, _ type: UInt8) -> [UInt8] {
            let bits = withUnsafeBytes(of: score.bitPattern.littleEndian, Array.init)
            return field(1, field(1, Array(text.utf8)) + [2 << 3 | 5] + bits + [3 << 3, type])
        }
        var bytes = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3)
        for value in 0..<256 {
            bytes += piece("<0x\(String(format: "%02X", value))>", 0, 6)
        }
        bytes += piece("h", -2, 1) + piece("i", -3, 1) + piece("hi", -1, 1) + piece("▁", -4, 1)
        // Byte pairs; no space in front.
        return bytes + field(2, [3 << 3, 2]) + field(3, [3 << 3, 0])
    }

    @Test func sentencePieceVocabulary() throws {
        let folder = try ConvertFolder.llama()
        try FileManager.default.removeItem(atPath: folder.directory.path("tokenizer.json"))
        try folder.directory.write(sentencePieces(), to: "tokenizer.model")
        try folder.json("tokenizer_config.json", ["bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"])
        try folder.write()
        let file = try folder.convert()
        #expect(file.metadata["tokenizer.ggml.model"]?.stringValue == "llama")
        #expect(file.metadata["tokenizer.ggml.add_space_prefix"]?.boolValue == false)
        #expect(file.metadata["tokenizer.ggml.bos_token_id"]?.int == 1)
        #expect(file.metadata["tokenizer.ggml.scores"]?.array?.floats()?[261] == -1)
        #expect(file.metadata["tokenizer.ggml.token_type"]?.array?.ints()?[5] == 6)
    }

    @Test func damagedSentencePieces() throws {
        let bytes = sentencePieces()
        // Every prefix is read or refused, never more; a cut within a field is refused.
        for length in stride(from: 1, to: bytes.count, by: 7) {
            _ = try? SentencePieceFile(Array(bytes[..<length]), path: "x")
        }
        #expect(throws: ConvertError.self) { try SentencePieceFile([], path: "x") }
        #expect(throws: ConvertError.self) { try SentencePieceFile([0x0a, 0xff], path: "x") }
        #expect(throws: ConvertError.self) { try SentencePieceFile([0x0b], path: "x") }
        #expect(throws: ConvertError.self) {
            try SentencePieceFile([UInt8](repeating: 0xff, count: 11), path: "x")
        }
    }

    @Test func noVocabularyAtAll() throws {
        let folder = try ConvertFolder.llama()
        try FileManager.default.removeItem(atPath: folder.directory.path("tokenizer.json"))
        try folder.write()
        #expect(folder.failure()?.contains("neither tokenizer.json nor tokenizer.model") == true)
    }
}
