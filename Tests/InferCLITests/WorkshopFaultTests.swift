import Foundation
import GGUF
import TestSupport
import Testing

/// What the commands that write models do when something is wrong: one line, exit code 1, and no file under the name
/// that was asked for.
@Suite struct WorkshopFaultTests {
    private let directory: TemporaryDirectory
    private let model: String
    private let target: String

    init() throws {
        directory = try TemporaryDirectory()
        model = try ToyModel.qwen35moe.write(to: directory, name: "model.gguf")
        target = directory.path("target.gguf")
    }

    private func expectFault(_ result: InferProcess.Result, _ message: String, _ before: [String]) throws {
        #expect(result.status == 1 && result.output.isEmpty)
        #expect(result.errors.contains(message), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(try directory.contents() == before, "nothing is left")
    }

    // MARK: What is read

    /// A folder to convert, and what becomes of it.
    private static let brokenFolders: [(String, @Sendable (inout ConvertFolder) throws -> Void)] = [
        ("cut off or damaged", { try cut($0.directory.path("model-00002-of-00003.safetensors"), by: 100) }),
        ("model-00002-of-00003.safetensors: No such file", { remove("model-00002-of-00003.safetensors", of: $0) }),
        ("config.json: no such file", { remove("config.json", of: $0) }),
        ("holds neither tokenizer.json nor tokenizer.model", { remove("tokenizer.json", of: $0) }),
        (
            "\"model.layers.1.mlp.up_proj.weight\" is missing",
            { folder in
                folder.remove("model.layers.1.mlp.up_proj.weight")
                try folder.write(shards: 3)
            }
        ),
        (
            "has shape [64, 96], expected [96, 64]",
            { folder in
                folder.add("model.layers.1.mlp.up_proj.weight", [64, 96])
                try folder.write(shards: 3)
            }
        ),
        (
            "row 1, column 0 is nan",
            { folder in
                folder.set("model.norm.weight", [64], [Float](repeating: 1, count: 64))
                let values = (0..<96 * 64).map { $0 == 64 ? Float.nan : 0 }
                folder.set("model.layers.1.mlp.up_proj.weight", [96, 64], values)
                try folder.write(shards: 3)
            }
        ),
    ]

    private static func remove(_ name: String, of folder: ConvertFolder) {
        try? FileManager.default.removeItem(atPath: folder.directory.path(name))
    }

