import Foundation
import GGUF
import TestSupport
import Testing

/// `infer calibrate` and `infer quantize` as they are typed.
@Suite struct QuantizeTests {
    private let directory: TemporaryDirectory
    private let model: String
    private let text: String

    init() throws {
        directory = try TemporaryDirectory()
        model = try ToyModel.qwen35moe.write(to: directory)
        text = directory.path("text.txt")
        try String(repeating: "Once upon a time a small fox said hello world. ", count: 6)
            .write(toFile: text, atomically: true, encoding: .utf8)
    }

    @Test func calibrateThenQuantize() throws {
        let (matrix, out) = (directory.path("imatrix.gguf"), directory.path("out.gguf"))
        let calibrated = try InferProcess.run([
            "calibrate", model, text, "-o", matrix, "--piece-length", "64", "--json",
        ])
        #expect(calibrated.status == 0 && calibrated.errors.isEmpty, "\(calibrated.errors)")
        #expect(calibrated.output.contains("\"experts\""))
        #expect(try GGUFFile(path: matrix).metadata["general.type"]?.stringValue == "imatrix")
        for options in [["--imatrix", matrix], ["--text", text], ["--text", text, "--gptq"]] {
            let result = try InferProcess.run(
                ["quantize", model, out, "Q4_0", "--piece-length", "64"] + options)
            #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
            #expect(try GGUFFile(path: out).tensor("blk.1.attn_q.weight")?.type == .q4_0)
        }
        let budget = try InferProcess.run(
            ["quantize", model, out, "--budget", "9bpw", "--text", text, "--piece-length", "64"])
        #expect(budget.status == 0, "\(budget.errors)")
        let file = try GGUFFile(path: out)
        let weights = file.tensors.reduce(0) { $0 + $1.elementCount }
        #expect(file.tensors.reduce(0) { $0 + $1.byteCount } * 8 <= 9 * weights)
    }

    @Test(
        arguments: [
            (["calibrate", "MODEL", "EMPTY", "-o", "OUT"], "0 tokens"),
            (["calibrate", "MODEL", "SHORT", "-o", "OUT"], "expected at least 32"),
            (["calibrate", "MODEL", "MISSING", "-o", "OUT"], "no such file"),
            (["calibrate", "TEXT", "TEXT", "-o", "OUT"], "GGUF"),
            (["quantize", "MODEL", "OUT", "Q4_0", "--text", "EMPTY", "--gptq"], "0 tokens"),
            (["quantize", "MODEL", "OUT", "Q4_0", "--imatrix", "MODEL"], "no importance matrix"),
            (["quantize", "MODEL", "OUT", "--budget", "0.5bpw", "--text", "TEXT"], "too few"),
        ])
    func badInputIsRefused(arguments: [String], message: String) throws {
        try "".write(toFile: directory.path("empty.txt"), atomically: true, encoding: .utf8)
        try "a fox".write(toFile: directory.path("short.txt"), atomically: true, encoding: .utf8)
        let before = try directory.contents()
        let places = [
            "MODEL": model, "TEXT": text, "EMPTY": directory.path("empty.txt"), "SHORT": directory.path("short.txt"),
            "MISSING": directory.path("missing.txt"), "OUT": directory.path("out.gguf"),
        ]
        let result = try InferProcess.run(arguments.map { places[$0] ?? $0 })
        #expect(result.status == 1 && result.output.isEmpty)
        #expect(result.errors.contains(message), "\(result.errors)")
        #expect(try directory.contents() == before, "nothing is left")
    }

    @Test(
        arguments: [
            ["--gptq", "Q4_0"], ["--budget", "4bpw"], [], ["Q4_0", "--budget", "4", "--text", "x"],
            ["--budget", "-1", "--text", "x"], ["Q4_0", "--text", "x", "--piece-length", "3"],
        ])
    func optionsThatDoNotGoTogether(options: [String]) throws {
        let result = try InferProcess.run(["quantize", model, directory.path("out.gguf")] + options)
        #expect(result.status == 64)
    }
}
