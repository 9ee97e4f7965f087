import Foundation
import GGUF
import TestSupport
import Testing

@Suite struct RoundTripTests {
    static let values: [(String, GGUFValue)] = [
        ("a.uint8", .uint8(255)), ("a.int8", .int8(-128)), ("a.uint16", .uint16(65_535)), ("a.int16", .int16(-32_768)),
        ("a.uint32", .uint32(.max)), ("a.int32", .int32(.min)), ("a.uint64", .uint64(.max)), ("a.int64", .int64(.min)),
        ("a.float32", .float32(-0.1)), ("a.float64", .float64(1e300)), ("a.true", .bool(true)),
        ("a.false", .bool(false)), ("a.string", .string("grüße, 世界")), ("a.empty", .string("")),
        ("b.uint8", .array(GGUFArray([UInt8(1), 255]))), ("b.uint32", .array(GGUFArray([UInt32(7), .max]))),
        ("b.int32", .array(GGUFArray([Int32(-7), .min]))), ("b.uint64", .array(GGUFArray([UInt64.max]))),
        ("b.int64", .array(GGUFArray([Int64.min, 3]))), ("b.float32", .array(GGUFArray([Float(0.5), -2]))),
        ("b.float64", .array(GGUFArray([0.25, -1e300]))), ("b.bool", .array(GGUFArray([true, false, true]))),
        ("b.strings", .array(GGUFArray(["", "x", "naïve"]))), ("b.empty", .array(GGUFArray([String]()))),
        ("b.bytes", .array(GGUFArray(stringBytes: [[0xff, 0xfe], [], [0x80]]))),
        (
            "b.nested",
            .array(
                GGUFArray([
                    GGUFArray([GGUFArray(["deep"]), GGUFArray([Int32(1), 2, 3])]), GGUFArray([Float]()),
                    GGUFArray([true]),
                ]))
        ),
    ]

