import Foundation
import GGUF
import Testing
import Tokenization

@testable import InferCLI

@Suite struct TokenizeDoorTests {
    /// A token for each byte in hexadecimal, and one for end of text.
    static var tokenizer: Tokenizer {
        get throws {
            let bytes = (0...255).map { "<0x\($0 < 16 ? "0" : "")\(String($0, radix: 16, uppercase: true))>" }
            let tokens = bytes + ["<unk>", "</s>"]
            let types = [Int32](repeating: 6, count: 256) + [2, 3]
            return try Tokenizer(
                GGUFMetadata([
                    ("tokenizer.ggml.model", .string("llama")),
                    ("tokenizer.ggml.add_space_prefix", .bool(false)),
                    ("tokenizer.ggml.bos_token_id", .uint32(257)),
                    ("tokenizer.ggml.tokens", .array(GGUFArray(tokens))),
                    ("tokenizer.ggml.token_type", .array(GGUFArray(types))),
                    ("tokenizer.ggml.scores", .array(GGUFArray([Float](repeating: 0, count: 258)))),
                ]))
        }
    }

    static func ids(_ line: String) throws -> [Int]? {
        let reply = TokenizeDoor.reply(to: Data(line.utf8), try tokenizer)
        return (try JSONSerialization.jsonObject(with: Data(reply.utf8)) as? [String: Any])?["ids"] as? [Int]
    }

    @Test(arguments: ["e\u{301}", "\u{e9}", "\u{0}", "\u{ffff}", "\u{2028}", "🙂", "\u{fffd}", "\r\n"])
    func everyCodePointSurvives(_ text: String) throws {
        let line = String(decoding: try JSONEncoder().encode(["text": text]), as: UTF8.self)
        let ids = try #require(try Self.ids(line))
        #expect(ids == Array(text.utf8).map { Int($0) })
        let reply = DetokenizeDoor.reply(to: Data("{\"ids\": \(ids)}".utf8), try Self.tokenizer, renderSpecial: true)
        let back = try JSONDecoder().decode([String: String].self, from: Data(reply.utf8))["text"]
        #expect(back?.utf8.elementsEqual(text.utf8) == true)
        #expect(!reply.contains("\n"))
    }

    @Test func flags() throws {
        #expect(try Self.ids(#"{"text": "</s>", "parse_special": true}"#) == [257])
        #expect(try Self.ids(#"{"text": "a", "add_special": true, "parse_special": false}"#) == [257, 97])
    }

    @Test(arguments: ["", "nonsense", "[]", "{}", #"{"text": 3}"#, #"{"text": "\ud800"}"#, #"{"text": "a""#])
    func errorLines(_ line: String) throws {
        for reply in [
            TokenizeDoor.reply(to: Data(line.utf8), try Self.tokenizer),
            DetokenizeDoor.reply(to: Data(line.utf8), try Self.tokenizer, renderSpecial: true),
        ] {
            #expect(try JSONDecoder().decode([String: String].self, from: Data(reply.utf8))["error"] != nil)
        }
    }

    @Test func strangersAmongIDs() throws {
        let reply = DetokenizeDoor.reply(to: Data(#"{"ids": [97, 258]}"#.utf8), try Self.tokenizer, renderSpecial: true)
        #expect(reply.contains("258 is not in the vocabulary"))
    }
}
