import Foundation
import GGUF
import TestSupport
import Testing

@Suite struct WriterTests {
    private struct Interrupted: Error {}

    @Test func streamsTensorsInPiecesOfAnySize() throws {
        let directory = try TemporaryDirectory()
        let data = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        var writer = GGUFWriter(metadata: [("general.alignment", .uint32(64))])
        try writer.add(tensor: "a", dimensions: [5_000_000], type: .i8) { sink in
            try data.withUnsafeBytes { bytes in
                var start = 0
                var step = 1
                while start < bytes.count {
                    let end = min(bytes.count, start + step)
                    try sink(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                    start = end
                    step = step * 3 + 1
                }
            }
        }
        try writer.add(tensor: "b", dimensions: [2], floats: [1, 2])
        let path = directory.path("streamed.gguf")
        try writer.write(to: path)
        let file = try GGUFFile(path: path)
        #expect(try #require(file.tensor("a")).bytes.elementsEqual(data))
        #expect(try #require(file.tensor("b")).bytes.elementsEqual([0, 0, 128, 63, 0, 0, 0, 64]))
        #expect(try writer.serialize().elementsEqual(Data(contentsOf: URL(filePath: path))))
    }

    @Test func aFailureLeavesTheOldFile() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write([1, 2, 3], to: "model.gguf")
        var writer = GGUFWriter()
        try writer.add(tensor: "a", dimensions: [8], type: .i8) { sink in
            try [UInt8](repeating: 0, count: 4).withUnsafeBytes(sink)
            throw Interrupted()
        }
        #expect(throws: Interrupted.self) { try writer.write(to: path) }
        #expect(try directory.contents() == ["model.gguf"])
        #expect(try Data(contentsOf: URL(filePath: path)) == Data([1, 2, 3]))
    }

    @Test func replacingAMappedFileKeepsTheMapping() throws {
        let directory = try TemporaryDirectory()
        var toy = ToyFile()
        toy.floats("a", [4], [1, 2, 3, 4])
        let path = try toy.write(to: directory)
        let old = try GGUFFile(path: path)
        toy.floats("a", [4], [5, 6, 7, 8])
        try toy.write(to: directory)
        #expect(old.tensors[0].bytes[3] == 0x3f)
        let new = try GGUFFile(path: path)
        #expect(new.tensors[0].bytes[3] == 0x40)
    }

    @Test(arguments: [3, 5]) func wrongAmountOfData(count: Int) throws {
        var writer = GGUFWriter()
        let error = GGUFError.dataSize(tensor: "a", found: count, expected: 4)
        let data = [UInt8](repeating: 0, count: count)
        #expect(throws: error) { try writer.add(tensor: "a", dimensions: [4], type: .i8, data: data) }
        try writer.add(tensor: "a", dimensions: [4], type: .i8) { try data.withUnsafeBytes($0) }
        #expect(throws: error) { try writer.serialize() }
    }

