import GGUF

/// A byte-level BPE vocabulary of any size, made without text: 256 bytes, then every lower-case word in order of length,
/// each the merge of its prefix and its last letter, then the control tokens of ChatML.
struct SyntheticVocabulary {
    let metadata: [(String, GGUFValue)]

    private static let control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

    /// - Parameter tokens: at least 300.
    init(pre: String, tokens count: Int) {
        var tokens = Self.byteAlphabet
        var merges: [String] = []
        let letters = (UInt8(ascii: "a")...UInt8(ascii: "z")).map { String(UnicodeScalar($0)) }
        var prefixes = letters
        let words = count - Self.control.count
        while tokens.count < words {
            var longer: [String] = []
            for prefix in prefixes {
                for letter in letters where tokens.count < words {
                    tokens.append(prefix + letter)
                    merges.append("\(prefix) \(letter)")
                    longer.append(prefix + letter)
                }
            }
            prefixes = longer
        }
        tokens += Self.control
        let types = [Int32](repeating: 1, count: words) + [Int32](repeating: 3, count: Self.control.count)
        let end = UInt32(count - 1)
        metadata = [
            ("tokenizer.ggml.model", .string("gpt2")),
            ("tokenizer.ggml.pre", .string(pre)),
            ("tokenizer.ggml.tokens", .array(GGUFArray(tokens))),
            ("tokenizer.ggml.token_type", .array(GGUFArray(types))),
            ("tokenizer.ggml.merges", .array(GGUFArray(merges))),
            ("tokenizer.ggml.bos_token_id", .uint32(end - 2)),
            ("tokenizer.ggml.eos_token_id", .uint32(end)),
            ("tokenizer.ggml.padding_token_id", .uint32(end - 2)),
            ("tokenizer.ggml.add_bos_token", .bool(false)),
        ]
    }

    /// The printable stand-ins of the 256 bytes, in GPT-2's order (openai/gpt-2, `encoder.py`): printable Latin-1 bytes
    /// stand for themselves, the others follow from U+0100 on.
    private static var byteAlphabet: [String] {
        let printable = Array(0x21...0x7E) + Array(0xA1...0xAC) + Array(0xAE...0xFF)
        let others = 256 - printable.count
        let scalars = printable + Array(0x100..<(0x100 + others))
        return scalars.compactMap { UnicodeScalar(UInt32($0)).map { String(Character($0)) } }
    }
}
