import ChatTemplates
import Foundation
import TestSupport
import Testing

@testable import InferKit

/// The shared cases: schemas with texts that satisfy them or not, grammars with the verdicts of llama.cpp.
@Suite(.enabled(if: SharedData.conformance != nil))
struct GrammarConformanceTests {
    private static func cases(_ name: String) throws -> [JSONValue] {
        let folder = try #require(SharedData.conformance)
        let data = try Data(contentsOf: folder.appending(path: "json-schema/\(name)"))
        return try data.split(separator: 0x0A).map { try JSONValue(parsing: Array($0)) }
    }

    private static func texts(_ value: JSONValue?) -> [String] { value?.arrayValue?.compactMap(\.stringValue) ?? [] }

    @Test func schemas() throws {
        let cases = try Self.cases("schemas.jsonl")
        #expect(cases.count > 100)
        var refused: [String] = []
        for entry in cases {
            let name = try #require(entry["name"]?.stringValue)
            let grammar: TextGrammar
            do {
                grammar = try TextGrammar(schema: try #require(entry["schema"]))
            } catch let error as GrammarError {
                guard case .unsupportedKeyword = error else { throw error }
                #expect(entry["level"] == "extended", "\(name): \(error)")
                refused.append(name)
                continue
            }
            for text in Self.texts(entry["valid"]) { #expect(try grammar.accepts(text), "\(name) refuses \(text)") }
            for text in Self.texts(entry["invalid"]) { #expect(try !grammar.accepts(text), "\(name) accepts \(text)") }
        }
        #expect(refused.sorted() == ["array_contains", "if_then_else"])
    }

    @Test func grammars() throws {
        let cases = try Self.cases("gbnf.jsonl")
        #expect(cases.count > 40)
        for entry in cases {
            let name = try #require(entry["name"]?.stringValue)
            let source = try #require(entry["grammar"]?.stringValue)
            if entry["error"] == true {
                #expect(throws: GrammarError.self, "\(name)") { try TextGrammar(gbnf: source) }
                continue
            }
            let grammar = try TextGrammar(gbnf: source)
            for text in Self.texts(entry["accepted"]) { #expect(try grammar.accepts(text), "\(name) refuses \(text)") }
            for text in Self.texts(entry["rejected"]) { #expect(try !grammar.accepts(text), "\(name) accepts \(text)") }
        }
    }
}