    @Test func refusesWhatNoReaderAccepts() throws {
        var writer = GGUFWriter()
        let none: GGUFWriter.Producer = { _ in }
        let long = String(repeating: "x", count: 65)
        #expect(throws: GGUFError.tensorNameLength(found: 0, limit: 64)) {
            try writer.add(tensor: "", dimensions: [1], type: .i8, producer: none)
        }
        #expect(throws: GGUFError.tensorNameLength(found: 65, limit: 64)) {
            try writer.add(tensor: long, dimensions: [1], type: .i8, producer: none)
        }
        #expect(throws: GGUFError.dimensionCount(tensor: "a", found: 0, limit: 4)) {
            try writer.add(tensor: "a", dimensions: [], type: .i8, producer: none)
        }
        #expect(throws: GGUFError.dimensionCount(tensor: "a", found: 5, limit: 4)) {
            try writer.add(tensor: "a", dimensions: [1, 1, 1, 1, 1], type: .i8, producer: none)
        }
        #expect(throws: GGUFError.dimension(tensor: "a", index: 1, found: 0)) {
            try writer.add(tensor: "a", dimensions: [1, 0], type: .i8, producer: none)
        }
        #expect(throws: GGUFError.partialBlock(tensor: "a", type: .q8_0, rowLength: 16)) {
            try writer.add(tensor: "a", dimensions: [16, 2], type: .q8_0, producer: none)
        }
        #expect(throws: GGUFError.sizeOverflow(tensor: "a", dimensions: [.max, 2])) {
            try writer.add(tensor: "a", dimensions: [.max, 2], type: .i8, producer: none)
        }
        let byte: [UInt8] = [0]
        try writer.add(tensor: "a", dimensions: [1], type: .i8, data: byte)
        try writer.add(tensor: "a", dimensions: [1], type: .i8, data: byte)
        #expect(throws: GGUFError.duplicateTensor("a")) { try writer.serialize() }

        let metadata: [([(String, GGUFValue)], GGUFError)] = [
            ([("", .bool(true))], .keyLength(found: 0, limit: 65_535)),
            ([("k", .bool(true)), ("k", .bool(false))], .duplicateKey("k")),
            ([("general.alignment", .uint32(24))], .alignment(found: 24)),
            (
                [("general.alignment", .string("x"))],
                .wrongType(key: "general.alignment", found: "string", expected: "an integer")
            ),
        ]
        for (entries, error) in metadata {
            #expect(throws: error) { try GGUFWriter(metadata: entries).serialize() }
        }
    }

    // MARK: Split files

    private func splitModel() -> ToyFile {
        var toy = ToyFile(architecture: "llama")
        toy["general.alignment"] = .uint32(64)
        for index in 0..<7 { toy.random("t\(index)", [index + 1, 3]) }
        return toy
    }

    @Test(arguments: [0, 1, 60, 150, 100_000])
    func splitFilesOpenFromAnyPart(limit: Int) throws {
        let directory = try TemporaryDirectory()
        let toy = splitModel()
        let whole = try toy.file()
        var rule = GGUFSplitRule()
        rule.maximumBytes = limit
        let paths = try toy.writer().write(splitPrefix: directory.path("model"), rule: rule).map { $0.path }
        #expect(try directory.contents() == paths.map { URL(filePath: $0).lastPathComponent })
        #expect(paths.count == [0: 7, 1: 7, 60: 6, 150: 3, 100_000: 1][limit])
        for path in paths {
            let file = try GGUFFile(path: path)
            #expect(try file.metadata.string("general.architecture") == "llama")
            #expect(file.tensors.map { $0.name } == whole.tensors.map { $0.name })
            #expect(file.partPaths == paths)
            for tensor in whole.tensors {
                #expect(try #require(file.tensor(tensor.name)).bytes.elementsEqual(tensor.bytes))
            }
            #expect(file.fileSize == (try paths.reduce(0) { try $0 + Data(contentsOf: URL(filePath: $1)).count }))
        }
    }

    @Test(arguments: [false, true])
    func splitByCount(firstIsMetadataOnly: Bool) throws {
        let directory = try TemporaryDirectory()
        var rule = GGUFSplitRule()
        rule.maximumTensors = 3
        rule.firstIsMetadataOnly = firstIsMetadataOnly
        let parts = try splitModel().writer().write(splitPrefix: directory.path("model"), rule: rule)
        #expect(parts.map { $0.tensors } == (firstIsMetadataOnly ? [0, 3, 3, 1] : [3, 3, 1]))
        #expect(parts.reduce(0) { $0 + $1.bytes } == 28 * 3 * 4)
        #expect(try GGUFFile(path: parts[1].path).tensors.count == 7)
    }

    /// The third part's place is taken by a folder, so that it cannot get its name.
    @Test func aSplitFileAppearsWholeOrNotAtAll() throws {
        let directory = try TemporaryDirectory()
        var rule = GGUFSplitRule()
        rule.maximumTensors = 2
        let taken = directory.path("model-00003-of-00004.gguf")
        try FileManager.default.createDirectory(atPath: taken, withIntermediateDirectories: false)
        #expect(throws: GGUFError.self) {
            try splitModel().writer().write(splitPrefix: directory.path("model"), rule: rule)
        }
        #expect(try directory.contents() == ["model-00003-of-00004.gguf"])
        var writer = GGUFWriter()
        try writer.add(tensor: "a", dimensions: [1], floats: [1])
        try writer.add(tensor: "b", dimensions: [1], type: .f32) { _ in throw Interrupted() }
        rule.maximumTensors = 1
        #expect(throws: Interrupted.self) { try writer.write(splitPrefix: directory.path("other"), rule: rule) }
        #expect(try directory.contents() == ["model-00003-of-00004.gguf"])
    }

    @Test func mergedFilesWithACountOfZeroAreWhole() throws {
        var toy = splitModel()
        toy["split.count"] = .uint16(0)
        let directory = try TemporaryDirectory()
        #expect(try GGUFFile(path: toy.write(to: directory)).tensors.count == 7)
    }
}
