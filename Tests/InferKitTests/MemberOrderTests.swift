import ChatTemplates
import Testing

@testable import InferKit

/// Members of objects that a model writes out of their order, where there may be others beside them.
struct MemberOrderTests {
    private static let open: JSONValue = [
        "type": "object", "properties": ["a": ["type": "integer"], "b": ["type": "integer"]],
        "additionalProperties": true,
    ]

    @Test(arguments: [
        (#"{"b": 1, "a": 2}"#, true), (#"{"a": 1, "b": 2}"#, true), (#"{"b": 1, "x": null, "a": 2, "y": "z"}"#, true),
        (#"{"x": 1, "b": 2, "a": 3}"#, true), ("{}", true),
        // With its schema, and once.
        (#"{"b": 1, "a": "x"}"#, false), (#"{"b": 1, "a": 2, "a": 3}"#, false), (#"{"a": 1, "b": 2, "a": 3}"#, false),
        // Names that only look like a declared one.
        (#"{"b": 1, "a\"": 2}"#, false), (#"{"b": 1, "a ": 2}"#, false), (#"{"b": 1, "\u0061": 2}"#, false),
        (#"{"a": 1, "b:": 2}"#, false), (#"{"b": 1, "a\n": 2}"#, false),
        (#"{"b": 1, "ab": 2, "a_2": true, "äa": 1}"#, true),
    ])
    func openObject(_ text: String, _ isAccepted: Bool) throws {
        #expect(try TextGrammar(schema: Self.open).accepts(text) == isAccepted)
    }

    @Test(arguments: [
        (#"{"c": 1, "a": 2}"#, true), (#"{"a": 2, "c": 1}"#, true), (#"{"c": 1, "b": 2, "a": 3}"#, true),
        (#"{"a": 2}"#, false), (#"{"b": 1, "c": 2, "a": 3, "d": 1}"#, false),
    ])
    func requiredOnesAndLimits(_ text: String, _ isAccepted: Bool) throws {
        var schema = try #require(Self.open.objectValue)
        schema["properties"] = ["a": ["type": "integer"], "b": ["type": "integer"], "c": ["type": "integer"]]
        schema["required"] = ["c"]
        (schema["minProperties"], schema["maxProperties"]) = (2, 3)
        #expect(try TextGrammar(schema: .object(schema)).accepts(text) == isAccepted)
    }

    /// With many of them it is not kept in mind which have come; their schemas hold all the same.
    @Test func manyOptionalMembers() throws {
        let names = (0..<40).map { "n\($0)" }
        let schema: JSONValue = [
            "type": "object", "additionalProperties": true,
            "properties": .object(JSONObject(names.map { ($0, ["type": "integer"]) })),
        ]
        let grammar = try TextGrammar(schema: schema)
        let backwards = names.reversed().map { "\"\($0)\": 1" }.joined(separator: ", ")
        #expect(try grammar.accepts("{\(backwards)}"))
        #expect(try !grammar.accepts(#"{"n7": 1, "n3": "x"}"#))
        #expect(try !grammar.accepts(#"{"n7": 1, "n3 ": "x"}"#))
    }

    /// Whatever a model has begun to write of a name, it can go on with a letter or close it: no escape is the only way.
    @Test func noNameLeadsToAnEscapeOnly() throws {
        let grammar = try TextGrammar(schema: Self.open)
        for text in [#"{"b": 1, "a"#, #"{"a": 1, "b": 1, "a"#, #"{"a": 1, "b"#] {
            var recognizer = grammar.makeRecognizer()
            try recognizer.feed(text.utf8)
            let next = try recognizer.nextBytes()
            #expect(!next.contains(UInt8(ascii: "\\")), "\(text)")
            #expect(next.contains(UInt8(ascii: "x")), "\(text)")
        }
        var recognizer = grammar.makeRecognizer()
        try recognizer.feed(#"{"b": 1, "a"#.utf8)
        #expect(try recognizer.nextBytes().contains(UInt8(ascii: "\"")))
    }
}
