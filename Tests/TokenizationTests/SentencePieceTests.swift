import GGUF
import Testing

@testable import Tokenization

@Suite struct SentencePieceTests {
    @Test func highestScoreFirst() throws {
        let toy = SmallVocabulary.sentencePiece(["bc", "ab", "abc", "a", "b", "c", "▁", "▁a"])
        let tokenizer = try toy.tokenizer()
        #expect(tokenizer.pieces("xabc").suffix(1) == ["abc"])
        #expect(tokenizer.pieces("abab") == ["▁", "ab", "ab"])
        #expect(tokenizer.pieces("a a") == ["▁a", "▁a"])
    }

    @Test func charactersWithoutToken() throws {
        let withBytes = try SmallVocabulary.sentencePiece(["▁", "a"]).tokenizer()
        #expect(withBytes.pieces("aé") == ["▁", "a", "<0xC3>", "<0xA9>"])
        #expect(withBytes.decode(withBytes.encode("aé\0🙂"), renderSpecial: false) == "aé\0🙂")
        // Without byte tokens a run of such characters is one unknown token.
        let without = try SmallVocabulary.sentencePiece(["▁", "a"], bytes: false).tokenizer()
        #expect(without.pieces("éü aü") == ["▁", "<unk>", "▁", "a", "<unk>"])
    }

    @Test func scoresInOrder() {
        let scores: [Float] = [.infinity, 3, 1, 0.5, 0, -0.5, -1, -1e30, -.infinity]
        let ranks = scores.map { SentencePieceEncoder.rank($0) }
        #expect(ranks == ranks.sorted())
        #expect(Set(ranks).count == ranks.count)
        #expect(SentencePieceEncoder.rank(-0.0) == SentencePieceEncoder.rank(0))
        #expect(SentencePieceEncoder.rank(.nan) == SentencePieceEncoder.rank(-.infinity))
    }

    /// Control and byte tokens never come from text, even if their parts could merge.
    @Test func noControlTokensFromText() throws {
        let toy = SmallVocabulary.sentencePiece([
            "▁", "<", "s", ">", "<s", "0", "x", "4", "1", "<0", "<0x", "<0x4", "<0x41",
        ])
        let tokenizer = try toy.tokenizer()
        #expect(tokenizer.pieces("<s>") == ["▁", "<s", ">"])
        #expect(tokenizer.pieces("<0x41>") == ["▁", "<0x41", ">"])
        #expect(tokenizer.pieces("<s>a<s>", parseSpecial: true) == ["<s>", "▁", "<0x61>", "<s>"])
    }

    @Test func spacePrefix() throws {
        var toy = SmallVocabulary.sentencePiece(["▁", "a", "▁a"])
        #expect(try toy.tokenizer().pieces(" a") == ["▁", "▁a"])
        #expect(try toy.tokenizer().decode(toy.tokenizer().encode(" a"), renderSpecial: false) == " a")
        toy.set("tokenizer.ggml.add_space_prefix", .bool(false))
        #expect(try toy.tokenizer().pieces("a a") == ["a", "▁a"])
        #expect(try toy.tokenizer().decode(toy.tokenizer().encode(" a"), renderSpecial: false) == " a")
    }

    /// Words are encoded one by one only where no token reaches over their end.
    @Test func tokensOverWords() throws {
        let tokenizer = try SmallVocabulary.sentencePiece(["a▁b", "▁", "a", "b", "a▁"]).tokenizer()
        #expect(tokenizer.pieces("a b") == ["▁", "a▁b"])
    }

    @Test(.timeLimit(.minutes(5))) func megabyteOfOneCharacter() throws {
        let words =
            ["▁", "a"]
            + (1..<9).flatMap { [String(repeating: "a", count: 1 << $0), String(repeating: "▁", count: 1 << $0)] }
        let tokenizer = try SmallVocabulary.sentencePiece(words.reversed()).tokenizer()
        for unit in ["a", " ", "é", "\u{301}"] {
            #expect(tokenizer.encode(String(repeating: unit, count: (1 << 18) / unit.utf8.count)).count >= 1 << 10)
        }
    }
}

