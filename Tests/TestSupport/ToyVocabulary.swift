package import GGUF

/// Small vocabularies, as the metadata of a GGUF file.
package enum ToyVocabulary {
    /// Byte-level BPE: the 256 bytes, a few merges and three control tokens at the end.
    package static let byteLevel: [(String, GGUFValue)] = {
        let merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "Ġwor l", "Ġworl d"]
        let merged = merges.map { $0.split(separator: " ").joined() }
        let control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        let tokens = ByteLevel.alphabet + merged + control
        let types = [Int32](repeating: 1, count: tokens.count - control.count) + [3, 3, 3]
        return [
            ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string("qwen2")),
            ("tokenizer.ggml.tokens", .array(GGUFArray(tokens))),
            ("tokenizer.ggml.token_type", .array(GGUFArray(types))),
            ("tokenizer.ggml.merges", .array(GGUFArray(merges))),
            ("tokenizer.ggml.bos_token_id", .uint32(UInt32(tokens.count - 3))),
            ("tokenizer.ggml.eos_token_id", .uint32(UInt32(tokens.count - 1))),
            ("tokenizer.ggml.padding_token_id", .uint32(UInt32(tokens.count - 3))),
            ("tokenizer.ggml.add_bos_token", .bool(false)),
        ]
    }()

    /// SentencePiece: unknown, begin and end, the 256 byte tokens, and some pieces with scores.
    package static let sentencePiece: [(String, GGUFValue)] = {
        let pieces = ["▁", "h", "e", "l", "o", "he", "ll", "hell", "hello", "▁hello"]
        let tokens = ["<unk>", "<s>", "</s>"] + (0..<256).map(byteToken) + pieces
        let types = [Int32]([2, 3, 3]) + [Int32](repeating: 6, count: 256) + pieces.map { _ in 1 }
        let scores = [Float](repeating: 0, count: 259) + pieces.indices.map { Float($0) - 20 }
        return [
            ("tokenizer.ggml.model", .string("llama")), ("tokenizer.ggml.tokens", .array(GGUFArray(tokens))),
            ("tokenizer.ggml.scores", .array(GGUFArray(scores))),
            ("tokenizer.ggml.token_type", .array(GGUFArray(types))),
            ("tokenizer.ggml.bos_token_id", .uint32(1)), ("tokenizer.ggml.eos_token_id", .uint32(2)),
            ("tokenizer.ggml.unknown_token_id", .uint32(0)), ("tokenizer.ggml.add_bos_token", .bool(true)),
        ]
    }()

    private static func byteToken(_ byte: Int) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
    }
}

/// GPT-2's alphabet, in which byte-level vocabularies are written.
enum ByteLevel {
    /// The character of each byte: printable Latin-1 stands for itself, the other bytes are moved to U+0100 and up.
    static let alphabet: [String] = {
        var moved: UInt32 = 0x100
        return (UInt32(0)..<256).map { byte in
            if 0x21...0x7e ~= byte || 0xa1...0xac ~= byte || 0xae...0xff ~= byte {
                return Unicode.Scalar(byte).map { String($0) } ?? ""
            }
            defer { moved += 1 }
            return Unicode.Scalar(moved).map { String($0) } ?? ""
        }
    }()

    static func encode(_ bytes: [UInt8]) -> String { bytes.map { alphabet[Int($0)] }.joined() }
}
