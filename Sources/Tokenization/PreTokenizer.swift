/// How text is cut into words before byte pairs are merged, as `tokenizer.ggml.pre` names it.
///
/// The expressions are those of the models' own `tokenizer.json`; the names are the ones that converters write
/// (llama.cpp `src/llama-vocab.cpp`). Each pass cuts the pieces of the pass before.
struct PreTokenizer: Sendable {
    enum Pass: Sendable {
        case pattern(Pattern)
        /// Runs of numbers in groups of three, counted from their end.
        case numberTriplesFromTheRight
        /// `\s+$`: white space at the end of a piece is a piece of its own.
        case trailingSpace
        /// Runs of line feeds are pieces of their own. Used with `byteLevel == false`.
        static let lines = Pass.pattern(Pattern([[.some(ScalarSet("\n"))], [.some(!ScalarSet("\n"))]]))
    }

    var passes: [Pass]
    /// A word that is a token as a whole is that token, even if no sequence of merges leads to it.
    var wholeWords = false
    /// The model's own tokenizer brings text into Unicode normalisation form C.
    var composes = false
    /// Used when the file does not say.
    var addsBOS = false
    /// Tokens are written in the byte-level alphabet of GPT-2. Otherwise they are UTF-8 with U+2581 for a space, and
    /// bytes without a token have tokens like `<0x0A>`.
    var byteLevel = true

    /// - Throws: `TokenizerError.unknownPreTokenizer`.
    init(named name: String) throws(TokenizerError) {
        switch name {
        case "", "default":
            self.init([.punctuation(and: "$+<=>^~|"), .gpt2, .pattern(.numbers), .pattern(.threeDigits)])
        case "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v1-en", "jina-v2-es", "jina-v2-de",
            "jina-v2-code", "roberta-bpe", "a.x-4.0", "mellum", "modern-bert", "exaone4", "mpt", "jais", "trillion",
            "granite-docling":
            self.init([.gpt2])
        case "olmo": self.init([.gpt2], composes: true)
        case "starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2":
            self.init([.digits, .gpt2])
        case "command-r": self.init([.digits, .gpt2], composes: true)
        case "falcon": self.init([.punctuation(and: "$+<=>^~|`"), .gpt2, .pattern(.threeDigits)])
        case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano":
            self.init([.words(digits: 3)], wholeWords: true, addsBOS: true)
        case "dbrx", "smaug-bpe", "glm4", "chatglm-bpe": self.init([.words(digits: 3)])
        case "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez":
            self.init([.words(digits: 1)], composes: true)
        case "stablelm2", "hunyuan", "solar-open", "grok-2": self.init([.words(digits: 1)])
        case "qwen35": self.init([.wordsWithMarks], composes: true)
        case "deepseek-llm": self.init([.newlines, .deepseekLetters, .deepseekSigns, .trailingSpace, .cjk, .digits])
        case "deepseek-coder": self.init([.newlines, .letters, .punctuation, .cjk, .digits])
        case "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4": self.init([.digitTriples, .kana, .deepseekWords])
        case "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "o200k", "o200k_base", "o200k_harmony":
            self.init([.casedWords(digits: 3, contractions: true)])
        case "tiny_aya", "cohere2moe":
            self.init([.numberTriplesFromTheRight, .casedWords(digits: 3, contractions: true)])
        case "afmoe": self.init([.numberTriplesFromTheRight, .asianScripts, .deepseekWords])
        case "laguna": self.init([.lines, .words(digits: 1)])
        case "minicpm5": self.init([.digitTriples, .words(digits: 3)], wholeWords: true)
        case "tekken": self.init([.casedWords(digits: 1, contractions: false)], wholeWords: true, addsBOS: true)
        case "kimi-k2": self.init([.kimi])
        case "seed-coder": self.init([.seed])
        case "bailingmoe", "bailingmoe2", "llada-moe": self.init([.bailing])
        case "poro-chat", "bloom", "gpt3-finnish": self.init([.bloom])
        case "viking": self.init([.bloom, .digits])
        case "gemma4", "granite-embed-multi-311m": self.init([.lines], addsBOS: true, byteLevel: false)
        case "sarvam-moe": self.init([.lines], byteLevel: false)
        default: throw .unknownPreTokenizer(found: name)
        }
    }

