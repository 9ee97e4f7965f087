import ChatTemplates

/// Finds the name under which `tokenizer.ggml.pre` knows a `tokenizer.json`'s way to cut text into words.
///
/// The steps are brought into one spelling and looked up: tokenizers that cut alike have one name. The expressions are
/// those of the models' files, as llama.cpp's `src/llama-vocab.cpp` lists them beside its names.
enum PreTokenizerName {
    /// - Throws: `ConvertError.tokenizer` for one that no name is known for.
    static func find(_ tokenizer: JSONObject, path: String, architecture: String) throws(ConvertError) -> String {
        let composes = kinds(tokenizer["normalizer"]).contains("NFC")
        let wholeWords = tokenizer["model"]?["ignore_merges"]?.boolValue ?? false
        let steps = steps(tokenizer["pre_tokenizer"])
        let name: String? =
            switch steps {
            case [words(digits: "\\p{N}")]: composes ? "qwen2" : "stablelm2"
            case [words(digits: "\\p{N}{1,3}")]: threeDigits(architecture, wholeWords: wholeWords)
            case [wordsWithMarks]: "qwen35"
            case [casedWords(digits: "\\p{N}{1,3}", suffix: "<c>?")]:
                architecture == "minimax-m2" ? "minimax-m2" : "gpt-4o"
            case [casedWords(digits: "\\p{N}", suffix: "")]: "tekken"
            case [seed]: "seed-coder"
            case [bailing]: "bailingmoe"
            case ["<gpt2>"]: composes ? "olmo" : "gpt-2"
            case ["<digits>", "<gpt2>"]: composes ? "command-r" : "starcoder"
            case deepSeekV3: "deepseek-v3"
            case deepSeekCoder: "deepseek-coder"
            default: isDeepSeekLLM(steps) ? "deepseek-llm" : nil
            }
        guard let name else {
            throw .tokenizer(
                path: path, field: "pre_tokenizer", found: steps.joined(separator: " then "),
                expected: "one that tokenizer.ggml.pre has a name for")
        }
        return name
    }

    private static func threeDigits(_ architecture: String, wholeWords: Bool) -> String {
        switch architecture {
        case "lfm2moe": "lfm2"
        case "glm4moe", "glm-dsa", "deepseek2": "glm4"
        default: wholeWords ? "llama-bpe" : "dbrx"
        }
    }

    // MARK: Steps

    /// The types in a sequence, or the single one.
    private static func kinds(_ value: JSONValue?) -> [String] {
        parts(value, "normalizers").compactMap { $0["type"]?.stringValue }
    }

    private static func parts(_ value: JSONValue?, _ list: String) -> [JSONValue] {
        guard let value, !value.isNull else { return [] }
        guard value["type"]?.stringValue == "Sequence" else { return [value] }
        return value[list]?.arrayValue ?? []
    }

    private static func steps(_ value: JSONValue?) -> [String] {
        parts(value, "pretokenizers").compactMap { step in
            switch step["type"]?.stringValue {
            case "ByteLevel":
                if step["add_prefix_space"]?.boolValue == true { return "<gpt2 with a space in front>" }
                return step["use_regex"]?.boolValue ?? true ? "<gpt2>" : nil
            case "Digits": return step["individual_digits"]?.boolValue == true ? "<digits>" : "<numbers>"
            case "Split":
                let pattern = step["pattern"]?["Regex"]?.stringValue ?? step["pattern"]?["String"]?.stringValue ?? ""
                let removes = step["behavior"]?.stringValue == "Removed"
                let inverts = step["invert"]?.boolValue ?? false
                guard removes == inverts else { return "<removing> \(pattern)" }
                return canonical(pattern)
            case let kind: return "<\(kind ?? "?")>"
            }
        }
    }

    /// One spelling for expressions that find the same.
    static func canonical(_ pattern: String) -> String {
        // By code points: together the two line ends are one character.
        var text = pattern.replacingScalars("\r", with: "\\r").replacingScalars("\n", with: "\\n")
        for contraction in [
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])",
            "'(?i:[sdmt]|ll|ve|re)", "(?i:'[sdmt]|'ll|'ve|'re)",
        ] { text = text.replacing(contraction, with: "<c>") }
        return text.replacing("]?+", with: "]?").replacing("]++", with: "]+").replacing("{1}", with: "")
    }

    // MARK: Expressions

    private static let spaces = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

    private static func words(digits: String) -> String {
        "<c>|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\(digits)| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\(spaces)"
    }

    private static let wordsWithMarks =
        "<c>|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\(spaces)"

    private static func casedWords(digits: String, suffix: String) -> String {
        let (upper, lower) = ("[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]")
        let prefix = "[^\\r\\n\\p{L}\\p{N}]?"
        return "\(prefix)\(upper)*\(lower)+\(suffix)|\(prefix)\(upper)+\(lower)*\(suffix)|\(digits)|"
            + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\(spaces)"
    }

    private static let seed =
        "<c>|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\(spaces)"
    private static let bailing =
        "<c>|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"

    private static let deepSeekV3 = [
        "\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
            + " ?[\\p{P}\\p{S}]+[\\r\\n]*|\(spaces)",
    ]
    private static let cjk = "[一-龥ࠀ-一가-\u{d7ff}]+"
    private static let deepSeekCoder = ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", cjk, "<digits>"]

    /// Its letters are listed one by one.
    private static func isDeepSeekLLM(_ steps: [String]) -> Bool {
        steps.count == 6 && steps[0] == "[\\r\\n]" && steps[1].hasPrefix("\\s?[A-Za-zµÀ-ÖØ-öø-")
            && steps[2] == "\\s?[!-/:-~！-／：-～‘-‟　-。]+" && steps[3] == "\\s+$" && steps[4] == cjk
            && steps[5] == "<digits>"
    }
}
