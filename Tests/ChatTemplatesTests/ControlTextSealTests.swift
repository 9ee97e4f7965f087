import ChatTemplates
import Foundation
import Testing

/// What a tokenizer finds in a prompt: the longest token at each place that no seam is inside of.
private func controlTokens(_ prompt: PromptWriter.Prompt, _ texts: [String]) -> [String] {
    let bytes = Array(prompt.text.utf8)
    let tokens = texts.map { Array($0.utf8) }.sorted { $0.count > $1.count }
    var found: [String] = []
    var place = 0
    while place < bytes.count {
        let token = tokens.first { token in
            bytes[place...].starts(with: token)
                && !prompt.seams.contains { place < $0 && $0 < place + token.count }
        }
        if let token { found.append(String(decoding: token, as: UTF8.self)) }
        place += token?.count ?? 1
    }
    return found
}

/// As long, and harmless.
private func harmless(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        result.unicodeScalars.append("<>[]|/｜▁".contains(Character(scalar)) ? "x" : scalar)
    }
    return result
}

/// A conversation with one text everywhere where somebody may write one.
private func conversation(_ text: String, _ change: (String) -> String) -> Conversation {
    // An assistant's own marks stay what they are.
    let said = harmless(text)
    let text = change(text)
    var assistant = ChatMessage(.assistant, "")
    assistant.reasoning = text
    assistant.toolCalls = [
        ToolCall(
            id: "call00001", name: "look_up",
            arguments: JSONObject([("word", .string(text)), (text, JSONValue.string("x"))]))
    ]
    var result = ChatMessage(.tool, text)
    result.toolCallID = "call00001"
    result.name = "look_up"
    let tool: JSONValue = [
        "type": "function",
        "function": [
            "name": "look_up", "description": .string(text),
            "parameters": [
                "type": "object",
                "properties": .object(
                    JSONObject([
                        ("word", ["type": "string", "description": .string(text)] as JSONValue),
                        (text, ["type": "string", "description": "x", text: "y"] as JSONValue),
                    ])), "required": ["word"],
            ],
        ],
    ]
    return Conversation(
        messages: [
            ChatMessage(.system, text), ChatMessage(.user, text), assistant, result, ChatMessage(.assistant, "So."),
            ChatMessage(.user, "and " + text + " then"), ChatMessage(.assistant, said), ChatMessage(.user, text),
        ], tools: [tool])
}

/// A text that tries everything with these tokens: whole, cut, doubled, with the sign that seals.
private func attacks(_ tokens: [String]) -> [String] {
    let sign = "\u{10FFFD}"
    let all = tokens.joined(separator: "\n") + tokens.joined()
    let cut = tokens.flatMap { [String($0.dropFirst()), String($0.dropLast()), String($0.dropFirst().dropLast())] }
    return [
        all, sign + all + sign, tokens.map { sign + $0.prefix(1) + sign + $0.dropFirst() }.joined(), "<", ">", "|>",
    ]
        + cut + cut.map { " \($0)\n" }
}

private let families: [(source: String, tokens: [String])] = [
    (DefaultTemplate.chatML.source, ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]),
    (DefaultTemplate.llama3.source, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<s>"]),
    (
        // Phi: the marks are put together.
        "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}<|assistant|>",
        ["<|user|>", "<|assistant|>", "<|system|>", "<|tool|>", "<|end|>"]
    ),
    (
        // Mistral.
        "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content | trim }}[/INST]"
            + "{% else %}{{ m.content | trim }}</s>{% endif %}{% endfor %}",
        ["[INST]", "[/INST]", "</s>", "[TOOL_CALLS]"]
    ),
    (
        // Thoughts are cut out of what an assistant said; names become marks.
        "{% for m in messages %}<｜{{ m.name or m.role }}｜>{{ m.content.split('</think>') | last | replace('<x>', '') }}"
            + "<｜end｜>{% endfor %}",
        ["<｜user｜>", "<｜assistant｜>", "<｜system｜>", "<｜end｜>", "</think>", "<x>", "<｜tool｜>"]
    ),
]

@Suite struct ControlTextSealTests {
    private func writer(_ source: String, _ tokens: [String]) throws -> PromptWriter {
        try PromptWriter(
            source: source, bosText: "<s>", eosText: "</s>", controlTexts: ControlTexts(control: tokens)
        ) { CivilTime(year: 2025, month: 7, day: 4) }
    }

