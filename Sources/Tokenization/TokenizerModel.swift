import GGUF

/// The kinds of vocabulary, as `tokenizer.ggml.model` names them.
enum TokenizerModel: String, CaseIterable, Sendable {
    /// Byte-pair encoding with merges, mostly byte-level.
    case gpt2
    /// Byte-pair encoding with merges, on UTF-8 with U+2581 for spaces.
    case gemma4
    /// SentencePiece, byte pairs by score.
    case llama
    /// SentencePiece, unigram.
    case t5
    /// WordPiece.
    case bert

    init(_ metadata: GGUFMetadata) throws(TokenizerError) {
        let name: String
        do { name = try metadata.string(Key.model) } catch { throw .metadata(error) }
        guard let model = TokenizerModel(rawValue: name) else {
            throw .unsupportedModel(found: name, known: Self.allCases.map { $0.rawValue })
        }
        self = model
    }
}

/// What a file says, or its kind of vocabulary implies, about encoding.
struct TokenizerOptions: Sendable {
    var model: TokenizerModel
    /// For `gpt2` and `gemma4`.
    var preTokenizer: PreTokenizer?
    var addBOS = false
    var addEOS = false
    var addSeparator = false
    /// Text starts with a space that is not in it.
    var addsSpacePrefix = false

    init(_ metadata: GGUFMetadata) throws(TokenizerError) {
        model = try TokenizerModel(metadata)
        switch model {
        case .gpt2:
            let name: String
            do { name = try metadata.string(Key.preTokenizer, default: "") } catch { throw .metadata(error) }
            let named = try PreTokenizer(named: name)
            addBOS = named.addsBOS
            preTokenizer = named
        case .gemma4:
            preTokenizer = try PreTokenizer(named: "gemma4")
        case .llama:
            addBOS = true
            addsSpacePrefix = try flag(metadata, Key.addSpacePrefix, default: true)
        case .t5:
            addEOS = true
            addsSpacePrefix = try flag(metadata, Key.addSpacePrefix, default: false)
        case .bert:
            addBOS = true
            addSeparator = true
        }
        addBOS = try flag(metadata, Key.addBOS, default: addBOS)
        addEOS = try flag(metadata, Key.addEOS, default: addEOS)
        addSeparator = try flag(metadata, Key.addSeparator, default: addSeparator)
        // Files of this family say false by mistake.
        if model == .gemma4 { addBOS = true }
    }

    func encoder(
        _ metadata: GGUFMetadata, _ vocabulary: Vocabulary, unknown: Int32?
    ) throws(TokenizerError) -> any FragmentEncoder {
        if model == .llama || model == .t5, vocabulary.scores.isEmpty { throw .metadata(.missingKey(Key.scores)) }
        switch model {
        case .gpt2, .gemma4:
            guard let preTokenizer else { throw .unknownPreTokenizer(found: "") }
            guard let merges = try stringArray(metadata, Key.merges) else { throw .metadata(.missingKey(Key.merges)) }
            return BytePairEncoder(vocabulary, merges, preTokenizer, unknown: unknown)
        case .llama:
            return SentencePieceEncoder(vocabulary, addsSpacePrefix: addsSpacePrefix, unknown: unknown)
        case .t5:
            return UnigramEncoder(
                vocabulary, unknown: unknown, addsSpacePrefix: addsSpacePrefix,
                removesExtraSpaces: try flag(metadata, Key.removeExtraSpaces, default: false),
                characterMap: try CharacterMap(metadata))
        case .bert:
            let lowercases = try flag(metadata, Key.lowercase, default: true)
            return WordPieceEncoder(
                vocabulary, unknown: unknown, lowercases: lowercases,
                stripsAccents: try flag(metadata, Key.stripAccents, default: lowercases))
        }
    }
}

private func flag(_ metadata: GGUFMetadata, _ key: String, default fallback: Bool) throws(TokenizerError) -> Bool {
    do { return try metadata.bool(key, default: fallback) } catch { throw .metadata(error) }
}
