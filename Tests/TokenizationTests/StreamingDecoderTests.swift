import TestSupport
import Testing

@testable import Tokenization

@Suite struct StreamingDecoderTests {
    /// One token for each byte, so that every split of a character occurs.
    static func tokenizer() throws -> Tokenizer { try SmallVocabulary.byteLevel().tokenizer() }

    static func stream(_ ids: [Int32], _ tokenizer: Tokenizer) -> [String] {
        var decoder = StreamingDecoder(tokenizer)
        return ids.map { decoder.append($0) } + [decoder.finish()]
    }

    @Test func wholeCharacters() throws {
        let text = "aé中🙂\u{0}\u{ffff}\u{10ffff}\u{7ff}\u{800}\u{d7ff}\u{e000}"
        let tokenizer = try Self.tokenizer()
        let pieces = Self.stream(tokenizer.encode(text), tokenizer)
        #expect(pieces.joined().utf8.elementsEqual(text.utf8))
        #expect(pieces.filter { !$0.isEmpty }.map { $0.unicodeScalars.count } == [Int](repeating: 1, count: 11))
    }

    /// Each character appears with the token that ends it, also when tokens hold several bytes.
    @Test func everySplit() throws {
        let text = Array("é中🙂a".utf8)
        for first in 1..<text.count {
            for second in first..<text.count {
                var toy = SmallVocabulary.byteLevel()
                for part in [text[..<first], text[first..<second], text[second...]] {
                    toy.add(part.map { SmallVocabulary.alphabet[Int($0)] }.joined() + "")
                }
                let tokenizer = try toy.tokenizer()
                let pieces = Self.stream([256, 257, 258], tokenizer)
                #expect(pieces.joined().utf8.elementsEqual(text))
                #expect(!pieces.joined().unicodeScalars.contains("\u{fffd}"))
                #expect(pieces[3].isEmpty)
            }
        }
    }

    /// Whatever the bytes, the pieces joined are the bytes decoded at once.
    @Test(arguments: 0..<50) func anyBytes(_ seed: Int) throws {
        let tokenizer = try Self.tokenizer()
        var random = SeededRandom(seed: UInt64(seed))
        let leads: [UInt8] = [
            0x61, 0x80, 0xbf, 0xc0, 0xc3, 0xe0, 0xa0, 0xed, 0x9f, 0xef, 0xf0, 0x90, 0x8f, 0xf4, 0xf5, 0xff,
        ]
        for _ in 0..<100 {
            let bytes = (0..<Int.random(in: 0..<12, using: &random)).map { _ in
                leads[Int.random(in: 0..<16, using: &random)]
            }
            let pieces = Self.stream(bytes.map { Int32($0) }, tokenizer)
            #expect(pieces.joined().utf8.elementsEqual(String(decoding: bytes, as: UTF8.self).utf8), "\(bytes)")
        }
    }

    @Test func unfinishedCharacter() throws {
        let tokenizer = try Self.tokenizer()
        var decoder = StreamingDecoder(tokenizer)
        #expect(decoder.append(0xe4) == "")
        #expect(decoder.append(0xb8) == "")
        #expect(decoder.finish() == "\u{fffd}")
        #expect(decoder.finish() == "")
    }

    /// The space in front belongs to a text's beginning, not to the answer to a prompt.
    @Test func leadingSpace() throws {
        let tokenizer = try SmallVocabulary.sentencePiece(["▁a", "▁"]).tokenizer()
        let ids = tokenizer.encode("a a", addSpecial: true, parseSpecial: false)
        #expect(tokenizer.decode(ids, renderSpecial: false) == "a a")
        #expect(tokenizer.decode(ids, renderSpecial: true) == "<s> a a")
        #expect(Self.stream(ids, tokenizer).joined() == " a a")
    }
}
