import ChatTemplates
import TestSupport
import Testing

@testable import InferKit

struct GrammarTests {
    private func verdict(_ schema: JSONValue, _ text: String) throws -> Bool {
        try TextGrammar(schema: schema).accepts(text)
    }

    private func error(_ schema: JSONValue) -> GrammarError? {
        do {
            _ = try TextGrammar(schema: schema)
            return nil
        } catch {
            return error
        }
    }

    // MARK: Schemas

    private static let refusals: [(String, GrammarError)] = [
        (#"{"type": "object", "if": {}}"#, .unsupportedKeyword("if", path: "/if")),
        (
            #"{"properties": {"a/b": {"uniqueItems": true}}}"#,
            .unsupportedKeyword("uniqueItems", path: "/properties/a~1b/uniqueItems")
        ),
        (#"{"type": "string", "minLenght": 1}"#, .unsupportedKeyword("minLenght", path: "/minLenght")),
        (#"{"$ref": "other.json"}"#, .unsupportedKeyword("$ref to 'other.json' (only '#' and '#/…')", path: "/$ref")),
        (#"{"type": "string", "format": "iri"}"#, .unsupportedKeyword("format iri", path: "/format")),
        (
            #"{"type": "string", "pattern": "(?=a)"}"#,
            .unsupportedKeyword("pattern with the group (?=", path: "/pattern")
        ),
        (
            #"{"type": "string", "pattern": "[a"}"#,
            .invalidSchema(message: "pattern: unterminated class", path: "/pattern")
        ),
        (
            ##"{"$ref": "#"}"##,
            .invalidSchema(message: "the schema refers to itself without anything between", path: "")
        ),
        (#"{"type": "string", "minLength": 3, "maxLength": 2}"#, .unsatisfiable(path: "")),
        (##"{"type": "array", "items": {"$ref": "#"}, "minItems": 1}"##, .unsatisfiable(path: "")),
        (
            #"{"oneOf": [{"type": "integer"}, {"type": "number"}]}"#,
            .unsupportedKeyword("oneOf whose branches 0 and 1 can hold together (use anyOf)", path: "/oneOf")
        ),
    ]

    @Test(arguments: refusals)
    func refused(_ schema: String, _ expected: GrammarError) throws {
        let parsed = try JSONValue(parsing: schema)
        #expect(error(parsed) == expected)
    }

    /// Texts that a generator would write in another way than the shared cases.
    @Test(arguments: [
        (#"{"type": "object", "properties": {"a": {}}, "additionalProperties": true}"#, #"{"a": 1, "b": 2}"#, true),
        (#"{"type": "object", "properties": {"a": {}}, "additionalProperties": true}"#, #"{"b": 2, "a": 1}"#, true),
        (#"{"type": "object", "properties": {"a": {}}}"#, #"{"b":1}"#, false),
        (#"{"type": "array", "items": {"type": "null"}}"#, "[\n  null,\n  null\n]", true),
        (#"{"type": "array", "items": {"type": "null"}}"#, "[  null]", false),
        (#"{"type": "array", "items": {"type": "null"}}"#, "[ ]", false),
        ("{}", "{\n  \"a\": [\n    1,\n    {}\n  ], \"b\": {\"c\": []}\n}", true),
        ("{}", "{\n    \"a\": [1, {\"b\":2}],\n    \"c\": {\n        \"d\": null\n    }\n}", true),
        ("{}", "{\n\t\"a\": [\n\t\tnull\n\t]\n}", true),
        ("{}", "{\"a\": 1 }", true), ("{}", "{ \"a\" :1}", false), ("{}", "{\"a\":  1}", false),
        ("{}", "{\"a\":\n1}", false), ("{}", "{\"a\": 1\n  }", false), ("{}", "{\n   \"a\": 1\n}", false),
        ("{}", "{\n\n  \"a\": 1\n}", false), ("{}", "{\r\n  \"a\": 1\n}", false),
        (#"{"type": "object", "minProperties": 2, "maxProperties": 3}"#, #"{"a":1}"#, false),
        (#"{"type": "object", "minProperties": 2, "maxProperties": 3}"#, #"{"a":1,"b":1,"c":1}"#, true),
        (#"{"type": "object", "minProperties": 2, "maxProperties": 3}"#, #"{"a":1,"b":1,"c":1,"d":1}"#, false),
        (#"{"properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2}"#, #"{"b":0}"#, false),
        (#"{"properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2}"#, #"{"b":0,"c":0}"#, true),
        (#"{"type": "string", "pattern": "^a.*c$", "maxLength": 2}"#, #""abc""#, false),
        (#"{"type": "string", "pattern": "b"}"#, #""abc""#, true),
        (#"{"type": "string"}"#, #""\ud83e\udd99\u00e9""#, true),
        (#"{"type": "string"}"#, #""\ud83e""#, false),
        (#"{"type": "string", "maxLength": 1}"#, #""\ud83e\udd99""#, true),
        (#"{"type": "string", "format": "date"}"#, #""2023-02-29""#, false),
        (#"{"type": "string", "format": "ipv6"}"#, #""::ffff:1.2.3.4""#, true),
        (#"{"type": "string", "format": "ipv6"}"#, #""1::2::3""#, false),
        (#"{"type": "number", "multipleOf": 0.05}"#, "1.15", true),
        (#"{"type": "number", "multipleOf": 0.05}"#, "1.13", false),
        (#"{"type": "number", "minimum": -1.5, "maximum": 2.25}"#, "-1.50", true),
        (#"{"type": "number", "minimum": -1.5, "maximum": 2.25}"#, "-1.51", false),
        (#"{"type": "number", "minimum": -1.5, "maximum": 2.25}"#, "2.249999", true),
        (#"{"type": "number", "minimum": -1.5, "maximum": 2.25}"#, "2.2500001", false),
        (#"{"type": "integer", "multipleOf": 7, "minimum": 1000000000000}"#, "1000000000006", true),
        (#"{"type": "integer", "multipleOf": 7, "minimum": 1000000000000}"#, "1000000000007", false),
        (#"{"type": "integer", "not": {"const": 5}, "minimum": 4, "maximum": 6}"#, "5", false),
        (#"{"not": {"type": "object"}}"#, "{}", false),
        (#"{"type": "string", "not": {"enum": ["é"]}}"#, "\"e\u{301}\"", true),
        (
            #"{"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}}"#, #"{"b":1}"#,
            true
        ),
        (#"{"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}}"#, "{}", false),
        (#"{"type": "array", "items": [{"type": "null"}], "additionalItems": false}"#, "[null]", true),
        (#"{"type": "array", "items": [{"type": "null"}], "additionalItems": false}"#, "[null,1]", false),
    ])
    func schema(_ schema: String, _ text: String, _ isAccepted: Bool) throws {
        #expect(try verdict(JSONValue(parsing: schema), text) == isAccepted)
    }

    /// The automata of bounded numbers against comparison of integers.
    @Test func integerBounds() throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<60 {
            let low = Int.random(in: -300...300, using: &random)
            let high = low + Int.random(in: 0...400, using: &random)
            let factor = Int.random(in: 1...4, using: &random)
            let grammar = try? TextGrammar(
                schema: ["type": "integer", "minimum": .int(low), "maximum": .int(high), "multipleOf": .int(factor)])
            for value in (low - 30)...(high + 30) {
                let isValid = low...high ~= value && value % factor == 0
                #expect(
                    try (grammar?.accepts(String(value)) ?? false) == isValid,
                    "\(value) in \(low)...\(high) by \(factor)")
            }
        }
    }

    // MARK: Hostile input

    @Test(arguments: [
        #"root ::= root "a" | "b""#, #"root ::= ("a"?){0,20000}"#,
        "root ::= " + String(repeating: "(", count: 5000) + "\"a\"" + String(repeating: ")", count: 5000),
        "root ::= \"a\"" + String(repeating: "*", count: 5000), "root ::= \"a\" root", "root ::= [b-a]",
        "root ::= \"\\xZZ\"",
        "root ::= \"a\"\nroot ::= \"b\"", "root ::= \"\\ud800\"", "root = \"a\"", "root ::= \"a", "root ::= \"a\"{",
        "root ::= \"a\"{1", "",
    ])
    func hostileGrammar(_ source: String) throws {
        do {
            let grammar = try TextGrammar(gbnf: source)
            // What is not refused must be bounded work.
            _ = try grammar.accepts(String(repeating: "a", count: 1000))
            Issue.record("accepted: \(source.prefix(60))")
        } catch {}
    }

    @Test func ambiguityIsBounded() throws {
        // 2^n readings, and lists of pending calls that grow with the text.
        let doubled = try TextGrammar(gbnf: #"root ::= "a" root x | "a" root y | """# + "\nx ::= \"b\"\ny ::= \"b\"")
        #expect(try doubled.accepts(String(repeating: "a", count: 500) + String(repeating: "b", count: 500)))
        #expect(try !doubled.accepts(String(repeating: "a", count: 500) + String(repeating: "b", count: 499)))
        let pending = try TextGrammar(gbnf: #"root ::= "a" root root | "a""#)
        #expect(throws: GrammarError.self) { try pending.accepts(String(repeating: "a", count: 20_000)) }
        let nested = try TextGrammar(schema: [:])
        #expect(try nested.accepts(String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)))
        #expect(throws: GrammarError.self) { try nested.accepts(String(repeating: "[", count: 400_000)) }
        let list = try TextGrammar(gbnf: #"root ::= "a" root | "b""#)
        #expect(try list.accepts(String(repeating: "a", count: 300_000) + "b"))
    }

    @Test(arguments: [
        ##"{"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}"##,
        #"{"type": "string", "pattern": "(a|b)*a(a|b){30}"}"#,
        #"{"type": "string", "pattern": "((a{1000}){1000}){1000}"}"#,
        #"{"type": "string", "maxLength": 1000000000}"#, #"{"type": "array", "minItems": 1e300}"#,
        #"{"minimum": 1e308, "maximum": -1e308, "type": "number"}"#,
        #"{"type": "array", "items": {"type": "array", "maxItems": 20000, "items": {"enum": [1, 2]}}, "minItems": 99999999999999999999}"#,
    ])
    func hostileSchema(_ schema: String) throws {
        #expect(throws: GrammarError.self) { try TextGrammar(schema: JSONValue(parsing: schema)) }
    }
}
