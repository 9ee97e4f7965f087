import ArgumentParser
import ChatTemplates
import Engine
import Foundation
import InferKit

/// `infer debug grammar`: does a text satisfy a schema or grammar?
struct GrammarDoor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grammar",
        abstract: "Read JSON Schemas or GBNF grammars with texts as JSON lines, print verdicts as JSON lines.",
        discussion: """
            Each line of standard input is an object {"schema": …, "text": …} or {"gbnf": …, "text": …}; without a text \
            only the schema or grammar is checked. With "samples": N and "seed": N there is no verdict, but texts of the \
            grammar, made at random: {"texts": […]}. Each gives one line {"accepted": bool}, or {"error": …} for a schema \
            or grammar that cannot be enforced.

            With --bench a file of documents (JSON lines with a schema or grammar each) is generated under its mask, \
            token by token, and the cost of the masks is printed. The model file may be a vocabulary alone.
            """)

    @Option(help: "Instead: measure masks with this file's vocabulary.", completion: .file(extensions: ["gguf"]))
    var bench: String?

    func run() throws {
        if let bench { return try GrammarBenchmark(path: bench).run() }
        var last: (key: JSONValue, grammar: Result<TextGrammar, GrammarError>)?
        try forEachLine { Self.reply(to: $0, &last).text(.spaced) }
    }

    /// - Parameter last: the grammar of the line before, since many texts often go with one.
    static func reply(
        to line: Data, _ last: inout (key: JSONValue, grammar: Result<TextGrammar, GrammarError>)?
    ) -> JSONValue {
        let expected = "expected {\"schema\": …, \"text\": string} or {\"gbnf\": string, \"text\": string}"
        let request: JSONValue
        do {
            request = try JSONValue(parsing: [UInt8](line))
        } catch {
            return ["error": .string("\(expected): \(error)")]
        }
        guard let key = request["schema"] ?? request["gbnf"],
            request["text"]?.stringValue != nil || request["text"] == nil
        else { return ["error": .string(expected)] }
        let grammar: Result<TextGrammar, GrammarError>
        if let last, last.key == key {
            grammar = last.grammar
        } else {
            grammar = compile(request)
            last = (key, grammar)
        }
        do {
            let compiled = try grammar.get()
            if let count = request["samples"]?.intValue {
                return ["texts": .array(try samples(of: compiled, count, seed: request["seed"]?.intValue ?? 0))]
            }
            guard let text = request["text"]?.stringValue else { return ["accepted": nil] }
            return ["accepted": .bool(try compiled.accepts(text))]
        } catch {
            return ["error": .string(error.description)]
        }
    }

    private static func samples(
        of grammar: TextGrammar, _ count: Int, seed: Int
    ) throws(GrammarError) -> [JSONValue] {
        var random = RandomSource(seed: UInt64(bitPattern: Int64(seed)))
        var texts: [JSONValue] = []
        for _ in 0..<min(max(count, 0), 10_000) {
            guard let bytes = try grammar.sample(using: &random) else { continue }
            texts.append(.string(String(decoding: bytes, as: UTF8.self)))
        }
        return texts
    }

    private static func compile(_ request: JSONValue) -> Result<TextGrammar, GrammarError> {
        Result { () throws(GrammarError) in
            if let schema = request["schema"] { return try TextGrammar(schema: schema) }
            return try TextGrammar(gbnf: request["gbnf"]?.stringValue ?? "")
        }
    }
}
