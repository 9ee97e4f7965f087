import Foundation
import GGUF
import TestSupport
import Testing

/// No file may crash the reader, make it hang or make it reserve memory that the file cannot fill.
///
/// Also run with `ASAN_OPTIONS=detect_leaks=0 swift test --sanitize=address --filter Malformed`. (The leak detector does
/// not recognise Swift's tagged pointers and reports constants.)
@Suite struct MalformedTests {
    @Test func corpusIsLargeAndNamed() {
        let cases = MalformedCorpus.cases
        let names = Set(cases.map { $0.name })
        #expect(names.count == cases.count)
        #expect(cases.filter { $0.stage == .parse }.count >= 1400)
        #expect(cases.filter { $0.stage == .tokenizer }.count >= 80)
        #expect(cases.filter { $0.stage == .tolerated }.count >= 40)
        #expect(cases.filter { $0.stage == .model }.count >= 500)
        for report in [
            "CVE-2025-53630", "CVE-2026-27940", "CVE-2026-33298", "CVE-2026-7482", "CVE-2025-49847",
            "llama.cpp 26690", "llama.cpp 25821", "llama.cpp 25969", "llama.cpp 26318", "ollama 17042",
            "llama.cpp 27188",
        ] {
            #expect(names.contains { $0.hasPrefix(report) }, "\(report)")
        }
    }

    /// Cases of the later stages must be good GGUF: they are meant to fail there, not here.
    @Test(.timeLimit(.minutes(5)), arguments: MalformedCorpus.groups.map { $0.name })
    func parse(group: String) throws {
        let directory = try TemporaryDirectory()
        let group = try #require(MalformedCorpus.groups.first { $0.name == group })
        for malformed in group.cases {
            let path = try malformed.write(to: directory)
            guard malformed.stage == .parse else {
                #expect(throws: Never.self, "\(malformed.name)") { try GGUFFile(path: path) }
                continue
            }
            let error = #expect(throws: GGUFError.self, "\(malformed.name)") { try GGUFFile(path: path) }
            if let error {
                let name = MalformedCase.caseName(of: error)
                #expect(
                    malformed.expected.isEmpty || malformed.expected.contains(name), "\(malformed.name): \(error)")
                #expect(!error.description.isEmpty)
            }
            for file in try directory.contents() {
                try FileManager.default.removeItem(atPath: directory.path(file))
            }
        }
    }

    /// The same files from memory, where the end of the data is the end of an allocation that AddressSanitizer watches.
    @Test(.timeLimit(.minutes(5))) func parseFromMemory() throws {
        for malformed in MalformedCorpus.cases where malformed.stage == .parse {
            let files = try malformed.files()
            guard files.count == 1, !malformed.name.hasPrefix("split") else { continue }
            #expect(throws: GGUFError.self, "\(malformed.name)") { try GGUFFile(bytes: files[0].bytes) }
        }
    }

    @Test(.timeLimit(.minutes(5))) func everyPrefixIsAnError() throws {
        let bytes = RawFile.sample.bytes
        #expect(throws: Never.self) { try GGUFFile(bytes: bytes) }
        for length in bytes.indices {
            #expect(throws: GGUFError.self, "\(length) bytes") { try GGUFFile(bytes: Array(bytes[..<length])) }
        }
    }

    /// Random damage: either a typed error, or a file whose every value can be read.
    @Test(.timeLimit(.minutes(5)), arguments: [1, 2, 3, 4])
    func randomDamage(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let original = RawFile.sample.bytes
        var survivors = 0
        for _ in 0..<2_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let position = Int.random(in: bytes.indices, using: &random)
                switch UInt8.random(in: 0..<6, using: &random) {
                case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes[position] = [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &random) ?? 0
                case 3: bytes.remove(at: position)
                case 4: bytes.insert(UInt8.random(in: 0...255, using: &random), at: position)
                default: bytes.removeSubrange(position..<min(position + 8, bytes.count))
                }
                if bytes.isEmpty { bytes = original }
            }
            do throws(GGUFError) {
                let file = try GGUFFile(bytes: bytes)
                survivors += 1
                readEverything(file)
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
        // Damage to data and names goes unnoticed; if nothing survived, the test would not have read anything.
        #expect(survivors > 50)
        #expect(survivors < 1_900)
    }

    private func readEverything(_ file: GGUFFile) {
        var checksum = 0
        for key in file.metadata.keys { read(file.metadata[key], into: &checksum) }
        for tensor in file.tensors {
            checksum &+= tensor.elementCount
            for byte in tensor.bytes { checksum &+= Int(byte) }
        }
        #expect(checksum != 0)
    }

    private func read(_ value: GGUFValue?, into checksum: inout Int) {
        guard let array = value?.array else {
            checksum &+= value?.int ?? value?.stringValue?.utf8.count ?? 1
            return
        }
        checksum &+= array.count
        for index in 0..<array.count { read(array[index], into: &checksum) }
        _ = (array.ints(), array.int32s(), array.floats(), array.bools(), array.strings())
    }

    @Test func messagesAreSafeToPrint() throws {
        let error = GGUFError.duplicateKey("a\u{1b}[2Jb\n" + String(repeating: "x", count: 10_000))
        #expect(!error.description.contains("\u{1b}"))
        #expect(!error.description.contains("\n"))
        #expect(error.description.count < 300)
    }

    /// A sparse file has any size for nothing: counts that its size allows must still not be believed. Zeros read as
    /// empty strings, empty arrays, false.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            (9, [8], 1 << 33), (9, [9], 1 << 32), (9, [7], 1 << 35), (9, [0], 1 << 35), (9, [12], 1 << 32),
            (9, [9, 9, 9], 1 << 30), (8, [], 1 << 35),
        ] as [(UInt32, [UInt8], UInt64)])
    func sparseFile(type: UInt32, elementTypes: [UInt8], count: UInt64) throws {
        var payload: [UInt8] = []
        let bytes = withUnsafeBytes(of: count.littleEndian, Array.init)
        if elementTypes.isEmpty { payload += bytes }
        for type in elementTypes { payload += [type, 0, 0, 0] + bytes }
        let directory = try TemporaryDirectory()
        let path = try directory.write(
            RawFile(entries: [.init("k", type: type, payload: payload)]).bytes, to: "sparse.gguf")
        try #require(truncate(path, 1 << 36) == 0)
        let error = #expect(throws: GGUFError.self) { try GGUFFile(path: path) }
        #expect(error.map { MalformedCase.caseName(of: $0) } == "tooMany")
    }

    @Test func notAFile() throws {
        let directory = try TemporaryDirectory()
        #expect(throws: GGUFError.notARegularFile(path: directory.url.path)) { try GGUFFile(path: directory.url.path) }
        let missing = directory.path("missing.gguf")
        #expect(throws: GGUFError.io(path: missing, operation: "open", code: ENOENT)) { try GGUFFile(path: missing) }
        let pipe = directory.path("pipe.gguf")
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(throws: GGUFError.notARegularFile(path: pipe)) { try GGUFFile(path: pipe) }
    }
}