@Suite struct UnigramTests {
    static func tokenizer(_ words: [(String, Float)], _ change: (inout SmallVocabulary) -> Void = { _ in }) throws
        -> Tokenizer
    {
        var toy = SmallVocabulary(model: "t5")
        toy.add("<pad>", .control)
        toy.add("</s>", .control)
        toy.add("<unk>", .unknown)
        for (word, score) in words { toy.add(word, score: score) }
        toy.set("tokenizer.ggml.add_space_prefix", .bool(true))
        toy.set("tokenizer.ggml.remove_extra_whitespaces", .bool(true))
        change(&toy)
        return try toy.tokenizer()
    }

    @Test func bestSum() throws {
        let tokenizer = try Self.tokenizer([("▁", -2), ("ab", -3), ("a", -4), ("bc", -1), ("c", -4), ("▁a", -3)])
        #expect(tokenizer.pieces("abc") == ["▁a", "bc"])  // -4, and ▁ ab c -9
        #expect(tokenizer.pieces("  ab   c ") == ["▁", "ab", "▁", "c"])
        #expect(tokenizer.encode("", addSpecial: true, parseSpecial: false) == [1])
    }

    /// Against every split there is.
    @Test func bestOfAllSplits() throws {
        let words: [(String, Float)] = [
            ("▁", -1.5), ("a", -2.25), ("b", -2.5), ("ab", -3.5), ("ba", -3.75), ("aab", -5), ("▁b", -2.75), ("bb", -6),
        ]
        let tokenizer = try Self.tokenizer(words)
        func best(_ text: Substring) -> Float {
            if text.isEmpty { return 0 }
            return words.filter { text.hasPrefix($0.0) }.map { $0.1 + best(text.dropFirst($0.0.count)) }.max() ?? -1000
        }
        for number in 0..<512 {
            let text = (0..<9).map { number >> $0 & 1 == 0 ? "a" : "b" }.joined()
            let sum = tokenizer.pieces(text).reduce(0) { sum, piece in sum + (words.first { $0.0 == piece }?.1 ?? -1000)
            }
            #expect(sum == best("▁\(text)"))
        }
    }

    @Test func unknownRuns() throws {
        let tokenizer = try Self.tokenizer([("▁", -1), ("a", -1)])
        #expect(tokenizer.pieces("éüaé") == ["▁", "<unk>", "a", "<unk>"])
    }

    /// A map from "é" to "ee" and from "É" to nothing in the format of SentencePiece: a double array of three nodes
    /// for each, and the replacements.
    @Test func characterMap() throws {
        var units = [UInt32](repeating: 0, count: 1024)
        // The root's children stand at offset 256 ^ label, those of 0xC3 at 512 ^ label; each has a leaf at 0 ^ offset.
        units[0] = 256 << 10
        units[256 ^ 0xc3] = 0xc3 | (256 ^ 0xc3 ^ 512) << 10
        units[512 ^ 0xa9] = 0xa9 | 1 << 8 | (512 ^ 0xa9 ^ 768) << 10
        units[768] = 1 << 31 | 0
        units[512 ^ 0x89] = 0x89 | 1 << 8 | (512 ^ 0x89 ^ 769) << 10
        units[769] = 1 << 31 | 2
        var bytes = withUnsafeBytes(of: UInt32(4096).littleEndian) { Array($0) }
        for unit in units { withUnsafeBytes(of: unit.littleEndian) { bytes.append(contentsOf: $0) } }
        bytes += [0x65, 0x65, 0]
        let tokenizer = try Self.tokenizer([("▁", -1), ("a", -1), ("e", -1)]) {
            $0.set("tokenizer.ggml.precompiled_charsmap", .array(GGUFArray(bytes)))
        }
        #expect(tokenizer.pieces("aéÉa") == ["▁", "a", "e", "e", "a"])
    }