    @Test func everyValueType() throws {
        let file = try GGUFFile(bytes: GGUFWriter(metadata: Self.values).serialize())
        #expect(file.version == 3)
        #expect(file.tensors.isEmpty)
        #expect(file.metadata.keys == Self.values.map { $0.0 })
        for (key, value) in Self.values { #expect(file.metadata[key] == value, "\(key)") }
    }

    @Test func elementsOfArrays() throws {
        let metadata = try GGUFFile(bytes: GGUFWriter(metadata: Self.values).serialize()).metadata
        let array = { (key: String) in try metadata.array(key) }
        #expect(try metadata.strings("b.strings") == ["", "x", "naïve"])
        #expect(try metadata.ints("b.int32") == [-7, Int(Int32.min)])
        #expect(try array("b.int32").int32s() == [-7, .min])
        #expect(try array("b.uint32").int32s() == nil)
        #expect(try array("b.uint64").ints() == nil)
        #expect(try metadata.floats("b.float32") == [0.5, -2])
        #expect(try metadata.floats("b.float64") == [0.25, -.infinity])
        #expect(try array("b.bool").bools() == [true, false, true])
        #expect(try Array(array("b.bytes").stringBytes(at: 0)) == [0xff, 0xfe])
        #expect(try array("b.bytes").string(at: 2) == "\u{fffd}")
        let nested = try array("b.nested")
        #expect(nested.count == 3)
        #expect(nested[0].array?[0].array?[0] == .string("deep"))
        #expect(nested[0].array?[1].array?.ints() == [1, 2, 3])
        #expect(nested[1].array?.count == 0)
        #expect(nested[2] == .array(GGUFArray([true])))
    }

    /// Whole blocks of every type, in odd shapes, with a larger alignment as well.
    @Test(arguments: [nil, 8, 64, 4096] as [Int?])
    func everyTensorType(alignment: Int?) throws {
        var toy = ToyFile()
        var random = SeededRandom(seed: 7)
        if let alignment { toy["general.alignment"] = .uint32(UInt32(alignment)) }
        for (index, type) in GGUFTensorType.all.enumerated() {
            let dimensions = [[type.blockSize], [3 * type.blockSize, 5], [type.blockSize, 2, 3, 2]][index % 3]
            let count = try #require(type.byteCount(of: dimensions.reduce(1, *)))
            toy.tensor(
                "t.\(type)", dimensions, type, (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
        }
        let file = try toy.file()
        #expect(file.tensors.count == toy.tensors.count)
        for expected in toy.tensors {
            let tensor = try #require(file.tensor(expected.name))
            #expect(tensor.type == expected.type)
            #expect(tensor.dimensions == expected.dimensions)
            #expect(tensor.bytes.elementsEqual(expected.data))
            #expect(tensor.fileOffset % (alignment ?? 32) == 0)
            #expect(tensor.elementCount == expected.dimensions.reduce(1, *))
        }
        #expect(file.tensor("absent") == nil)
    }

    @Test func fromDisk() throws {
        let directory = try TemporaryDirectory()
        var toy = ToyFile(architecture: "llama")
        toy.random("a", [64, 3])
        let path = try toy.write(to: directory)
        #expect(try directory.contents() == ["toy.gguf"])
        let file = try GGUFFile(path: path)
        #expect(file.path == path)
        #expect(try file.fileSize == toy.bytes().count)
        // The mapping outlives the name.
        try FileManager.default.removeItem(atPath: path)
        #expect(file.tensors[0].bytes.elementsEqual(toy.tensors[0].data))
    }

    @Test func largeVocabulary() throws {
        let tokens = (0..<248_320).map { "token\($0)" }
        let file = try GGUFFile(
            bytes: GGUFWriter(metadata: [("tokenizer.ggml.tokens", .array(GGUFArray(tokens)))]).serialize())
        let array = try file.metadata.array("tokenizer.ggml.tokens")
        #expect(array.count == tokens.count)
        #expect(array.string(at: 248_319) == "token248319")
    }

    @Test(.enabled(if: SharedData.goldens != nil), arguments: SharedData.goldenNames)
    func goldenFilesOpen(name: String) throws {
        for url in SharedData.ggufFiles(in: try #require(SharedData.goldens).appending(path: name)) {
            let file = try GGUFFile(path: url.path)
            #expect(!file.tensors.isEmpty)
            #expect(try !file.metadata.string("general.architecture").isEmpty)
        }
    }

    /// Files made by the `gguf` Python package come out the same, byte for byte.
    @Test(.enabled(if: SharedData.goldens != nil), arguments: SharedData.goldenNames)
    func goldenFilesRewritten(name: String) throws {
        for url in SharedData.ggufFiles(in: try #require(SharedData.goldens).appending(path: name)) {
            let file = try GGUFFile(path: url.path)
            var writer = GGUFWriter()
            for key in file.metadata.keys { writer.metadata.append((key, try #require(file.metadata[key]))) }
            for tensor in file.tensors {
                try writer.add(tensor: tensor.name, dimensions: tensor.dimensions, type: tensor.type) {
                    try $0(tensor.bytes)
                }
            }
            let original = try Data(contentsOf: url)
            let rewritten = try writer.serialize()
            // Python pads the end of the last tensor, too.
            #expect(original.count == rewritten.count, "\(url.lastPathComponent)")
            #expect(original.elementsEqual(rewritten), "\(url.lastPathComponent)")
        }
    }

    @Test(.enabled(if: SharedData.conformance != nil))
    func conformanceVocabulariesOpen() throws {
        let folder = try #require(SharedData.conformance).appending(path: "tokenizers")
        let files = SharedData.ggufFiles(in: folder)
        #expect(files.count == 8)
        for url in files {
            let tokens = try GGUFFile(path: url.path).metadata.strings("tokenizer.ggml.tokens")
            #expect(tokens.count > 30_000)
        }
    }
}
