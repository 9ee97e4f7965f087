import GGUF
import TestSupport
import Testing
import Tokenization

@testable import ChatTemplates
@testable import InferKit

/// The forms of calls in every syntax: whatever they allow is read back as calls of the tools, with arguments that
/// satisfy the schema.
struct CallFormTests {
    /// Enough of each template to tell the syntax.
    private static let templates: [String: String] = [
        "hermes": "<tool_call></tool_call>", "list": "<TOOLCALL>", "granite": "<|tool_call|>",
        "llama": "<|python_tag|>", "qwen-coder": "<function=", "seed": "<function=<seed:tool_call>",
        "minimax": "<minimax:tool_call>", "glm": "<arg_key>", "dsml": "｜DSML｜function_calls>",
        "deepseek": "<｜tool▁calls▁begin｜>", "deepseek-r1": "<｜tool▁calls▁begin｜>```json",
        "kimi": "<|tool_calls_section_begin|>", "mistral": "[TOOL_CALLS]", "mistral-args": "[TOOL_CALLS][ARGS]",
        "lfm2": "<|tool_list_start|>", "gigachat": "<|function_call|>", "gemma": "<|tool_call><|\"|>",
        "harmony": "<|channel|><|message|><|start|>",
    ]

    private static let parameters: JSONValue = [
        "type": "object",
        "properties": [
            "city": ["type": "string"], "days": ["type": "integer", "minimum": 1, "maximum": 14],
            "unit": ["type": "string", "enum": ["c", "f"]], "code": ["type": "string", "pattern": "^[A-Z]{3}$"],
            "more": ["anyOf": [["type": "null"], ["$ref": "#/$defs/deep"]]],
        ],
        "required": ["city", "days", "code", "more"], "additionalProperties": false,
        "$defs": [
            "deep": [
                "type": "object", "properties": ["list": ["type": "array", "items": ["type": ["string", "boolean"]]]],
                "required": ["list"], "additionalProperties": false,
            ]
        ],
    ]

    private static let tools: [JSONValue] = [
        ["type": "function", "function": ["name": "get_weather", "parameters": parameters]],
        [
            "type": "function",
            "function": ["name": "stop", "parameters": ["type": "object", "additionalProperties": false]],
        ],
    ]

    /// Values whose types stand behind references or nowhere.
    private static let untyped: JSONValue = [
        "type": "object",
        "properties": [
            "mode": ["enum": ["fast", "slow"]], "maybe": ["enum": ["a", nil]], "count": ["$ref": "#/$defs/count"],
            "fixed": ["const": "x y"],
        ],
        "required": ["mode", "maybe", "count", "fixed"], "additionalProperties": false,
        "$defs": ["count": ["type": "integer", "minimum": 0, "maximum": 9]],
    ]

    @Test(arguments: templates.keys.sorted()) func whatIsAllowedIsRead(_ name: String) throws {
        try check(name, Self.parameters, Self.tools)
    }

    @Test(arguments: templates.keys.sorted()) func valuesWithoutATypeAreRead(_ name: String) throws {
        try check(
            name, Self.untyped,
            [["type": "function", "function": ["name": "get_weather", "parameters": Self.untyped]], Self.tools[1]])
    }

    private func check(_ name: String, _ parameters: JSONValue, _ tools: [JSONValue]) throws {
        let syntax = OutputSyntax(template: try #require(Self.templates[name]))
        let vocabulary = GrammarVocabulary(try Tokenizer(GGUFMetadata(ToyVocabulary.byteLevel)))
        let prompt = syntax.form == .harmony ? "<|start|>assistant" : ""
        let pattern = try #require(
            syntax.harmonyPattern(answer: nil, tools: tools, mayThink: true, generationPrompt: prompt)
                ?? syntax.callPattern(tools: tools, isParallel: true))
        let grammar = try TextGrammar(try PatternCompiler.grammar(for: pattern, vocabulary))
        let arguments = try TextGrammar(schema: parameters)
        // What ends a free text.
        let ends = syntax.form == .harmony ? ["<|end|>"] : syntax.marks
        var random = SeededRandom(seed: 11)
        var (read, weather) = (0, 0)
        for _ in 0..<25 {
            guard let bytes = try grammar.sample(length: 200, pieces: ends + ["\n</parameter>"], using: &random) else {
                continue
            }
            let text = String(decoding: bytes, as: UTF8.self)
            var parser = OutputParser(syntax: syntax, tools: tools, generationPrompt: prompt)
            var output = ParsedOutput()
            for event in parser.feed(bytes) + parser.finish(isTruncated: false) { output.add(event) }
            #expect(output.content.isEmpty && output.diagnostics.isEmpty, "\(text.debugDescription) is \(output)")
            #expect(!output.toolCalls.isEmpty, "\(text.debugDescription)")
            read += 1
            for call in output.toolCalls {
                guard call.name != "stop" else { continue }
                weather += 1
                #expect(call.name == "get_weather")
                let text = JSONValue.object(call.arguments).text()
                #expect(try arguments.accepts(text), "\(text.debugDescription) is \(call)")
            }
        }
        #expect(read > 5 && weather > 0, "\(read) read")
    }

    /// Harmony's marks are tokens: thoughts are any text up to `<|end|>`, and only a call follows.
    @Test func messagesOfTokens() throws {
        var metadata = ToyVocabulary.byteLevel
        let tokens = try #require(metadata.firstIndex { $0.0 == "tokenizer.ggml.tokens" })
        let types = try #require(metadata.firstIndex { $0.0 == "tokenizer.ggml.token_type" })
        guard case .array(let old) = metadata[tokens].1, let texts = old.strings() else { return }
        let marks = OutputSyntax(template: try #require(Self.templates["harmony"])).marks
        let controls = Set(texts.suffix(3) + marks)
        metadata[tokens].1 = .array(GGUFArray(texts + marks))
        metadata[types].1 = .array(GGUFArray((texts + marks).map { controls.contains($0) ? 3 : 1 } as [Int32]))
        let tokenizer = try Tokenizer(GGUFMetadata(metadata))
        let syntax = OutputSyntax(template: marks.joined())
        let pattern = try #require(
            syntax.harmonyPattern(
                answer: .schema(["type": "null"]), tools: Self.tools, mayThink: true, generationPrompt: ""))
        let constraint = try GrammarCompiler(tokenizer: tokenizer).constraint(for: pattern)
        func id(_ text: String) throws -> Int32 { try #require(tokenizer.id(of: text)) }
        func allows(_ texts: String...) throws -> [Bool] { try texts.map { constraint.allows(try id($0)) } }
        func say(_ text: String) throws {
            for token in tokenizer.encode(text, addSpecial: false, parseSpecial: true) { try constraint.accept(token) }
        }
        #expect(try allows("<|start|>", "<|channel|>", "a") == [false, true, false])
        try say("<|channel|>analysis<|message|>Well ")
        #expect(try allows("<|message|>", "<|end|>", "a") == [false, true, true])
        #expect(!constraint.isAccepting)
        try say("<|end|><|start|>assistant<|channel|>")
        #expect(try allows("a", "f", "c", "x") == [true, true, true, false])
        try say("commentary to=functions.")
        #expect(try allows("g", "s", "x") == [true, true, false])
        try say("stop <|constrain|>json<|message|>{}")
        #expect(try allows("<|call|>", "<|end|>", "a") == [true, false, false])
        #expect(constraint.isFinished)
    }
}
