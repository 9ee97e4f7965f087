import Testing

@testable import Tokenization

/// Words against those that Hugging Face `tokenizers` gives for the expressions of the models' `tokenizer.json`.
@Suite struct PreTokenizerTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        /// The words of each text of `texts`, joined with "|".
        var words: [String]
        var testDescription: String { name }

        init(_ name: String, _ words: [String]) {
            self.name = name
            self.words = words
        }
    }

    static let texts = [
        "I'll SAY they'RE 12345 naïve_words (ok)!!\n\n  x = [1, 2];\t",
        "HTTPServer's don'T  日本語テスト。漢字kana 3.14\r\n \u{a0}/end e\u{301}l\u{301}",
        "  \n \t if(a!=b){ return 0x1F; } //done\n\n",
    ]

    static let cases = [
        Case(
            "gpt-2",
            [
                "I|'ll| SAY| they|'|RE| 12345| naïve|_|words| (|ok|)!!|\n\n | x| =| [|1|,| 2|];|\t",
                "HTTPServer|'s| don|'|T| | 日本語テスト|。|漢字kana| 3|.|14|\r\n |\u{a0}|/|end| e|\u{301}|l|\u{301}",
                "  \n \t| if|(|a|!=|b|){| return| 0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "refact",
            [
                "I|'ll| SAY| they|'|RE| |1|2|3|4|5| naïve|_|words| (|ok|)!!|\n\n | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'|T| | 日本語テスト|。|漢字kana| |3|.|1|4|\r\n |\u{a0}|/|end| e|\u{301}|l|\u{301}",
                "  \n \t| if|(|a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "llama-bpe",
            [
                "I|'ll| SAY| they|'RE| |123|45| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T| | 日本語テスト|。漢字kana| |3|.|14|\r\n| |\u{a0}|/end| e|\u{301}l|\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "qwen2",
            [
                "I|'ll| SAY| they|'RE| |1|2|3|4|5| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T| | 日本語テスト|。漢字kana| |3|.|1|4|\r\n| |\u{a0}|/end| e|\u{301}l|\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "qwen35",
            [
                "I|'ll| SAY| they|'RE| |1|2|3|4|5| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T| | 日本語テスト|。漢字kana| |3|.|1|4|\r\n| |\u{a0}|/end| e\u{301}l\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "deepseek-coder",
            [
                "I|'|ll| SAY| they|'|RE| |1|2|3|4|5| naïve|_|words| (|ok|)!!|\n|\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'|s| don|'|T| | |日本語テスト|。|漢字|kana| |3|.|1|4|\r|\n| |\u{a0}/|end| e|\u{301}|l|\u{301}",
                "  |\n| \t| if|(|a|!|=|b|){| return| |0|x|1|F|;| }| //|done|\n|\n",
            ]),
        Case(
            "deepseek-v3",
            [
                "I|'ll| SAY| they|'RE| |123|45| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T|  |日本語テスト|。|漢字|kana| |3|.|14|\r\n| |\u{a0}|/end| e\u{301}l\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "gpt-4o",
            [
                "I'll| SAY| they'RE| |123|45| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer's| don'T| | 日本語テスト|。漢字kana| |3|.|14|\r\n| |\u{a0}|/end| e\u{301}l\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "tekken",
            [
                "I|'ll| SAY| they|'RE| |1|2|3|4|5| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T| | 日本語テスト|。漢字kana| |3|.|1|4|\r\n| |\u{a0}|/end| e\u{301}l\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "kimi-k2",
            [
                "I'll| SAY| they'RE| |123|45| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer's| don'T| | |日本語|テスト|。|漢字|kana| |3|.|14|\r\n| |\u{a0}|/end| e\u{301}l\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "seed-coder",
            [
                "I|'ll| SAY| they|'RE| |1|2|3|4|5| naïve|_words| (|ok|)!!|\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T| | 日本語テスト|。漢字kana| |3|.|1|4|\r\n| |\u{a0}|/end| e|\u{301}l|\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "bailingmoe",
            [
                "I|'ll| SAY| they|'RE| |1|2|3|4|5| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T| | 日本語テスト|。漢字kana| |3|.|1|4|\r\n| |\u{a0}|/end| e|\u{301}l|\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "deepseek-llm",
            [
                "I|'|ll| SAY| they|'|RE| |1|2|3|4|5| na|ï|ve|_|words| (|ok|)!!|\n|\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'|s| don|'|T|  |日本語テスト|。|漢字|kana| |3|.|1|4|\r|\n| |\u{a0}/|end| e|\u{301}|l|\u{301}",
                "  |\n| \t| if|(|a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n|\n",
            ]),
        Case(
            "default",
            [
                "I|'|ll| SAY| they|'|RE| |123|45| naïve|_|words| |(|ok|)!!|\n\n | x| |=| |[|1|,| |2|];|\t",
                "HTTPServer|'|s| don|'|T| | 日本語テスト|。|漢字kana| |3|.|14|\r\n \u{a0}|/|end| e|\u{301}|l|\u{301}",
                "  \n \t| if|(|a|!=|b|){| return| |0|x|1|F|;| |}| |//|done|\n\n",
            ]),
        Case(
            "falcon",
            [
                "I|'|ll| SAY| they|'|RE| |123|45| naïve|_|words| |(|ok|)!!|\n\n | x| |=| |[|1|,| 2|];|\t",
                "HTTPServer|'|s| don|'|T| | 日本語テスト|。|漢字kana| 3|.|14|\r\n \u{a0}|/|end| e|\u{301}|l|\u{301}",
                "  \n \t| if|(|a|!=|b|){| return| 0|x|1|F|;| |}| |//|done|\n\n",
            ]),
        Case(
            "bloom",
            [
                "I'll| SAY| they'RE| 12345| naïve_words| (|ok|)!!\n\n | x| =| [1|,| 2];|\t",
                "HTTPServer's| don'T| | 日本語テスト|。|漢字kana| 3|.|14|\r\n \u{a0}|/end| e\u{301}l\u{301}",
                "  \n \t| if|(|a|!|=b|)|{| return| 0x1F;| }| //done|\n\n",
            ]),
        Case(
            "cohere2moe",
            [
                "I'll| SAY| they'RE| |12|345| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer's| don'T| | 日本語テスト|。漢字kana| |3|.|14|\r\n| |\u{a0}|/end| e\u{301}l\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "afmoe",
            [
                "I|'ll| SAY| they|'RE| |12|345| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T|  |日本語テスト|。|漢字|kana| |3|.|14|\r\n| |\u{a0}|/end| e\u{301}l\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "laguna",
            [
                "I|'ll| SAY| they|'RE| |1|2|3|4|5| naïve|_words| (|ok|)!!|\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T| | 日本語テスト|。漢字kana| |3|.|1|4|\r|\n| |\u{a0}|/end| e|\u{301}l|\u{301}",
                "  |\n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
        Case(
            "minicpm5",
            [
                "I|'ll| SAY| they|'RE| |123|45| naïve|_words| (|ok|)!!\n\n| | x| =| [|1|,| |2|];|\t",
                "HTTPServer|'s| don|'T| | 日本語テスト|。漢字kana| |3|.|14|\r\n| |\u{a0}|/end| e|\u{301}l|\u{301}",
                "  \n| \t| if|(a|!=|b|){| return| |0|x|1|F|;| }| //|done|\n\n",
            ]),
    ]

    static func words(_ text: String, _ preTokenizer: PreTokenizer) -> [String] {
        var scalars: [UInt32] = []
        _ = Array(text.utf8).withUnsafeBytes { appendScalars(of: $0, to: &scalars) }
        var ends: [Int] = []
        preTokenizer.split(scalars.span, into: &ends)
        var start = 0
        return ends.map { end in
            defer { start = end }
            var word = ""
            for packed in scalars[start..<end] { word.unicodeScalars.append(Normalization.scalar(packed)) }
            return word
        }
    }

    @Test(arguments: cases) func words(_ each: Case) throws {
        let preTokenizer = try PreTokenizer(named: each.name)
        for (text, expected) in zip(Self.texts, each.words) {
            #expect(Self.words(text, preTokenizer).joined(separator: "|").utf8.elementsEqual(expected.utf8))
        }
    }

    /// An `s` to an expression that ignores case, as in the original engines.
    @Test func longS() throws {
        let text = "it'\u{17f}o"
        #expect(Self.words(text, try PreTokenizer(named: "qwen2")) == ["it", "'\u{17f}", "o"])
        #expect(Self.words(text, try PreTokenizer(named: "gpt-2")) == ["it", "'", "\u{17f}o"])
    }

    static let names = [
        "", "default", "gpt-2", "llama-bpe", "llama3", "llama-v3", "lfm2", "qwen2", "qwen35", "deepseek-llm",
        "deepseek-coder", "deepseek-v3", "deepseek-r1-qwen", "gpt-4o", "llama4", "o200k", "glm4", "chatglm-bpe",
        "kimi-k2", "minimax-m2", "seed-coder", "olmo", "refact", "starcoder", "tekken", "smollm", "command-r", "gemma4",
        "dbrx", "smaug-bpe", "hunyuan", "hunyuan-dense", "falcon", "bloom", "viking", "bailingmoe", "stablelm2",
    ]

    @Test(arguments: names) func wordsAreTheText(_ name: String) throws {
        let preTokenizer = try PreTokenizer(named: name)
        var random = SystemRandomNumberGenerator()
        let alphabet = [
            "a", "Z", "é", "中", "0", "½", " ", "  ", "\n", "\r", "\t", "'", "'s", ".", "-", "\u{301}", "\0", "🙂",
        ]
        for _ in 0..<200 {
            let text = (0..<Int.random(in: 0..<30, using: &random)).map { _ in alphabet[Int.random(in: 0..<18)] }
                .joined()
            let words = Self.words(text, preTokenizer)
            #expect(words.joined().utf8.elementsEqual(text.utf8))
            #expect(!words.contains(""))
        }
    }

    @Test func unknownName() {
        #expect(throws: TokenizerError.unknownPreTokenizer(found: "no-such")) { try PreTokenizer(named: "no-such") }
    }

    /// Anything but linear time would not end.
    @Test(.timeLimit(.minutes(5)), arguments: names) func longRuns(_ name: String) throws {
        let preTokenizer = try PreTokenizer(named: name)
        for unit in ["a", "A", " ", "\n", "!", "1", "中", "\u{301}", "'"] {
            for text in [String(repeating: unit, count: 1 << 16) + "中", "." + String(repeating: unit, count: 1 << 16)] {
                var scalars: [UInt32] = []
                _ = Array(text.utf8).withUnsafeBytes { appendScalars(of: $0, to: &scalars) }
                var ends: [Int] = []
                preTokenizer.split(scalars.span, into: &ends)
                #expect(ends.last == (1 << 16) + 1)
            }
        }
    }
}
