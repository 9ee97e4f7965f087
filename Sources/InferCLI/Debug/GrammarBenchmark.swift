import ChatTemplates
import Foundation
import GGUF
import InferKit
import Tokenization

/// Measures what masks cost: follows documents under their schemas and asks for the mask before every token.
struct GrammarBenchmark {
    /// The GGUF file with the vocabulary.
    let path: String

    func run() throws {
        let tokenizer = try Tokenizer(GGUFFile(path: path).metadata)
        let compiler = GrammarCompiler(tokenizer: tokenizer)
        var logits = [Float](repeating: 0, count: tokenizer.vocabularySize)
        // The vocabulary is arranged once for a model.
        let start = ContinuousClock.now
        _ = try compiler.constraint(forGBNF: "root ::= \"\"")
        try printLine(["vocabulary": .int(tokenizer.vocabularySize), "arranged_ms": milliseconds(since: start)])
        try forEachLine { line in
            do {
                return try measure(line, tokenizer, compiler, &logits).text(.spaced)
            } catch {
                return JSONValue.object(JSONObject([("error", .string("\(error)"))])).text(.spaced)
            }
        }
    }

    private func measure(
        _ line: Data, _ tokenizer: Tokenizer, _ compiler: GrammarCompiler, _ logits: inout [Float]
    ) throws -> JSONValue {
        let request = try JSONValue(parsing: [UInt8](line))
        let text = request["text"]?.stringValue ?? ""
        let start = ContinuousClock.now
        let constraint =
            if let schema = request["schema"] {
                try compiler.constraint(forSchema: schema)
            } else {
                try compiler.constraint(forGBNF: request["gbnf"]?.stringValue ?? "")
            }
        let compiling = milliseconds(since: start)
        var mask = TokenMask(count: tokenizer.vocabularySize)
        var costs: [Double] = []
        for token in tokenizer.encode(text, addSpecial: false, parseSpecial: false) {
            let before = Self.threadMilliseconds()
            try constraint.mask(into: &mask)
            logits.withUnsafeMutableBufferPointer { mask.apply(to: $0) }
            costs.append(Self.threadMilliseconds() - before)
            guard mask[token] else { throw CommandError("token \(token) of the text is not in the mask") }
            try constraint.accept(token)
        }
        try constraint.mask(into: &mask)
        let inOrder = costs
        costs.sort()
        return [
            "name": request["name"] ?? .null, "compile_ms": compiling, "tokens": .int(costs.count),
            "complete": .bool(constraint.isAccepting), "median_ms": .double(costs.isEmpty ? 0 : costs[costs.count / 2]),
            "p99_ms": .double(costs.isEmpty ? 0 : costs[costs.count * 99 / 100]), "worst_ms": .double(costs.last ?? 0),
            "all_ms": .array(inOrder.map { .double($0) }),
        ]
    }

    /// Time that this thread has computed: another program's turn on the core is no part of a mask's cost.
    private static func threadMilliseconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
    }

    private func milliseconds(since start: ContinuousClock.Instant) -> JSONValue {
        .double((ContinuousClock.now - start) / .milliseconds(1))
    }

    private func printLine(_ value: JSONValue) throws {
        try StandardOutput.line(value.text(.spaced))
    }
}
