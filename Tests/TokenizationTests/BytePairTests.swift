import GGUF
import TestSupport
import Testing

@testable import Tokenization

@Suite struct BytePairTests {
    @Test func lowestRankFirst() throws {
        let tokenizer = try SmallVocabulary.byteLevel(["b c", "a b", "a bc", "ab c"]).tokenizer()
        // "b c" comes before "a b", although "a b" is further left.
        #expect(tokenizer.pieces("abc") == ["abc"])
        #expect(tokenizer.pieces("abab") == ["ab", "ab"])
        #expect(tokenizer.pieces("aab") == ["a", "ab"])
    }

    @Test func leftmostOfEqualRanks() throws {
        let tokenizer = try SmallVocabulary.byteLevel(["a a"]).tokenizer()
        #expect(tokenizer.pieces("aaa") == ["aa", "a"])
        #expect(tokenizer.pieces(String(repeating: "a", count: 101)) == [String](repeating: "aa", count: 50) + ["a"])
    }

    @Test func spacesAndBytes() throws {
        let tokenizer = try SmallVocabulary.byteLevel(["Ġ w", "Ã ©"]).tokenizer()
        #expect(tokenizer.pieces(" wé\n") == ["Ġw", "Ã©", "Ċ"])
        #expect(tokenizer.decode(tokenizer.encode(" wé\n\u{0}🙂"), renderSpecial: false) == " wé\n\u{0}🙂")
    }

    /// Words are split before merging, so that no merge reaches over their boundary.
    @Test func mergesStayInWords() throws {
        let tokenizer = try SmallVocabulary.byteLevel(["a Ġ", "b 1"]).tokenizer()
        #expect(tokenizer.pieces("a b1") == ["a", "Ġ", "b", "1"].map { $0 })
    }

    @Test func wholeWordsWithoutMerges() throws {
        var toy = SmallVocabulary.byteLevel(pre: "llama-bpe")
        toy.add("Ġhello")
        #expect(try toy.tokenizer().pieces(" hello") == ["Ġhello"])
        toy.preTokenizer = "qwen2"
        #expect(try toy.tokenizer().pieces(" hello").count == 6)
    }