    @Test func brokenCharacterMaps() throws {
        for bytes: [UInt8] in [[1], [255, 255, 255, 255, 0], [3, 0, 0, 0, 1, 2, 3], [8, 0, 0, 0, 1, 2, 3, 4]] {
            #expect(throws: TokenizerError.self) {
                _ = try Self.tokenizer([("a", -1)]) {
                    $0.set("tokenizer.ggml.precompiled_charsmap", .array(GGUFArray(bytes)))
                }
            }
        }
        // Offsets that lead outside the table match nothing.
        for filling: UInt8 in [0xff, 0x80, 0x61, 0x01] {
            let bytes = [64, 0, 0, 0] + [UInt8](repeating: filling, count: 64) + [0x61, 0x62]
            let tokenizer = try Self.tokenizer([("a", -1)]) {
                $0.set("tokenizer.ggml.precompiled_charsmap", .array(GGUFArray(bytes)))
            }
            #expect(tokenizer.encode("abc éü 中").count < 40)
        }
    }

    @Test(.timeLimit(.minutes(5))) func megabyteOfOneCharacter() throws {
        let tokenizer = try Self.tokenizer(
            [("▁", -1)] + (0..<10).map { (String(repeating: "a", count: 1 << $0), -Float($0) - 1) })
        #expect(tokenizer.encode(String(repeating: "a", count: 1 << 18)).count == (1 << 9) + 1)
    }
}

@Suite struct WordPieceTests {
    static func tokenizer(_ words: [String], _ change: (inout SmallVocabulary) -> Void = { _ in }) throws -> Tokenizer {
        var toy = SmallVocabulary(model: "bert")
        toy.add("[UNK]", .control)
        toy.add("[CLS]", .control)
        toy.add("[SEP]", .control)
        for word in words { toy.add(word) }
        toy.set("tokenizer.ggml.unknown_token_id", .uint32(0))
        toy.set("tokenizer.ggml.cls_token_id", .uint32(1))
        toy.set("tokenizer.ggml.seperator_token_id", .uint32(2))
        change(&toy)
        return try toy.tokenizer()
    }

    @Test func longestPieces() throws {
        let tokenizer = try Self.tokenizer(["▁un", "▁una", "aff", "able", "▁a", "▁,", "▁.", "▁中"])
        #expect(tokenizer.pieces("unaffable") == ["[UNK]"])  // una leaves "ffable"
        #expect(tokenizer.pieces("UN aff") == ["▁un", "[UNK]"])
        #expect(tokenizer.pieces("Á,\u{7} ä.中a") == ["▁a", "▁,", "▁a", "▁.", "▁中", "▁a"])
        #expect(tokenizer.encode("a", addSpecial: true, parseSpecial: false) == [1, 7, 2])
        #expect(tokenizer.decode([1, 3, 7, 9, 7], renderSpecial: false) == "un a. a")
    }

    @Test func normalization() throws {
        let words = ["▁A", "▁a", "▁é", "▁E\u{301}"]
        let cased = try Self.tokenizer(words) { $0.set("tokenizer.ggml.normalizer.lowercase", .bool(false)) }
        #expect(cased.pieces("A a é") == ["▁A", "▁a", "▁é"])
        let accented = try Self.tokenizer(words) { $0.set("tokenizer.ggml.normalizer.strip_accents", .bool(false)) }
        #expect(accented.pieces("A É") == ["▁a", "▁é"])
    }

    @Test func longWords() throws {
        let tokenizer = try Self.tokenizer(["▁a", "a"])
        #expect(tokenizer.encode(String(repeating: "a", count: 100)).count == 100)
        #expect(tokenizer.pieces(String(repeating: "a", count: 101)) == ["[UNK]"])
        #expect(tokenizer.pieces(String(repeating: "a", count: 1 << 20)) == ["[UNK]"])
        // A mark within a word does not begin another one.
        #expect(tokenizer.pieces("a▁a") == ["[UNK]"])
    }
}