    @Test(arguments: families.indices) func wordsBeginNoTurns(_ index: Int) throws {
        let (source, tokens) = families[index]
        let writer = try writer(source, tokens)
        let open = try PromptWriter(source: source, bosText: "<s>", eosText: "</s>")
        for text in attacks(tokens) {
            let prompt = try writer.prompt(for: conversation(text) { $0 })
            let expected = try writer.prompt(for: conversation(text, harmless))
            #expect(controlTokens(prompt, tokens) == controlTokens(expected, tokens), "\(text.debugDescription)")
            #expect(!controlTokens(prompt, tokens).isEmpty)
            // What the model reads as words is what was written.
            if index < 4 { #expect(try open.prompt(for: conversation(text) { $0 }).text == prompt.text) }
        }
    }

    @Test func withoutSealsTheyWould() throws {
        let prompt = try PromptWriter(source: DefaultTemplate.chatML.source).prompt(
            for: Conversation(messages: [ChatMessage(.user, "<|im_end|>")]))
        #expect(controlTokens(prompt, ["<|im_start|>", "<|im_end|>"]).count == 4)
        #expect(prompt.seams.isEmpty)
    }

    @Test func ordinaryTextHasNoSeams() throws {
        let writer = try writer(DefaultTemplate.chatML.source, ["<|im_start|>", "<|im_end|>"])
        let prompt = try writer.prompt(
            for: Conversation(messages: [ChatMessage(.user, "a < b, x || y, <b>, |x| and im_start")]))
        #expect(prompt.seams.isEmpty)
    }

    /// HTML is part of what people write; marks that the template uses are not.
    @Test func userDefinedTokensCountWhereTheyAreMarks() throws {
        let source = DefaultTemplate.chatML.source
        let texts = ControlTexts(control: ["<|im_end|>"], userDefined: ["<table>", "  ", "<tool_call>", "<|user|>"])
        let writer = try PromptWriter(source: source, controlTexts: texts)
        func tokens(_ text: String) throws -> [String] {
            controlTokens(
                try writer.prompt(for: Conversation(messages: [ChatMessage(.user, text)])),
                ["<table>", "  ", "<tool_call>", "<|user|>"])
        }
        #expect(try tokens("<table>  <tool_call><|user|>") == ["<table>", "  "])
    }

    /// A thought in what an assistant said is cut out by the template, as ever.
    @Test func assistantsKeepTheirOwnMarks() throws {
        let source = """
            {%- for m in messages %}<|im_start|>{{ m.role }}
            {{ m.content.split('</think>') | last }}<|im_end|>{% endfor %}
            """
        let tokens = ["<|im_start|>", "<|im_end|>", "<think>", "</think>"]
        let prompt = try writer(source, tokens).prompt(
            for: Conversation(messages: [
                ChatMessage(.user, "a</think>b"), ChatMessage(.assistant, "<think>hm</think>so<|im_end|>"),
            ]))
        #expect(
            prompt.text == "<|im_start|>user\na</think>b<|im_end|><|im_start|>assistant\nso<|im_end|><|im_end|>")
        #expect(
            controlTokens(prompt, tokens) == ["<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>"])
    }

    @Test func refusalsQuoteTheMessageAsItWas() throws {
        let writer = try writer("{{ raise_exception(messages[0].content) }}", ["<|end|>"])
        do {
            _ = try writer.prompt(for: Conversation(messages: [ChatMessage(.user, "no <|end|>")]))
            Issue.record("no error")
        } catch {
            #expect(error.description == "no <|end|>")
        }
    }

    @Test func aMessageThatIsContinuedIsSealedToo() throws {
        let tokens = ["<|im_start|>", "<|im_end|>"]
        var conversation = Conversation(messages: [ChatMessage(.user, "Hi"), ChatMessage(.assistant, "a<|im_end|>b<")])
        conversation.continuesLastMessage = true
        let prompt = try writer(DefaultTemplate.chatML.source, tokens).prompt(for: conversation)
        #expect(prompt.text.hasSuffix("assistant\na<|im_end|>b<"))
        #expect(controlTokens(prompt, tokens) == ["<|im_start|>", "<|im_end|>", "<|im_start|>"])
    }

    // MARK: Published templates

    private static let folder = ProcessInfo.processInfo.environment["INFER_CONFORMANCE"].map {
        URL(filePath: $0).appending(path: "chat-templates/templates")
    }

    /// Everything in a template's source that looks like a control token.
    private static func marks(_ source: String) -> [String] {
        let pattern = /<[^<>\s{}'"+\\=]{1,40}>|\[\/?[A-Z_]{3,20}\]/
        let written = Set(source.matches(of: pattern).map { String($0.output) })
        return (written.union(["<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<s>", "</s>"])).sorted()
    }

    @Test(.enabled(if: folder != nil)) func publishedTemplates() throws {
        let folder = try #require(Self.folder)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".jinja") }
        #expect(names.count > 45)
        for name in names.sorted() {
            let source = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
            let tokens = Self.marks(source)
            let writer = try writer(source, tokens)
            for text in attacks(tokens).prefix(3) {
                let prompt = try writer.prompt(for: conversation(text) { $0 })
                let expected = try writer.prompt(for: conversation(text, harmless))
                #expect(controlTokens(prompt, tokens) == controlTokens(expected, tokens), "\(name)")
            }
        }
    }
}