    private init(
        _ passes: [Pass], wholeWords: Bool = false, composes: Bool = false, addsBOS: Bool = false,
        byteLevel: Bool = true
    ) {
        self.passes = passes
        self.wholeWords = wholeWords
        self.composes = composes
        self.addsBOS = addsBOS
        self.byteLevel = byteLevel
    }

    /// Appends to `ends` where each word of the text ends, counted in scalars.
    func split(_ text: Span<UInt32>, into ends: inout [Int]) {
        guard text.count > 0 else { return }
        ends.append(text.count)
        var pieces: [Int] = []
        for pass in passes {
            swap(&pieces, &ends)
            ends.removeAll(keepingCapacity: true)
            var start = 0
            for end in pieces {
                switch pass {
                case .pattern(let pattern): pattern.split(text, start..<end, into: &ends)
                case .numberTriplesFromTheRight: Self.splitNumbers(text, start..<end, into: &ends)
                case .trailingSpace:
                    var space = end
                    while space > start, text[space - 1] & ScalarClass.space.rawValue != 0 { space -= 1 }
                    if space > start { ends.append(space) }
                    if space < end { ends.append(end) }
                }
                start = end
            }
        }
    }
}

extension PreTokenizer {
    private static func splitNumbers(_ text: Span<UInt32>, _ piece: Range<Int>, into ends: inout [Int]) {
        func isNumber(_ index: Int) -> Bool { text[index] & ScalarClass.number.rawValue != 0 }
        var start = piece.lowerBound
        while start < piece.upperBound {
            let number = isNumber(start)
            var end = start + 1
            while end < piece.upperBound, isNumber(end) == number { end += 1 }
            if number {
                let first = (end - start) % 3
                if first > 0 { ends.append(start + first) }
                for stop in stride(from: start + first + 3, through: end, by: 3) { ends.append(stop) }
            } else {
                ends.append(end)
            }
            start = end
        }
    }
}

extension ScalarSet {
    fileprivate static let letter = ScalarSet(.letter)
    fileprivate static let number = ScalarSet(.number)
    fileprivate static let space = ScalarSet(.space)
    fileprivate static let newline = ScalarSet(.newline)
    fileprivate static let blank = ScalarSet(" ")
    /// `[^\r\n\p{L}\p{N}]`, which may stand before a word.
    fileprivate static let prefix = !ScalarSet([.newline, .letter, .number])
    /// `[^\s\p{L}\p{N}]`
    fileprivate static let sign = !ScalarSet([.space, .letter, .number])
}

extension [[PatternStep]] {
    /// `\s*[\r\n]+|\s+(?!\S)|\s+`
    fileprivate static let spaces: Self = [
        [.any(.space), .some(.newline)], [.some(.space), .beforeSpaceOrEnd], [.some(.space)],
    ]
}

extension Pattern {
    fileprivate static let numbers = Pattern([[.some(.number)]])
    fileprivate static let threeDigits = Pattern([[.run(ScalarSet("", ["0"..."9"]), least: 3, most: 3)]])
}

