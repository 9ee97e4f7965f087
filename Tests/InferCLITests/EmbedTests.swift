import Foundation
import GGUF
import TestSupport
import Testing

/// `infer embed` as it is typed.
@Suite struct EmbedTests {
    private let directory: TemporaryDirectory
    private let model: String

    init() throws {
        directory = try TemporaryDirectory()
        model = try ToyModel.llama.write(to: directory)
    }

    private func vectors(_ output: String) -> [[Double]] {
        output.split(separator: "\n").map { $0.split(separator: " ").compactMap { Double($0) } }
    }

    @Test func argumentsAndLinesGiveTheSameVectors() throws {
        let arguments = try InferProcess.run(["embed", "-m", model, "hello world", "hello"])
        #expect(arguments.status == 0 && arguments.errors.isEmpty)
        let found = vectors(arguments.output)
        #expect(found.map(\.count) == [32, 32] && found[0] != found[1])
        for vector in found { #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5) }
        let lines = try InferProcess.run(["embed", "-m", model], input: "hello world\nhello\n")
        #expect(lines.output == arguments.output)
    }

    @Test func json() throws {
        struct Row: Decodable {
            let index: Int
            let tokens: Int
            let embedding: [Double]
        }
        let plain = vectors(try InferProcess.run(["embed", "-m", model, "hello world", "low"]).output)
        let result = try InferProcess.run(["embed", "-m", model, "--json", "hello world", "low"])
        let rows = try JSONDecoder().decode([Row].self, from: Data(result.output.utf8))
        #expect(rows.map(\.index) == [0, 1] && rows.map(\.embedding) == plain)
        #expect(rows.allSatisfy { $0.tokens > 0 })
        let none = try InferProcess.run(["embed", "-m", model, "--json"])
        #expect(none.output == "[]\n" && none.status == 0)
    }

    @Test func poolingAndLength() throws {
        func run(_ options: [String]) throws -> [Double] {
            try vectors(InferProcess.run(["embed", "-m", model, "hello world"] + options).output)[0]
        }
        let last = try run([])
        #expect(try run(["--pooling", "last"]) == last)
        #expect(try run(["--pooling", "mean"]) != last && run(["--pooling", "cls"]) != last)
        let long = try run(["--no-normalize"])
        let length = long.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(zip(long, last).allSatisfy { abs($0 / length - $1) < 1e-5 })
    }

    @Test func errorsNameTheText() throws {
        let long = String(repeating: "x ", count: 200)
        let result = try InferProcess.run(["embed", "-m", model, "hello", long])
        #expect(result.status == 1 && result.errors.contains("text 2") && result.errors.contains("128"))
        #expect(vectors(result.output).count == 1)
        #expect(try InferProcess.run(["embed", "-m", model, "--pooling", "median", "x"]).status == 64)
    }
}
