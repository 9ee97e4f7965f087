import ChatTemplates
import TestSupport
import Testing

@testable import InferKit

/// Schemas made to be expensive: each is refused with an error or compiled, with a bounded amount of work. What a case
/// would cost without bounds is minutes to for ever, so the limit on time is no measurement.
@Suite(.timeLimit(.minutes(5))) struct HostileSchemaTests {
    private static func strings(_ count: Int, _ text: (Int) -> String) -> JSONValue {
        .array((0..<count).map { .string(text($0)) })
    }

    /// `$defs` in which each definition uses the next twice.
    private static func doubling(_ levels: Int, _ use: (JSONValue, JSONValue) -> JSONValue, _ last: JSONValue)
        -> JSONValue
    {
        var definitions = JSONObject()
        for level in 0..<levels {
            let next: JSONValue = ["$ref": .string("#/$defs/\(level + 1)")]
            definitions["\(level)"] = use(next, next)
        }
        definitions["\(levels)"] = last
        return ["$ref": "#/$defs/0", "$defs": .object(definitions)]
    }

    private static func nested(_ levels: Int, _ wrap: (JSONValue) -> JSONValue) -> JSONValue {
        (0..<levels).reduce(["type": "null"]) { schema, _ in wrap(schema) }
    }

    private static func properties(_ count: Int) -> JSONValue {
        let members = (0..<count).map { ("property \($0)", ["type": "integer"] as JSONValue) }
        return ["type": "object", "properties": .object(JSONObject(members))]
    }

    private static func scalar(_ value: Int) -> String { String(Unicode.Scalar(UInt32(value)) ?? "x") }

    private static let cases: [String: JSONValue] = [
        "many strings": ["enum": strings(20_000) { "value \($0)" }],
        "many characters": ["enum": strings(20_000) { scalar(0x4E00 + $0) }, "minLength": 1],
        "two lists of characters": [
            "allOf": [["enum": strings(6000) { scalar(0x4E00 + $0) }], ["enum": strings(6000) { scalar(0x4F00 + $0) }]]
        ],
        "many numbers": ["enum": .array((0..<20_000).map { .int($0) }), "multipleOf": 3],
        "two lists of numbers": [
            "allOf": [
                ["enum": .array((0..<20_000).map { .int($0) })], ["enum": .array((0..<20_000).map { .int(-$0) })],
            ]
        ],
        "many numbers excluded": ["type": "integer", "not": ["enum": .array((0..<5000).map { .int($0) })]],
        "many strings excluded": ["type": "string", "not": ["enum": strings(5000) { scalar(0x4E00 + $0) }]],
        "a long text": ["const": .string(String(repeating: "é", count: 1 << 20))],
        "a long list": ["const": .array(Array(repeating: 1, count: 60_000))],
        "many values of objects": ["enum": .array((0..<2000).map { ["a": .int($0)] as JSONValue })],
        "deep properties": nested(250) { ["type": "object", "properties": ["a": $0], "required": ["a"]] },
        "deep items": nested(250) { ["type": "array", "items": $0] },
        "deep alternatives": nested(250) { ["anyOf": [$0, ["type": "string"]]] },
        "doubled allOf": doubling(40, { ["allOf": [$0, $1]] }, ["type": "integer", "not": ["const": 5]]),
        "doubled allOf of texts": doubling(40, { ["allOf": [$0, $1]] }, ["type": "string", "pattern": "^a+$"]),
        "doubled anyOf": doubling(40, { ["anyOf": [$0, $1]] }, ["type": "integer"]),
        "doubled properties": doubling(
            200, { ["type": "object", "properties": ["a": $0, "b": $1]] }, ["type": "integer"]),
        "alternatives of alternatives": [
            "allOf": .array(
                (0..<12).map { place in ["anyOf": [["minLength": .int(place)], ["maxLength": 90]]] as JSONValue })
        ],
        // Lists that refer to themselves with 2, 3, 5, 7, 11, 13, 17 steps: what holds at once comes again after 510510.
        "cycles of primes": {
            var definitions = JSONObject()
            for prime in [2, 3, 5, 7, 11, 13, 17] {
                for step in 0..<prime {
                    definitions["\(prime).\(step)"] = [
                        "type": "array", "items": ["$ref": .string("#/$defs/\(prime).\((step + 1) % prime)")],
                    ]
                }
            }
            let all = [2, 3, 5, 7, 11, 13, 17].map {
                JSONValue(dictionaryLiteral: ("$ref", .string("#/$defs/\($0).0")))
            }
            return ["allOf": .array(all), "$defs": .object(definitions)]
        }(),
        "2000 properties": properties(2000), "5000 properties": properties(5000),
        "many properties counted": [
            "type": "object",
            "properties": .object(JSONObject((0..<5000).map { ("p\($0)", ["type": "null"] as JSONValue) })),
            "minProperties": 2500,
        ],
        "patterns of names that overlap": [
            "patternProperties": .object(JSONObject((0..<40).map { ("^.{\($0)}a", ["type": "null"] as JSONValue) }))
        ],
        "many branches": [
            "oneOf": .array(
                (0..<200).map { ["properties": ["kind": ["const": .int($0)]], "required": ["kind"]] as JSONValue })
        ],
        "many branches of texts": [
            "oneOf": .array((0..<150).map { branch in ["enum": strings(100) { "\(branch) \($0)" }] as JSONValue })
        ],
        "counts of counts": nested(30) { ["type": "array", "items": $0, "minItems": 2, "maxItems": 20_000] },
        "long texts": [
            "type": "object",
            "properties": .object(
                JSONObject((0..<40).map { ("\($0)", ["type": "string", "maxLength": 20_000] as JSONValue) })),
        ],
    ]

    @Test(arguments: cases.keys.sorted()) func schemaIsBoundedWork(_ name: String) throws {
        let schema = try #require(Self.cases[name])
        do {
            let grammar = try TextGrammar(schema: schema)
            for text in ["", "{\"", "[[[[[[[[", "\"value 1", "1", "x"] {
                var recognizer = grammar.makeRecognizer()
                try recognizer.feed(text.utf8)
            }
        } catch {}
    }

    @Test(arguments: [
        "((){20000}){20000}", "((a{0}){20000}){20000}", "(((a?){1000}){1000}){1000}", "(a*)*b", "((a+)+)+$", "(a|aa)+$",
        "(a|b)*a(a|b){25}", "(.*a){20}", "(.*){500}", "[^a]{20000}[^b]{20000}", "(x+x+)+y", "(\\w*\\d*)*$", "a{20000}b",
        "(?:(?:a|b)?(?:c|d)?){2000}",
        (0..<5000).map { scalar(0x4E00 + $0) }.joined(separator: "|"),
        (0..<2000).map { scalar(0x4E00 + $0) + "." }.joined(separator: "|"),
        String(repeating: "(", count: 99) + "a" + String(repeating: ")*", count: 99),
        String(repeating: "[a-z]?", count: 3000), String(repeating: ".|", count: 3000),
    ])
    func patternIsBoundedWork(_ pattern: String) throws {
        do {
            let grammar = try TextGrammar(schema: ["type": "string", "pattern": .string(pattern)])
            _ = try grammar.accepts("\"" + String(repeating: "a", count: 1000) + "\"")
        } catch {}
    }

    /// What is refused is what is too large, not what people use.
    @Test func ordinarySizesAreTaken() throws {
        for name in [
            "many strings", "many numbers", "many branches", "doubled allOf", "2000 properties", "doubled properties",
        ] {
            _ = try TextGrammar(schema: try #require(Self.cases[name]))
        }
        let integer = try TextGrammar(schema: try #require(Self.cases["doubled allOf"]))
        #expect(try integer.accepts("4") && !integer.accepts("5"))
    }
}