extension PreTokenizer.Pass {
    private typealias Pass = PreTokenizer.Pass

    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    fileprivate static let gpt2 = Pass.pattern(
        Pattern([
            [.contraction(ignoringCase: false, isOptional: false)],
            [.optional(.blank), .some(.letter)], [.optional(.blank), .some(.number)],
            [.optional(.blank), .some(.sign)], [.some(.space), .beforeSpaceOrEnd], [.some(.space)],
        ]))

    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*` and spaces.
    fileprivate static func words(digits: Int) -> Self {
        .pattern(
            Pattern(
                [
                    [.contraction(ignoringCase: true, isOptional: false)],
                    [.optional(.prefix), .some(.letter)], [.upTo(digits, .number)],
                    [.optional(.blank), .some(.sign), .any(.newline)],
                ] + .spaces))
    }

    /// As `words(digits: 1)`, with `[\p{L}\p{M}]+` for words.
    fileprivate static let wordsWithMarks = Pass.pattern(
        Pattern(
            [
                [.contraction(ignoringCase: true, isOptional: false)],
                [.optional(.prefix), .some(ScalarSet([.letter, .mark]))], [.one(.number)],
                [
                    .optional(.blank), .some(!ScalarSet([.space, .letter, .mark, .number])), .any(.newline),
                ],
            ] + .spaces))

    /// `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+` and the same with `+` and `*`
    /// exchanged, a contraction after each; `\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*` and spaces.
    fileprivate static func casedWords(digits: Int, contractions: Bool) -> Self {
        .pattern(
            Pattern(
                casedWords(excluding: [], contractions: contractions) + [
                    [.upTo(digits, .number)],
                    [.optional(.blank), .some(.sign), .any(ScalarSet("\r\n/"))],
                ] + .spaces))
    }

    private static func casedWords(excluding excluded: ScalarClass, contractions: Bool) -> [[PatternStep]] {
        let upper = ScalarSet([.upper, .otherLetter, .mark], excluding: excluded)
        let lower = ScalarSet([.lower, .otherLetter, .mark], excluding: excluded)
        let suffix: [PatternStep] = contractions ? [.contraction(ignoringCase: true, isOptional: true)] : []
        return [
            [.optional(.prefix), .any(upper), .some(lower)] + suffix,
            [.optional(.prefix), .some(upper), .any(lower)] + suffix,
        ]
    }

    /// As `casedWords`, with runs of Han characters apart.
    fileprivate static let kimi = Pass.pattern(
        Pattern(
            [[.some(ScalarSet(.han))]] + casedWords(excluding: .han, contractions: true) + [
                [.upTo(3, .number)], [.optional(.blank), .some(.sign), .any(.newline)],
            ] + .spaces))

    /// As `words(digits: 1)`, but signs take no line ends along.
    fileprivate static let seed = Pass.pattern(
        Pattern(
            [
                [.contraction(ignoringCase: true, isOptional: false)],
                [.optional(.prefix), .some(.letter)], [.one(.number)], [.optional(.blank), .some(.sign)],
            ] + .spaces))

    /// As `words(digits: 1)`, but one line end at a time: `\s*[\r\n]`.
    fileprivate static let bailing = Pass.pattern(
        Pattern([
            [.contraction(ignoringCase: true, isOptional: false)],
            [.optional(.prefix), .some(.letter)], [.one(.number)],
            [.optional(.blank), .some(.sign), .any(.newline)],
            [.any(.space), .one(.newline)], [.some(.space), .beforeSpaceOrEnd], [.some(.space)],
        ]))

    /// ` ?[^(\s|.,!?…。，、।۔،)]+`
    fileprivate static let bloom = Pass.pattern(
        Pattern([[.optional(.blank), .some(!bloomBreaks)]]))

    private static var bloomBreaks: ScalarSet {
        var set = ScalarSet("(|.,!?…。，、।۔،)")
        set.classes = .space
        return set
    }

    /// `[\p{P}…]+`
    fileprivate static func punctuation(and others: String) -> Self {
        var set = ScalarSet(others)
        set.classes = .punctuation
        return .pattern(Pattern([[.some(set)]]))
    }

    fileprivate static let digits = Pass.pattern(Pattern([[.one(.number)]]))
    fileprivate static let digitTriples = Pass.pattern(Pattern([[.upTo(3, .number)]]))
    fileprivate static let newlines = Pass.pattern(Pattern([[.one(.newline)]]))
    fileprivate static let letters = Pass.pattern(Pattern([[.optional(.space), .some(.letter)]]))
    fileprivate static let punctuation = Pass.pattern(
        Pattern([[.optional(.space), .some(ScalarSet(.punctuation))]]))

    /// `[一-龥ࠀ-一가-퟿]+`: from Samaritan to the first ideographs, the ideographs, Hangul.
    fileprivate static let cjk = Pass.pattern(
        Pattern([[.some(ScalarSet([], [0x800...0x9fa5, 0xac00...0xd7ff]))]]))

    /// `[一-龥぀-ゟ゠-ヿ]+`: ideographs, hiragana, katakana.
    fileprivate static let kana = Pass.pattern(
        Pattern([[.some(ScalarSet([], [0x3040...0x30ff, 0x4e00...0x9fa5]))]]))

    /// Ideographs and radicals, kana, Thai, Lao, Khmer, Burmese, Hangul: `[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ…]+`.
    fileprivate static let asianScripts = Pass.pattern(
        Pattern([
            [
                .some(
                    ScalarSet(
                        [],
                        [
                            0x4e00...0x9fff, 0x3400...0x4dbf, 0xf900...0xfaff, 0x3040...0x30ff, 0xff65...0xff9f,
                            0x2f00...0x2fdf, 0xe40...0xeff, 0x1780...0x17ff, 0x1000...0x109f, 0xaa60...0xaa7f,
                            0xa9e0...0xa9ff, 0xac00...0xd7af, 0x1100...0x11ff,
                        ]))
            ]
        ]))

    /// Punctuation before an ASCII word, words with marks, runs of punctuation and symbols, spaces.
    fileprivate static let deepseekWords = Pass.pattern(
        Pattern(
            [
                [
                    .one(ScalarSet("", ["!"..."/", ":"..."@", "["..."`", "{"..."~"])),
                    .some(ScalarSet("", ["A"..."Z", "a"..."z"])),
                ],
                [
                    .optional(!ScalarSet([.newline, .letter, .punctuation, .symbol])),
                    .some(ScalarSet([.letter, .mark])),
                ],
                [.optional(.blank), .some(ScalarSet([.punctuation, .symbol])), .any(.newline)],
            ] + .spaces))

    /// `\s?[!-/:-~！-／：-～‘-‟　-。]+`
    fileprivate static let deepseekSigns = Pass.pattern(
        Pattern([
            [
                .optional(.space),
                .some(
                    ScalarSet(
                        [],
                        [0x21...0x2f, 0x3a...0x7e, 0xff01...0xff0f, 0xff1a...0xff5e, 0x2018...0x201f, 0x3000...0x3002])),
            ]
        ]))

    /// `\s?[A-Za-zµÀ-Ö…]+`: the cased letters that the expression lists.
    fileprivate static let deepseekLetters = Pass.pattern(
        Pattern([[.optional(.space), .some(ScalarSet([], deepseekCasedLetters))]]))

    private static let deepseekCasedLetters: [ClosedRange<UInt32>] = [
        0x41...0x5a, 0x61...0x7a, 0xb5...0xb5, 0xc0...0xd6, 0xd8...0xf6, 0xf8...0x1ba, 0x1bc...0x1bf, 0x1c4...0x293,
        0x295...0x2af, 0x370...0x373, 0x376...0x376, 0x377...0x377, 0x37b...0x37d, 0x37f...0x37f, 0x386...0x386,
        0x388...0x38a, 0x38c...0x38c, 0x38e...0x3a1, 0x3a3...0x3f5, 0x3f7...0x481, 0x48a...0x52f, 0x531...0x556,
        0x10a0...0x10c5, 0x13a0...0x13f5, 0x13f8...0x13fd, 0x1c90...0x1cba, 0x1cbd...0x1cbf, 0x1d00...0x1d2b,
        0x1d6b...0x1d77, 0x1d79...0x1d9a, 0x1e00...0x1f15, 0x1f18...0x1f1d, 0x1f20...0x1f45, 0x1f48...0x1f4d,
        0x1f50...0x1f57, 0x1f59...0x1f59, 0x1f5b...0x1f5b, 0x1f5d...0x1f5d, 0x1f5f...0x1f7d, 0x1f80...0x1fb4,
        0x1fb6...0x1fbc, 0x1fbe...0x1fbe, 0x1fc2...0x1fc4, 0x1fc6...0x1fcc, 0x1fd0...0x1fd3, 0x1fd6...0x1fdb,
        0x1fe0...0x1fec, 0x1ff2...0x1ff4, 0x1ff6...0x1ffc, 0x2102...0x2102, 0x2107...0x2107, 0x210a...0x2113,
        0x2115...0x2115, 0x2119...0x211d, 0x2124...0x2124, 0x2126...0x2126, 0x2128...0x2128, 0x212a...0x212d,
        0x212f...0x2134, 0x2139...0x2139, 0x213c...0x213f, 0x2145...0x2149, 0x214e...0x214e, 0x2183...0x2183,
        0x2184...0x2184, 0x2c00...0x2c7b, 0x2c7e...0x2ce4, 0x2ceb...0x2cee, 0x2cf2...0x2cf2, 0x2cf3...0x2cf3,
        0xa640...0xa66d, 0xa680...0xa69b, 0xa722...0xa76f, 0xa771...0xa787, 0xa78b...0xa78e, 0xab70...0xabbf,
        0xfb00...0xfb06, 0xfb13...0xfb17, 0xff21...0xff3a, 0xff41...0xff5a, 0x10400...0x1044f, 0x104b0...0x104d3,
        0x104d8...0x104fb, 0x10c80...0x10cb2, 0x10cc0...0x10cf2, 0x118a0...0x118df, 0x1e900...0x1e943,
    ]
}
