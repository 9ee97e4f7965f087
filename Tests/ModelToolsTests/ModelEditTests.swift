import Foundation
import GGUF
import TestSupport
import Testing

@testable import ModelTools

@Suite struct ModelEditTests {
    private func source() -> ToyFile {
        var toy = ToyFile(architecture: "llama")
        toy["general.name"] = .string("old")
        toy["llama.block_count"] = .uint32(1)
        toy["llama.list"] = .array(GGUFArray([Int32(1), 2]))
        toy["llama.rope.freq_base"] = .float32(.nan)
        toy.random("a.weight", [32, 3])
        toy.tensor("b.weight", [32], .q8_0, (0..<34).map { UInt8($0) })
        return toy
    }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(filePath: path)) }

    // MARK: Edit

    @Test func weightsAreCopiedBitForBit() throws {
        let directory = try TemporaryDirectory()
        let file = try GGUFFile(path: source().write(to: directory))
        var edit = ModelEdit(file)
        try edit.set("general.name", .string("new"))
        try edit.set("x.new", .bool(true))
        try edit.remove("llama.list")
        try edit.rename(key: "llama.block_count", to: "llama.blocks")
        try edit.rename(tensor: "a.weight", to: "c.weight")
        let path = directory.path("new.gguf")
        try ModelCopy(edit, of: file).write(to: path)
        let new = try GGUFFile(path: path)
        #expect(
            new.metadata.keys == [
                "general.architecture", "general.name", "llama.blocks", "llama.rope.freq_base", "x.new",
            ])
        #expect(new.metadata["general.name"] == .string("new") && new.metadata["x.new"] == .bool(true))
        #expect(new.metadata["llama.blocks"] == .uint32(1))
        #expect(new.tensors.map { $0.name } == ["c.weight", "b.weight"])
        for (old, new) in zip(file.tensors, new.tensors) {
            #expect(old.type == new.type && old.dimensions == new.dimensions && old.bytes.elementsEqual(new.bytes))
        }
        #expect(edit.changes.count == 5)
        #expect(try directory.contents() == ["new.gguf", "toy.gguf"])
    }

    @Test func anUneditedCopyIsTheSameFile() throws {
        let directory = try TemporaryDirectory()
        let path = try source().write(to: directory)
        try ModelCopy(try GGUFFile(path: path)).write(to: directory.path("copy.gguf"))
        #expect(try bytes(path) == bytes(directory.path("copy.gguf")))
    }

    @Test func whatCannotBeEdited() throws {
        var edit = ModelEdit(try source().file())
        #expect(throws: EditError.noSuchKey("x")) { try edit.remove("x") }
        #expect(throws: EditError.keyExists("general.name")) { try edit.rename(key: "llama.list", to: "general.name") }
        #expect(throws: EditError.reserved("split.no")) { try edit.set("split.no", .uint16(0)) }
        #expect(throws: EditError.noSuchTensor("x")) { try edit.rename(tensor: "x", to: "y") }
        #expect(throws: EditError.tensorExists("b.weight")) { try edit.rename(tensor: "a.weight", to: "b.weight") }
        try edit.set("general.name", .string("1"))
        #expect(throws: EditError.changedTwice("general.name")) { try edit.set("general.name", .string("2")) }
        #expect(throws: EditError.changedTwice("general.name")) { try edit.remove("general.name") }
    }

    /// An alignment or a name that no reader accepts leaves nothing behind.
    @Test func whatCannotBeWritten() throws {
        let directory = try TemporaryDirectory()
        let file = try source().file()
        var alignment = ModelEdit(file)
        try alignment.set("general.alignment", .uint32(24))
        var name = ModelEdit(file)
        try name.rename(tensor: "a.weight", to: String(repeating: "x", count: 65))
        for edit in [alignment, name] {
            #expect(throws: GGUFError.self) { try ModelCopy(edit, of: file).write(to: directory.path("x.gguf")) }
        }
        let copy = ModelCopy(file)
        #expect(throws: EditError.cancelled) { try copy.write(to: directory.path("x.gguf")) { _, _ in false } }
        #expect(throws: GGUFError.self) { try copy.write(to: directory.path("no/folder/x.gguf")) }
        #expect(try directory.contents() == [])
    }

    @Test func neverInPlace() throws {
        let directory = try TemporaryDirectory()
        let path = try source().write(to: directory)
        let before = try bytes(path)
        let links = ["hard.gguf", "soft.gguf"].map { directory.path($0) }
        try FileManager.default.linkItem(atPath: path, toPath: links[0])
        try FileManager.default.createSymbolicLink(atPath: links[1], withDestinationPath: path)
        for target in [path] + links {
            #expect(throws: EditError.inPlace(target)) { try ModelCopy(try GGUFFile(path: path)).write(to: target) }
        }
        #expect(try bytes(path) == before)
    }

    // MARK: Values as text

    @Test(arguments: [
        ("uint8:255", GGUFValue.uint8(255)), ("int8:-128", .int8(-128)), ("uint16:7", .uint16(7)),
        ("int16:-7", .int16(-7)), ("uint32:4294967295", .uint32(.max)), ("int32:-1", .int32(-1)), ("int:3", .int32(3)),
        ("uint64:18446744073709551615", .uint64(.max)), ("int64:-9", .int64(-9)), ("float32:1e-6", .float32(1e-6)),
        ("float:0.5", .float32(0.5)), ("float64:0.1", .float64(0.1)), ("bool:true", .bool(true)),
        ("string:", .string("")), ("str:a:b", .string("a:b")), ("string:uint8:1", .string("uint8:1")),
        ("uint32[]:[1, 2]", .array(GGUFArray([UInt32(1), 2]))), ("float32[]:[]", .array(GGUFArray([Float]()))),
        ("bool[]:[true,false]", .array(GGUFArray([true, false]))),
        ("string[]:[\"a,b\",\"\"]", .array(GGUFArray(["a,b", ""]))),
    ])
    func typedValues(text: String, value: GGUFValue) throws {
        #expect(try ValueText.value(text, key: "k", current: nil) == value)
        #expect(try ValueText.value(text, key: "k", current: .float64(0)) == value)
    }

    @Test func theTypeOfThePresentValue() throws {
        #expect(try ValueText.value("5", key: "k", current: .uint16(1)) == .uint16(5))
        #expect(try ValueText.value("a: b", key: "k", current: .string("x")) == .string("a: b"))
        let list = GGUFValue.array(GGUFArray([Int32(1)]))
        #expect(try ValueText.value("[4]", key: "k", current: list) == .array(GGUFArray([Int32(4)])))
    }

    @Test(arguments: [
        "uint8:256", "uint8:-1", "int32:1.5", "int32:", "int32: 1", "float32:1e50", "float64:nan", "bool:yes",
        "uint32[]:1,2", "uint32[]:[1,,2]", "uint32[]:[1,x]", "string[]:[1]", "string[]:a",
    ])
    func wrongValues(text: String) {
        let error = #expect(throws: EditError.self) { try ValueText.value(text, key: "k", current: nil) }
        guard case .value? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func newKeysNeedAType() {
        let nested = GGUFValue.array(GGUFArray([GGUFArray(["a"])]))
        for current in [nil, nested] {
            for text in ["5", "array:5", "uint128:5", "array[]:[]"] {
                #expect(throws: EditError.typeNeeded(key: "k")) {
                    try ValueText.value(text, key: "k", current: current)
                }
            }
        }
    }

    // MARK: Split and merge

    private func splitSource() -> ToyFile {
        var toy = source()
        toy["general.alignment"] = .uint32(64)
        for index in 0..<7 { toy.random("t\(index)", [index + 1, 3]) }
        return toy
    }

    @Test(arguments: [1, 2, 100], [false, true])
    func mergedPartsAreTheFileTheyCameFrom(tensors: Int, firstIsMetadataOnly: Bool) throws {
        let directory = try TemporaryDirectory()
        let path = try splitSource().write(to: directory)
        var rule = GGUFSplitRule()
        rule.maximumTensors = tensors
        rule.firstIsMetadataOnly = firstIsMetadataOnly
        let copy = ModelCopy(try GGUFFile(path: path))
        let planned = try copy.parts(splitPrefix: directory.path("p"), rule: rule).map { $0.path }
        let parts = try copy.write(splitPrefix: directory.path("p"), rule: rule).map { $0.path }
        #expect(parts == planned)
        let target = directory.path("merged.gguf")
        try ModelCopy(try GGUFFile(path: try #require(parts.last))).write(to: target)
        #expect(try bytes(target) == bytes(path))
        // Parts of parts: what the first split said is not carried on.
        rule.maximumTensors = 4
        let again = try ModelCopy(try GGUFFile(path: parts[0])).write(splitPrefix: directory.path("q"), rule: rule)
        try ModelCopy(try GGUFFile(path: again[0].path)).write(to: target)
        #expect(try bytes(target) == bytes(path))
    }

    @Test func partsAreNotOverwrittenByTheirMerger() throws {
        let directory = try TemporaryDirectory()
        var rule = GGUFSplitRule()
        rule.maximumTensors = 3
        let parts = try ModelCopy(try splitSource().file()).write(splitPrefix: directory.path("p"), rule: rule)
        let before = try directory.contents()
        let copy = ModelCopy(try GGUFFile(path: parts[0].path))
        #expect(throws: EditError.inPlace(parts[1].path)) { try copy.write(to: parts[1].path) }
        #expect(throws: EditError.inPlace(parts[0].path)) {
            try copy.write(splitPrefix: directory.path("p"), rule: rule)
        }
        var calls = 0
        rule.maximumTensors = 1
        #expect(throws: EditError.cancelled) {
            try copy.write(splitPrefix: directory.path("q"), rule: rule) { _, _ in
                calls += 1
                return calls < 5
            }
        }
        #expect(try directory.contents() == before)
    }
}