    @Test func composedBeforeEncoding() throws {
        let merges = ["Ã ©"]
        let composing = try SmallVocabulary.byteLevel(merges, pre: "qwen2").tokenizer()
        #expect(composing.pieces("e\u{301}") == ["Ã©"])
        // Hangul: a syllable with a final consonant added, and one of three letters.
        let syllables = "\u{ac00}\u{11a8}\u{1112}\u{1161}\u{11ab}"
        #expect(composing.encode(syllables) == composing.encode("\u{ac01}\u{d55c}"))
        #expect(composing.encode("\u{ac00}") != composing.encode("\u{1100}"))
        // Singletons, and marks in canonical order.
        #expect(
            composing.encode("\u{2126}\u{212b}q\u{307}\u{323}") == composing.encode("\u{3a9}\u{c5}q\u{323}\u{307}"))
        let plain = try SmallVocabulary.byteLevel(merges, pre: "llama-bpe").tokenizer()
        #expect(plain.pieces("e\u{301}").count == 3)
    }

    /// The scan and the heap against the definition, on random merges.
    @Test(arguments: 0..<20) func asDefined(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var texts = ["a", "b", "c", "d"]
        var merges: [(String, String)] = []
        while merges.count < 30 {
            guard let left = texts.randomElement(using: &random), let right = texts.randomElement(using: &random) else {
                break
            }
            guard left.count + right.count < 9, !merges.contains(where: { $0 == (left, right) }) else { continue }
            merges.append((left, right))
            if !texts.contains(left + right) { texts.append(left + right) }
        }
        var toy = SmallVocabulary.byteLevel()
        for text in texts.dropFirst(4) { toy.add(text) }
        toy.merges = merges.map { "\($0) \($1)" }
        let tokenizer = try toy.tokenizer()
        for length in [1, 2, 3, 7, 20, 40, 41, 42, 90, 200] {
            let word = (0..<length).map { _ in ["a", "b", "c", "d"][Int.random(in: 0..<4, using: &random)] }
            var expected = word
            while let best = merges.first(where: { merge in
                expected.indices.dropFirst().contains { (expected[$0 - 1], expected[$0]) == merge }
            }) {
                let index = try #require(
                    expected.indices.dropFirst().first { (expected[$0 - 1], expected[$0]) == best })
                expected[index - 1] += expected[index]
                expected.remove(at: index)
            }
            // Twice: the second time from the cache.
            #expect(tokenizer.pieces(word.joined()) == expected)
            #expect(tokenizer.pieces(word.joined()) == expected)
        }
    }

    /// Work, counted in merges looked up, grows as the text does.
    @Test func workIsLinear() throws {
        struct Rules: MergeRules {
            func merge(_ left: Symbol, _ right: Symbol, in text: UnsafeRawBufferPointer) -> Merge {
                left.length == right.length ? Merge(rank: UInt32(left.length), id: 1) : .none
            }
        }
        for count in [1 << 10, 1 << 14, 1 << 18] {
            var merger = SymbolMerger()
            merger.symbols = (0..<count).map { Symbol(id: 0, start: Int32($0), length: 1) }
            merger.run(Rules(), in: UnsafeRawBufferPointer(start: nil, count: 0))
            #expect(merger.symbols.count == 1)
            #expect(merger.lookups < 4 * count)
        }
    }

    @Test(.timeLimit(.minutes(5)), arguments: ["gpt-2", "qwen35", "deepseek-llm", "gpt-4o"])
    func megabyteOfOneCharacter(_ pre: String) throws {
        var merges: [String] = []
        for letter in ["a", "Ġ", "Ċ"] {
            for power in 0..<8 {
                let half = String(repeating: letter, count: 1 << power)
                merges.append("\(half) \(half)")
            }
        }
        let tokenizer = try SmallVocabulary.byteLevel(merges, pre: pre).tokenizer()
        for unit in ["a", " ", "\n", "e\u{301}", "\u{301}", "\u{316}\u{301}"] {
            let ids = tokenizer.encode(String(repeating: unit, count: (1 << 16) / unit.utf8.count))
            #expect(ids.count >= 1 << 8 && ids.count <= 1 << 16)
        }
        #expect(tokenizer.encode(String(repeating: "a", count: 1 << 20)).count == 1 << 12)
    }

    @Test func gemma() throws {
        var toy = SmallVocabulary.sentencePiece(["▁", "a", "b", "▁a", "▁ab", "\n", "\n\n\n", "▁▁"], model: "gemma4")
        toy.set("tokenizer.ggml.bos_token_id", .uint32(1))
        toy.merges = ["▁ a", "▁a b", "▁ ▁"]
        let tokenizer = try toy.tokenizer()
        #expect(tokenizer.pieces("a ab") == ["a", "▁ab"])
        #expect(tokenizer.pieces("   ab") == ["▁▁", "▁ab"])
        #expect(tokenizer.pieces("a\n\n\nb\n\n") == ["a", "\n\n\n", "b", "\n", "\n"])
        #expect(tokenizer.pieces("é") == ["<0xC3>", "<0xA9>"])
        #expect(tokenizer.addBOS)
        #expect(tokenizer.decode(tokenizer.encode(" é  a\n"), renderSpecial: false) == " é  a\n")
    }

    @Test func sameFromManyThreads() async throws {
        let tokenizer = try SmallVocabulary.byteLevel(["a b", "Ġ ab", "c d"], pre: "qwen2").tokenizer()
        let texts = (0..<64).map { number in (0...number).map { "ab cd\($0) " }.joined() }
        let expected = texts.map { tokenizer.encode($0) }
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { texts.map { tokenizer.encode($0) } == expected } }
            for await isSame in group { #expect(isSame) }
        }
    }
}
