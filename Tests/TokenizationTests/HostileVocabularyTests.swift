import GGUF
import TestSupport
import Testing

@testable import Tokenization

/// A vocabulary is input from strangers: it is refused with an error, or it works.
@Suite struct HostileVocabularyTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var key: String
        var value: GGUFValue?
        var error: TokenizerError?

        init(_ key: String, _ value: GGUFValue?, _ error: TokenizerError?) {
            testDescription = "\(key) = \(value.map { $0.typeDescription } ?? "missing")"
            self.key = key
            self.value = value
            self.error = error
        }
    }

    private static func strings(_ count: Int) -> GGUFValue { .array(GGUFArray((0..<count).map { "t\($0)" })) }
    private static func missing(_ key: String) -> TokenizerError { .metadata(.missingKey(key)) }
    private static func wrong(_ key: String, _ found: String, _ expected: String) -> TokenizerError {
        .metadata(.wrongType(key: key, found: found, expected: expected))
    }

    static let cases: [Case] = [
        Case(Key.model, nil, missing(Key.model)),
        Case(Key.model, .uint32(3), wrong(Key.model, "uint32", "string")),
        Case(
            Key.model, .string("plamo2"),
            .unsupportedModel(found: "plamo2", known: ["gpt2", "gemma4", "llama", "t5", "bert"])),
        Case(Key.preTokenizer, .string("future"), .unknownPreTokenizer(found: "future")),
        Case(Key.preTokenizer, .bool(true), wrong(Key.preTokenizer, "bool", "string")),
        Case(Key.preTokenizer, nil, nil),
        Case(Key.tokens, nil, missing(Key.tokens)),
        Case(Key.tokens, .string("a"), wrong(Key.tokens, "string", "array of string")),
        Case(Key.tokens, .array(GGUFArray([Int32(1)])), wrong(Key.tokens, "array of int32", "array of string")),
        Case(Key.tokens, strings(0), .emptyVocabulary),
        Case(Key.tokens, strings(1), nil),
        Case(Key.tokens, strings(1000), .arrayLength(key: Key.tokenTypes, found: 257, expected: 1000)),
        Case(Key.tokens, .array(GGUFArray(stringBytes: [[], [0xff], [0xc3], [], [0x61], [0x61]])), nil),
        Case(Key.tokenTypes, nil, nil),
        Case(Key.tokenTypes, strings(257), wrong(Key.tokenTypes, "array of string", "array of integers")),
        Case(
            Key.tokenTypes, .array(GGUFArray([Int32](repeating: 1, count: 256))),
            .arrayLength(key: Key.tokenTypes, found: 256, expected: 257)),
        Case(Key.tokenTypes, .array(GGUFArray([Int64](repeating: .min, count: 257))), nil),
        Case(Key.tokenTypes, .array(GGUFArray([Int32](repeating: 3, count: 257))), nil),
        Case(Key.tokenTypes, .array(GGUFArray([Int32](repeating: 4, count: 257))), nil),
        Case(Key.tokenTypes, .array(GGUFArray([Int32](repeating: 6, count: 257))), nil),
        Case(Key.scores, .array(GGUFArray([Float(1)])), .arrayLength(key: Key.scores, found: 1, expected: 257)),
        Case(Key.scores, .bool(false), wrong(Key.scores, "bool", "array")),
        Case(Key.merges, nil, missing(Key.merges)),
        Case(Key.merges, .array(GGUFArray([Int32(1)])), wrong(Key.merges, "array of int32", "array of string")),
        Case(
            Key.merges, .array(GGUFArray(["", " ", "  ", "ab", "a b", "a b", "x yz", "zz zz", " a", "a ", "a  b"])), nil
        ),
        Case(Key.bos, .uint32(.max), nil),
        Case(Key.bos, .int32(-1), nil),
        Case(
            Key.bos, .uint64(.max),
            .metadata(.outOfRange(key: Key.bos, found: "18446744073709551615", expected: "at most 9223372036854775807"))
        ),
        Case(Key.bos, .string("<s>"), wrong(Key.bos, "string", "an integer")),
        Case(Key.addBOS, .uint32(1), wrong(Key.addBOS, "uint32", "bool")),
        Case(Key.characterMap, .string("x"), nil),
    ]

    static let texts = ["", "abc a\u{301} 中🙂\u{0}<|x|>\n\n  ", "t0t1", "<0x41>"]

    @Test(arguments: cases) func byteLevel(_ each: Case) throws {
        var toy = SmallVocabulary.byteLevel(["a b"])
        toy.set(Key.addBOS, .bool(true))
        if each.key == Key.addBOS { toy = SmallVocabulary.byteLevel(["a b"]) }
        toy.set(each.key, each.value)
        if let error = each.error {
            #expect(throws: error) { try toy.tokenizer() }
            #expect(!error.description.isEmpty)
            return
        }
        let tokenizer = try toy.tokenizer()
        for text in Self.texts {
            for parse in [true, false] {
                let ids = tokenizer.encode(text, addSpecial: true, parseSpecial: parse)
                #expect(ids.allSatisfy { tokenizer.type(of: $0) != nil })
                _ = tokenizer.decode(ids, renderSpecial: true)
            }
        }
    }

    /// The other kinds, with tokens of every type and bytes of every kind.
    @Test(arguments: ["gpt2", "gemma4", "llama", "t5", "bert"]) func anyTokens(_ model: String) throws {
        var random = SeededRandom(seed: 7)
        for round in 0..<60 {
            var toy = SmallVocabulary(model: model)
            for _ in 0..<Int.random(in: 1..<40, using: &random) {
                let pool: [UInt8] = [
                    0x61, 0x62, 0x20, 0xe2, 0x96, 0x81, 0xc4, 0xa0, 0xff, 0x3c, 0x30, 0x78, 0x3e, 0x0a,
                ]
                let bytes = (0..<Int.random(in: 0..<7, using: &random)).map { _ in
                    pool[Int.random(in: 0..<14, using: &random)]
                }
                toy.add(
                    bytes: bytes, TokenType(rawValue: UInt8.random(in: 0..<7, using: &random)) ?? .normal,
                    score: [0, -1, .nan, .infinity, -.infinity, 1e30][Int.random(in: 0..<6, using: &random)])
            }
            toy.merges = ["a b", "ab a", "▁ a", "Ġ a", "b", ""]
            toy.set(Key.unknown, .int32(Int32(round % 5) - 1))
            let tokenizer = try toy.tokenizer()
            for text in Self.texts + ["ab aab ba▁b", "\u{2581}", "a<0x41>"] {
                for parse in [true, false] {
                    let ids = tokenizer.encode(text, addSpecial: true, parseSpecial: parse)
                    #expect(ids.allSatisfy { tokenizer.type(of: $0) != nil })
                    _ = tokenizer.decode(ids, renderSpecial: false)
                }
            }
        }
    }

    @Test func lowerIDOfEqualTokens() throws {
        var toy = SmallVocabulary.byteLevel()
        toy.add("a")
        let tokenizer = try toy.tokenizer()
        #expect(tokenizer.encode("a") == [97])
        #expect(tokenizer.decode([256], renderSpecial: false) == "a")
    }

    @Test func malformedByteTokens() throws {
        var toy = SmallVocabulary.sentencePiece(["▁"])
        let first = Int32(toy.tokens.count)
        for text in ["<0xZZ>", "<0x1>", "", "<0x041>", "<0xg1>"] { toy.add(text, .byte) }
        let tokenizer = try toy.tokenizer()
        #expect(
            tokenizer.decode([first, first + 1, first + 2, first + 3], renderSpecial: false) == "<0xZZ><0x1><0x041>")
    }

    /// Bytes without a token become the unknown token, or nothing; they never stop the rest.
    @Test func incompleteAlphabet() throws {
        var toy = SmallVocabulary(model: "gpt2")
        toy.add("a")
        toy.merges = []
        #expect(try toy.tokenizer().encode("abab") == [0, 0])
        toy.add("<unk>", .unknown)
        toy.set(Key.unknown, .uint32(1))
        #expect(try toy.tokenizer().encode("abab") == [0, 1, 0, 1])
    }

    /// A token that is as long as the text, at every place of the text, must not cost length times length.
    @Test(.timeLimit(.minutes(5)), arguments: ["gpt2", "llama", "t5", "bert"]) func longTokens(_ model: String) throws {
        var toy = model == "gpt2" ? SmallVocabulary.byteLevel() : SmallVocabulary(model: model)
        let long = String(repeating: "a", count: 1 << 18)
        toy.merges = ["a a"]
        toy.add("a")
        for type in [TokenType.normal, .userDefined, .control] { toy.add(long + "b\(type.rawValue)", type) }
        for length in 2..<64 { toy.add(String(repeating: "a", count: length), score: Float(length)) }
        let tokenizer = try toy.tokenizer()
        #expect(tokenizer.encode(long, addSpecial: false, parseSpecial: true).count <= 1 << 18)
    }
}
