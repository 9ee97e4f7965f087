import GGUF

/// Ids with a role, from the file's keys, the defaults of each kind of vocabulary, and known token texts.
///
/// The rules are those that files are made for (llama.cpp `src/llama-vocab.cpp`). Two differ on purpose: where a file
/// names no BOS or EOS for a byte-level vocabulary there is none, and an ordinary word of the vocabulary that looks
/// like `</s>` does not end generation: in Qwen's it is a closing HTML tag.
struct SpecialTokens: Sendable {
    var bos: Int32?
    var eos: Int32?
    /// End of turn.
    var eot: Int32?
    /// End of message: the model waits for a tool.
    var eom: Int32?
    var unknown: Int32?
    var separator: Int32?
    var padding: Int32?
    var mask: Int32?
    var endOfGeneration: Set<Int32> = []

    init(_ metadata: GGUFMetadata, _ vocabulary: Vocabulary, model: TokenizerModel) throws(TokenizerError) {
        func id(_ key: String, default fallback: Int32? = nil) throws(TokenizerError) -> Int32? {
            let found: Int?
            do { found = try metadata.optionalInt(key) } catch { throw .metadata(error) }
            // Files use -1 or 2^32 - 1 for "none".
            if let found, (0..<vocabulary.count).contains(found) { return Int32(found) }
            return fallback.flatMap { Int($0) < vocabulary.count ? $0 : nil }
        }
        switch model {
        case .llama:
            bos = try id(Key.bos, default: 1)
            eos = try id(Key.eos, default: 2)
            unknown = try id(Key.unknown, default: 0)
            separator = try id(Key.separator)
            padding = try id(Key.padding)
            mask = try id(Key.mask)
        case .bert:
            bos = try id(Key.bos, default: id(Key.classification, default: 101))
            eos = try id(Key.eos)
            unknown = try id(Key.unknown, default: 100)
            separator = try id(Key.separator, default: 102)
            padding = try id(Key.padding, default: 0)
            mask = try id(Key.mask, default: 103)
        case .t5:
            bos = try id(Key.bos)
            eos = try id(Key.eos, default: 1)
            unknown = try id(Key.unknown, default: 2)
            separator = try id(Key.separator)
            padding = try id(Key.padding, default: 0)
            mask = try id(Key.mask)
        case .gpt2, .gemma4:
            bos = try id(Key.bos)
            eos = try id(Key.eos)
            unknown = try id(Key.unknown)
            separator = try id(Key.separator)
            padding = try id(Key.padding)
            mask = try id(Key.mask)
        }
        eot = try id(Key.eot) ?? Self.first(of: Self.endOfTurnTexts, in: vocabulary)
        eom = try id(Key.eom) ?? Self.first(of: ["<|eom_id|>"], in: vocabulary)
        let ends = [
            eos, eot, eom,
            try id(Key.fillPadding) ?? Self.first(of: Self.fillPaddingTexts, in: vocabulary),
            try id(Key.fillRepository) ?? Self.first(of: Self.fillRepositoryTexts, in: vocabulary),
            try id(Key.fillFile) ?? Self.first(of: ["<|file_sep|>"], in: vocabulary),
        ]
        endOfGeneration = Self.endOfGeneration(ends.compactMap { $0 }, vocabulary)
    }

    private static func endOfGeneration(_ named: [Int32], _ vocabulary: Vocabulary) -> Set<Int32> {
        func has(_ text: String) -> Bool { vocabulary.id(of: text) != nil }
        var ids = Set(named)
        for text in endTexts {
            if let id = vocabulary.id(of: text) { ids.insert(id) }
        }
        if let id = vocabulary.id(of: "</s>"), vocabulary.types[Int(id)] != .normal { ids.insert(id) }
        // Where a turn has several messages, <|end|> ends only one of them.
        if let end = vocabulary.id(of: "<|end|>"),
            (has("<|return|>") && has("<|call|>")) || (has("<|flush|>") && has("<|calls|>"))
        {
            ids.remove(end)
        }
        if has("<|tool_response>"), let id = vocabulary.id(of: "</s>") { ids.remove(id) }
        return ids
    }

    private static func first(of texts: [String], in vocabulary: Vocabulary) -> Int32? {
        for text in texts {
            if let id = vocabulary.id(of: text) { return id }
        }
        return nil
    }

    private static let endOfTurnTexts = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>",
        "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>",
    ]
    private static let endTexts = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
        "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>",
        "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[",
    ]
    private static let fillPaddingTexts = ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"]
    private static let fillRepositoryTexts = [
        "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>",
    ]
}
