/// The metadata keys of a vocabulary (gguf-py `constants.py`, class `Keys.Tokenizer`).
enum Key {
    static let model = "tokenizer.ggml.model"
    static let preTokenizer = "tokenizer.ggml.pre"
    static let tokens = "tokenizer.ggml.tokens"
    static let tokenTypes = "tokenizer.ggml.token_type"
    static let scores = "tokenizer.ggml.scores"
    static let merges = "tokenizer.ggml.merges"

    static let bos = "tokenizer.ggml.bos_token_id"
    static let eos = "tokenizer.ggml.eos_token_id"
    static let eot = "tokenizer.ggml.eot_token_id"
    static let eom = "tokenizer.ggml.eom_token_id"
    static let unknown = "tokenizer.ggml.unknown_token_id"
    /// Spelled so in the format.
    static let separator = "tokenizer.ggml.seperator_token_id"
    static let padding = "tokenizer.ggml.padding_token_id"
    static let classification = "tokenizer.ggml.cls_token_id"
    static let mask = "tokenizer.ggml.mask_token_id"
    static let fillPadding = "tokenizer.ggml.fim_pad_token_id"
    static let fillRepository = "tokenizer.ggml.fim_rep_token_id"
    static let fillFile = "tokenizer.ggml.fim_sep_token_id"

    static let addBOS = "tokenizer.ggml.add_bos_token"
    static let addEOS = "tokenizer.ggml.add_eos_token"
    static let addSeparator = "tokenizer.ggml.add_sep_token"
    static let addSpacePrefix = "tokenizer.ggml.add_space_prefix"
    static let removeExtraSpaces = "tokenizer.ggml.remove_extra_whitespaces"
    static let characterMap = "tokenizer.ggml.precompiled_charsmap"
    static let lowercase = "tokenizer.ggml.normalizer.lowercase"
    static let stripAccents = "tokenizer.ggml.normalizer.strip_accents"
    static let name = "general.name"
}