    private static func cut(_ path: String, by bytes: Int) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.truncate(atOffset: try file.seekToEnd() - UInt64(bytes))
    }

    @Test(arguments: brokenFolders.indices)
    func foldersThatCannotBeConverted(index: Int) throws {
        let (message, damage) = Self.brokenFolders[index]
        var folder = try ConvertFolder.llama()
        try folder.write(shards: 3)
        try damage(&folder)
        let before = try directory.contents()
        try expectFault(try InferProcess.run(["convert", folder.path, "-o", target]), message, before)
    }

    @Test func convertIsNotForOtherThings() throws {
        let folder = try ConvertFolder.llama()
        try folder.write()
        let before = try directory.contents()
        for (arguments, message) in [
            (["convert", directory.path("none"), "-o", target], "no such folder"),
            (["convert", model, "-o", target], "no such folder"),
            (["convert", folder.path, "-o", directory.path("none/x.gguf")], "no such file or directory"),
            (["convert", folder.path, "-o", target, "--base", folder.path], "is no adapter"),
        ] { try expectFault(try InferProcess.run(arguments), message, before) }
        #expect(try InferProcess.run(["convert", folder.path]).status == 64)
        #expect(try InferProcess.run(["convert", folder.path, "-o", target, "--type", "q9"]).status == 64)
    }

    /// A command that reads several files says which one is at fault.
    @Test(arguments: [
        ["quantize", "CUT", "TARGET", "Q4_0"], ["edit", "CUT", "TARGET", "--name", "x"],
        ["split", "CUT", "TARGET", "--max-tensors", "9"], ["merge", "CUT", "TARGET"],
        ["calibrate", "CUT", "TEXT", "-o", "TARGET"], ["inspect", "CUT", "--stats"],
        ["inspect", "MODEL", "--diff", "CUT"], ["eval", "perplexity", "-m", "CUT", "TEXT"],
        ["eval", "kl", "-m", "MODEL", "--reference", "CUT", "TEXT"], ["eval", "experts", "CUT", "TEXT"],
        ["eval", "speed-quality", "FOLDER", "--text", "TEXT"],
    ])
    func filesThatAreCutOff(arguments: [String]) throws {
        let cut = try ToyModel.qwen35moe.write(to: directory, name: "cut.gguf")
        try Self.cut(cut, by: 100)
        let text = try directory.write(Array(String(repeating: "A fox said hello. ", count: 40).utf8), to: "text")
        let places = ["CUT": cut, "TARGET": target, "MODEL": model, "TEXT": text, "FOLDER": directory.url.path]
        let before = try directory.contents()
        try expectFault(try InferProcess.run(arguments.map { places[$0] ?? $0 }), "cut.gguf: tensor", before)
    }

    @Test(arguments: [["quantize", "Q4_0"], ["quantize", "F16"]])
    func weightsThatAreNoNumbers(command: [String]) throws {
        var toy = ToyModel.qwen35moe
        toy.floats("extra.weight", [32, 2], (0..<64).map { $0 == 33 ? .nan : 1 })
        let source = try toy.write(to: directory, name: "nan.gguf")
        let before = try directory.contents()
        let result = try InferProcess.run([command[0], source, target] + command.dropFirst())
        try expectFault(result, "tensor \"extra.weight\": row 1, column 1 is nan", before)
    }

    // MARK: What is written

    @Test(arguments: [
        ["quantize", "MODEL", "TARGET", "Q4_0"], ["edit", "MODEL", "TARGET", "--name", "x"],
        ["convert", "FOLDER", "-o", "TARGET"],
        ["eval", "perplexity", "-m", "MODEL", "TEXT", "--save-logits", "TARGET"],
        ["eval", "perplexity", "-m", "MODEL", "TEXT", "-o", "TARGET"],
        ["eval", "experts", "MODEL", "TEXT", "--plot", "TARGET"],
    ])
    func onlyFilesAreReplaced(arguments: [String]) throws {
        let folder = try ConvertFolder.llama()
        try folder.write()
        try #require(mkfifo(target, 0o600) == 0)
        let text = try directory.write(Array("A fox said hello.".utf8), to: "text")
        let places = ["TARGET": target, "MODEL": model, "TEXT": text, "FOLDER": folder.path]
        let before = try directory.contents()
        try expectFault(try InferProcess.run(arguments.map { places[$0] ?? $0 }), "is not a regular file", before)
    }

    /// Found out before the work, not after it.
    @Test(arguments: [
        ["perplexity", "-m", "MODEL", "TEXT", "-o"], ["perplexity", "-m", "MODEL", "TEXT", "--save-logits"],
        ["experts", "MODEL", "TEXT", "--plot"], ["experts", "MODEL", "TEXT", "-o"],
        ["speed-quality", "FOLDER", "--text", "TEXT", "--plot"],
    ])
    func placesForResultsThatAreNotThere(arguments: [String]) throws {
        let text = try directory.write(Array("A fox said hello.".utf8), to: "text")
        let places = ["MODEL": model, "TEXT": text, "FOLDER": directory.url.path]
        let before = try directory.contents()
        let result = try InferProcess.run(
            ["eval"] + arguments.map { places[$0] ?? $0 } + [directory.path("none/result")])
        try expectFault(result, "there is no folder", before)
    }

    /// A limit on the size of files stands for a full disk: writing fails half-way.
    @Test(arguments: [
        ["edit", "LARGE", "TARGET", "--name", "x"], ["split", "LARGE", "TARGET", "--max-size", "100K"],
        ["merge", "PART", "TARGET"], ["convert", "FOLDER", "-o", "TARGET"], ["quantize", "LARGE", "TARGET", "F16"],
        ["calibrate", "MODEL", "TEXT", "-o", "TARGET"],
    ])
    func aFullDiskLeavesNothing(arguments: [String]) throws {
        var toy = ToyModel.qwen35moe
        toy.random("large.weight", [1 << 14, 2])
        let large = try toy.write(to: directory, name: "large.gguf")
        var rule = GGUFSplitRule()
        rule.maximumTensors = 20
        let parts = try toy.writer().write(splitPrefix: directory.path("p"), rule: rule)
        let folder = try ConvertFolder.llama()
        try folder.write()
        let text = String(repeating: "A small fox said hello to the world. ", count: 40)
        let places = [
            "MODEL": model, "LARGE": large, "TARGET": target, "PART": parts[0].path, "FOLDER": folder.path,
            "TEXT": try directory.write(Array(text.utf8), to: "text"),
        ]
        let before = try directory.contents()
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments =
            [
                "-c", "trap '' XFSZ; ulimit -f \(arguments[0] == "calibrate" ? 4 : 64); exec \"$@\"", "sh",
                InferProcess.executable.path,
            ] + arguments.map { places[$0] ?? $0 }
        let errors = Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let message = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 1 && message.contains("cannot write"), "\(message)")
        #expect(message.split(separator: "\n").count == 1, "\(message)")
        // What was quantized stays for the next call.
        let left = try directory.contents().filter { !(arguments[0] == "quantize" && $0.hasSuffix(".part")) }
        #expect(left == before)
    }

    // MARK: Ctrl-C

    /// The program waits for the interrupt once it has shown its progress, so that it always comes in time.
    @Test(arguments: [
        ["convert", "FOLDER", "-o", "TARGET"], ["edit", "LARGE", "TARGET", "--name", "x"],
        ["quantize", "LARGE", "TARGET", "Q8_0"],
    ])
    func anInterruptLeavesNoFile(arguments: [String]) throws {
        var folder = try ConvertFolder.llama()
        let layer = folder.tensors.filter { $0.name.hasPrefix("model.layers.1.") }
        folder.config["num_hidden_layers"] = 200
        for number in 2..<200 {
            for tensor in layer {
                folder.tensors.append(tensor)
                folder.tensors[folder.tensors.count - 1].name.replace("layers.1.", with: "layers.\(number).")
            }
        }
        try folder.write()
        var toy = ToyModel.qwen35moe
        for number in 0..<2000 { toy.random("extra.\(number)", [64]) }
        let large = try toy.write(to: directory, name: "large.gguf")
        let before = try directory.contents()
        let places = ["LARGE": large, "TARGET": target, "FOLDER": folder.path]
        let session = try TerminalSession(
            arguments.map { places[$0] ?? $0 }, environment: ["INFER_TEST_PAUSE": "work"])
        try session.wait(for: "ing ")
        try session.interrupt()
        let resumes = arguments[0] == "quantize"
        try session.wait(
            for: "interrupted; " + (resumes ? "the same command goes on where it was" : "nothing is written"))
        #expect(session.end() == 130)
        #expect(try directory.contents().filter { !(resumes && $0.hasSuffix(".part")) } == before)
        guard resumes else { return }
        #expect(try InferProcess.run(arguments.map { places[$0] ?? $0 }).status == 0)
        #expect(try directory.contents() == (before + ["target.gguf"]).sorted())
    }
}
