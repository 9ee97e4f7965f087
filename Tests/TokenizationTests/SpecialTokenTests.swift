import GGUF
import Testing

@testable import Tokenization

@Suite struct SpecialTokenTests {
    static func toy() -> SmallVocabulary {
        SmallVocabulary.byteLevel(special: [
            ("<|end|>", .control), ("<|end|>x", .control), ("<tool>", .userDefined), ("  ", .userDefined),
        ])
    }

    @Test func parsedOrPlain() throws {
        let tokenizer = try Self.toy().tokenizer()
        #expect(tokenizer.pieces("a<|end|>b", parseSpecial: true) == ["a", "<|end|>", "b"])
        #expect(tokenizer.pieces("a<|end|>b").count == 9)
        // User-defined tokens are found in either case, the longest of those that start at a place.
        #expect(tokenizer.pieces("<tool>   ") == ["<tool>", "  ", "Ġ"])
        #expect(tokenizer.pieces("<|end|>x<|end|>", parseSpecial: true) == ["<|end|>x", "<|end|>"])
    }

    /// Neither a control token nor a user-defined one reaches over a seam; a shorter one in front of it may be found.
    @Test func seamsAreNotReachedOver() throws {
        let tokenizer = try Self.toy().tokenizer()
        func pieces(_ text: String, _ seams: [Int]) -> [String] {
            tokenizer.encode(text, addSpecial: false, parseSpecial: true, seams: seams).map { tokenizer.text(of: $0) }
        }
        #expect(pieces("<|end|><|end|>", [1]).count == 8)
        #expect(pieces("<|end|><|end|>", [8]).count == 8)
        #expect(pieces("<|end|><|end|>", [1, 2, 13]).count == 14)
        #expect(pieces("<|end|><|end|>", [0, 7, 14, 99]) == ["<|end|>", "<|end|>"])
        #expect(pieces("<|end|>x", [7]) == ["<|end|>", "x"])
        #expect(pieces("<tool>", [3]).count == 6)
        // Plain tokens take no notice.
        #expect(pieces("<|end|>", [3]) == tokenizer.pieces("<|end|>"))
    }

    @Test func addedOnBothSides() throws {
        var toy = Self.toy()
        toy.set("tokenizer.ggml.bos_token_id", .uint32(256))
        toy.set("tokenizer.ggml.eos_token_id", .uint32(257))
        #expect(try toy.tokenizer().encode("a", addSpecial: true, parseSpecial: false) == [97])
        toy.set("tokenizer.ggml.add_bos_token", .bool(true))
        toy.set("tokenizer.ggml.add_eos_token", .bool(true))
        let tokenizer = try toy.tokenizer()
        #expect(tokenizer.encode("a", addSpecial: true, parseSpecial: false) == [256, 97, 257])
        #expect(tokenizer.encode("", addSpecial: true, parseSpecial: false) == [256, 257])
        #expect(tokenizer.encode("a", addSpecial: false, parseSpecial: false) == [97])
    }

    /// A file may want a BOS that it does not have.
    @Test func noBOSToAdd() throws {
        let tokenizer = try SmallVocabulary.byteLevel(pre: "llama-bpe").tokenizer()
        #expect(tokenizer.bos == nil)
        #expect(!tokenizer.addBOS)
        #expect(tokenizer.encode("a", addSpecial: true, parseSpecial: false) == [97])
    }

    @Test func endOfGeneration() throws {
        var toy = SmallVocabulary.byteLevel(special: [
            ("<|im_end|>", .control), ("<|endoftext|>", .control), ("</s>", .normal), ("<|eom_id|>", .control),
        ])
        toy.set("tokenizer.ggml.eos_token_id", .uint32(97))
        let tokenizer = try toy.tokenizer()
        #expect(tokenizer.eot == 256)
        #expect(tokenizer.eom == 259)
        #expect(tokenizer.endOfGeneration == [97, 256, 257, 259])
    }

    @Test func endOfMessageIsNotTheEnd() throws {
        let names = ["<|return|>", "<|call|>", "<|end|>"]
        let tokenizer = try SmallVocabulary.byteLevel(special: names.map { ($0, .control) }).tokenizer()
        #expect(tokenizer.endOfGeneration == [256, 257])
    }

    @Test func phiStripsSpace() throws {
        var toy = SmallVocabulary.sentencePiece(["▁", "a", "▁a"])
        toy.add("<|user|>", .control)
        #expect(try toy.tokenizer().pieces("<|user|> \n a", parseSpecial: true).count == 5)
        toy.set("general.name", .string("Phi-3 mini"))
        #expect(try toy.tokenizer().pieces("<|user|> \n\u{2003}a", parseSpecial: true) == ["<|user|>", "▁a"])
        #expect(try toy.tokenizer().pieces("<s> a", parseSpecial: true) == ["<s>", "▁", "▁a"])
    }

    @Test func lookups() throws {
        let tokenizer = try Self.toy().tokenizer()
        #expect(tokenizer.text(of: 256) == "<|end|>")
        #expect(tokenizer.id(of: "<tool>") == 258)
        #expect(tokenizer.id(of: "nothing") == nil)
        #expect(tokenizer.isControl(256) && !tokenizer.isControl(258) && !tokenizer.isControl(97))
        for stranger: Int32 in [-1, .min, 260, .max] {
            #expect(tokenizer.text(of: stranger).isEmpty)
            #expect(tokenizer.bytes(of: stranger, renderSpecial: true).isEmpty)
            #expect(tokenizer.type(of: stranger) == nil && !tokenizer.isControl(stranger))
        }
        #expect(tokenizer.decode([97, 256, -7, 98], renderSpecial: false) == "ab")
        #expect(tokenizer.decode([97, 256, 98], renderSpecial: true) == "a<|end|>b")
    }
}
