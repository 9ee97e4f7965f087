import ChatTemplates
import GGUF
import TestSupport
import Testing
import Tokenization

@testable import InferKit

/// Masks of a small byte-level vocabulary, held against trying every token.
struct GrammarMaskTests {
    private static let vocabulary: [(String, GGUFValue)] = {
        var metadata = ToyVocabulary.byteLevel
        guard let place = metadata.firstIndex(where: { $0.0 == "tokenizer.ggml.tokens" }),
            let types = metadata.firstIndex(where: { $0.0 == "tokenizer.ggml.token_type" }),
            case .array(let tokens) = metadata[place].1, var texts = tokens.strings()
        else { return metadata }
        let more = [
            "{\"", "\":", "\",", "\"}", "},", "]}", "[[", "\":Ġ", "\",Ġ\"", "true", "null", "abc", "Ġabc", "12", "345",
            "\\n", "\\\"",
            "name", "Ã©", "ðŁ", "ðŁ¦", "Ċĉ", "x\":Ġ\"", "-1", "0.5", "e+", "aaaaaaaaaa",
        ]
        let controls = texts.suffix(3)
        texts = texts + more.filter { !texts.contains($0) } + ["<tool_call>", "</tool_call>"]
        metadata[place].1 = .array(GGUFArray(texts))
        let kinds = texts.map { controls.contains($0) ? 3 : $0.hasSuffix("tool_call>") ? 4 : 1 } as [Int32]
        metadata[types].1 = .array(GGUFArray(kinds))
        return metadata
    }()

    private static func tokenizer() throws -> Tokenizer { try Tokenizer(GGUFMetadata(vocabulary)) }

    private static let schemas: [JSONValue] = [
        [:], ["type": "string", "maxLength": 4], ["type": "string", "pattern": "^[a-c]{2,}$"],
        [
            "type": "object",
            "properties": ["name": ["type": "string"], "n": ["type": "integer", "minimum": -3, "maximum": 400]],
            "required": ["name"], "additionalProperties": false,
        ],
        ["type": "array", "items": ["enum": ["abc", "true", true, nil, 12, "é🦙"]], "maxItems": 3],
        ["type": "object", "additionalProperties": ["type": "number"]],
        ["$ref": "#/$defs/t", "$defs": ["t": ["type": "array", "items": ["$ref": "#/$defs/t"]]]],
    ]

    /// A mask is right if it has exactly the tokens that can be accepted, and whatever it allows ends in valid JSON.
    @Test(arguments: 0..<7, [1, 2, 3] as [UInt64]) func randomWalk(_ index: Int, _ seed: UInt64) throws {
        let schema = Self.schemas[index]
        let tokenizer = try Self.tokenizer()
        let compiler = GrammarCompiler(tokenizer: tokenizer)
        let grammar = try TextGrammar(schema: schema)
        var random = SeededRandom(seed: seed)
        for _ in 0..<4 {
            let constraint = try compiler.constraint(forSchema: schema)
            var recognizer = grammar.makeRecognizer()
            var bytes: [UInt8] = []
            var mask = TokenMask(count: tokenizer.vocabularySize)
            var isOver = false
            for step in 0..<1500 where !isOver {
                try constraint.mask(into: &mask)
                if step < 40 {
                    let wrong = (0..<Int32(tokenizer.vocabularySize)).filter { constraint.allows($0) != mask[$0] }
                    #expect(wrong.isEmpty, "after \(String(decoding: bytes, as: UTF8.self))")
                }
                let token = try #require(choice(from: mask.tokens, tokenizer, isLate: step > 60, &random))
                try constraint.accept(token)
                isOver = tokenizer.endOfGeneration.contains(token)
                if isOver { continue }
                #expect(!tokenizer.isControl(token))
                let added = tokenizer.bytes(of: token, renderSpecial: false)
                bytes += added
                try recognizer.feed(added)
                #expect(recognizer.isAlive)
                #expect(recognizer.isAccepting == constraint.isAccepting)
            }
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(isOver, "unfinished: \(text)")
            #expect(try grammar.accepts(text))
            do {
                _ = try JSONValue(parsing: bytes)
            } catch {
                // Grammars know no range of floating point.
                #expect(error.message == "number out of range", "\(error): \(text)")
            }
        }
    }

    /// Any allowed token; late in a long text one that closes something.
    private func choice(
        from allowed: [Int32], _ tokenizer: Tokenizer, isLate: Bool, _ random: inout SeededRandom
    ) -> Int32? {
        guard isLate else { return allowed.randomElement(using: &random) }
        if let end = allowed.first(where: { tokenizer.endOfGeneration.contains($0) }) { return end }
        let closing = allowed.filter { id in
            let text = tokenizer.bytes(of: id, renderSpecial: false)
            return text.count == 1 && (text[0] == 0x22 || text[0] == 0x5D || text[0] == 0x7D)
        }
        return (closing.isEmpty ? allowed : closing).randomElement(using: &random)
    }

    @Test func rejectedTokensThrow() throws {
        let tokenizer = try Self.tokenizer()
        let constraint = try GrammarCompiler(tokenizer: tokenizer).constraint(forSchema: ["type": "null"])
        let end = try #require(tokenizer.eos)
        #expect(throws: GrammarError.tokenRejected(end)) { try constraint.accept(end) }
        #expect(throws: GrammarError.tokenRejected(-1)) { try constraint.accept(-1) }
        try constraint.accept(try #require(tokenizer.id(of: "null")))
        #expect(constraint.isFinished)
        try constraint.accept(end)
    }

    @Test func patternsUseMarkersAsTokens() throws {
        let tokenizer = try Self.tokenizer()
        let pattern = OutputPattern.sequence([
            .textBefore("<tool_call>"), .literal("<tool_call>"), .space, .schema(["const": 12]),
            .literal("</tool_call>"),
        ])
        let constraint = try GrammarCompiler(tokenizer: tokenizer).constraint(for: pattern)
        let open = try #require(tokenizer.id(of: "<tool_call>"))
        #expect(constraint.allows(open))
        #expect(constraint.allows(try #require(tokenizer.id(of: "abc"))))
        // The characters of the mark are not the mark.
        for byte in "<tool_call" { try constraint.accept(try #require(tokenizer.id(of: String(byte)))) }
        #expect(!constraint.allows(try #require(tokenizer.id(of: ">"))))
        try constraint.accept(open)
        try constraint.accept(try #require(tokenizer.id(of: "12")))
        #expect(!constraint.allows(try #require(tokenizer.id(of: "<"))))
        try constraint.accept(try #require(tokenizer.id(of: "</tool_call>")))
        #expect(constraint.isFinished)
    }
}
