import GGUF
import TestSupport
import Testing
import Tokenization

/// Vocabularies from hostile files: refused with a typed error, or used without a trap.
@Suite struct MalformedVocabularyTests {
    private static let text = "hello world <|im_end|> <0x41> \u{0}\u{7f}é漢字🙂 \r\n\t  12345 'll"

    /// What the corpus is made from must work, or the refusals below would prove nothing.
    @Test(arguments: [ToyVocabulary.byteLevel, ToyVocabulary.sentencePiece])
    func theValidVocabulariesWork(entries: [(String, GGUFValue)]) throws {
        let tokenizer = try Tokenizer(GGUFMetadata(entries))
        let ids = tokenizer.encode("hello world", addSpecial: false, parseSpecial: false)
        #expect(tokenizer.decode(ids, renderSpecial: false) == "hello world")
    }

    @Test(.timeLimit(.minutes(5))) func brokenVocabulariesAreRefused() throws {
        for malformed in MalformedCorpus.cases where malformed.stage == .tokenizer {
            let metadata = try GGUFFile(bytes: malformed.files()[0].bytes).metadata
            let error = #expect(throws: TokenizerError.self, "\(malformed.name)") { try Tokenizer(metadata) }
            #expect(error?.description.isEmpty != true)
        }
    }

    @Test(.timeLimit(.minutes(5))) func strangeVocabulariesWork() throws {
        for malformed in MalformedCorpus.cases where malformed.stage == .tolerated {
            let metadata = try GGUFFile(bytes: malformed.files()[0].bytes).metadata
            #expect(throws: Never.self, "\(malformed.name)") { try exercise(Tokenizer(metadata)) }
        }
    }

    @Test(
        .timeLimit(.minutes(5)), arguments: [ToyVocabulary.byteLevel, ToyVocabulary.sentencePiece], [1, 2])
    func randomDamage(entries: [(String, GGUFValue)], seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let original = try GGUFWriter(metadata: entries).serialize()
        var survivors = 0
        for _ in 0..<400 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let position = Int.random(in: bytes.indices, using: &random)
                bytes[position] =
                    [0, 0xff, bytes[position] ^ 1, UInt8.random(in: 0...255, using: &random)]
                    .randomElement(using: &random) ?? 0
            }
            guard let metadata = try? GGUFFile(bytes: bytes).metadata,
                let tokenizer = try? Tokenizer(metadata)
            else { continue }
            survivors += 1
            exercise(tokenizer)
        }
        #expect(survivors > 10)
        #expect(survivors < 400)
    }

    /// Encodes and decodes everything there is.
    private func exercise(_ tokenizer: Tokenizer) {
        for special in [true, false] {
            let ids = tokenizer.encode(Self.text, addSpecial: special, parseSpecial: special)
            _ = tokenizer.decode(ids, renderSpecial: special)
            #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
        }
        var stream = StreamingDecoder(tokenizer, renderSpecial: true)
        for id in 0..<Int32(tokenizer.vocabularySize) {
            _ = stream.append(id)
            _ = tokenizer.text(of: id)
            _ = tokenizer.isControl(id)
        }
        _ = stream.finish()
        _ = tokenizer.decode([-1, .max, .min], renderSpecial: true)
    }
}
