import ChatTemplates
import Foundation
import Testing

private func writer(_ source: String) throws -> PromptWriter {
    try PromptWriter(source: source, bosText: "<s>", eosText: "</s>") { CivilTime(year: 2025, month: 7, day: 4) }
}

/// Every message as `[role:content]`.
private let plainTemplate = """
    {%- for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}{% if add_generation_prompt %}[assistant:{% endif %}
    """

private let tool: JSONValue = [
    "type": "function",
    "function": [
        "name": "add", "description": "Adds.",
        "parameters": [
            "type": "object", "properties": ["a": ["type": "integer", "description": "A number."]], "required": ["a"],
        ],
    ],
]

/// A question, a call, its result.
private var callConversation: Conversation {
    var assistant = ChatMessage(.assistant, "")
    assistant.toolCalls = [ToolCall(id: "call_abcdefghijkl", name: "add", arguments: JSONObject([("a", 1)]))]
    var result = ChatMessage(.tool, "2")
    result.toolCallID = "call_abcdefghijkl"
    return Conversation(
        messages: [ChatMessage(.system, "Be kind."), ChatMessage(.user, "Hi"), assistant, result], tools: [tool])
}

@Suite struct PromptWriterTests {
    @Test func chatML() throws {
        let prompt = try writer(DefaultTemplate.chatML.source).prompt(
            for: Conversation(messages: [ChatMessage(.system, "S"), ChatMessage(.user, "Hi")]))
        #expect(
            prompt.text
                == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    }

    @Test func llama3() throws {
        let prompt = try writer(DefaultTemplate.llama3.source).prompt(
            for: Conversation(messages: [ChatMessage(.user, "Hi")]))
        #expect(
            prompt.text
                == "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                + "<|start_header_id|>assistant<|end_header_id|>\n\n")
    }

    @Test(arguments: DefaultTemplate.allCases)
    func defaultsShowToolsCallsAndResults(template: DefaultTemplate) throws {
        let text = try writer(template.source).prompt(for: callConversation).text
        for part in [
            "Be kind.", #""name": "add", "description": "Adds.""#, "Hi",
            "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>",
            "<tool_response>\n2\n</tool_response>",
        ] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
    }

    /// The template writes roles and texts only: tools and calls become words.
    @Test func toolsWithoutAPlaceAreDescribed() throws {
        let writer = try writer(plainTemplate)
        let text = try writer.prompt(for: callConversation).text
        #expect(text.hasPrefix("[system:Be kind.\n\nYou can call these tools:\n<tools>\n{\"type\": \"function\""))
        #expect(text.contains("[assistant:<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>]"))
        #expect(text.hasSuffix("[user:<tool_response>\n2\n</tool_response>][assistant:"))
        var parser = OutputParser(syntax: writer.syntax, tools: [tool])
        var output = ParsedOutput()
        for event in parser.feed("<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 5}}</tool_call>") {
            output.add(event)
        }
        #expect(output.toolCalls == [ToolCall(name: "add", arguments: JSONObject([("a", 5)]))])
    }

    @Test(arguments: ["{% if m.role == 'system' %}{{ raise_exception('No system') }}{% endif %}", ""])
    func aSystemMessageWithoutAPlaceGoesToTheUser(refusal: String) throws {
        // Refused in the first case, left out in the second.
        let source =
            "{% for m in messages %}\(refusal){% if m.role != 'system' %}[{{ m.role }}:{{ m.content }}]{% endif %}"
            + "{% endfor %}"
        let text = try writer(source).prompt(
            for: Conversation(messages: [ChatMessage(.system, "S"), ChatMessage(.user, "Hi")])
        ).text
        #expect(text == "[user:S\n\nHi]")
    }

    @Test func neighboursAreJoinedWhereATemplateInsists() throws {
        let source = """
            {%- for m in messages %}
            {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}
            {{- m.content + ';' }}{% endfor %}
            """
        let user = { ChatMessage(.user, $0) }
        let text = try writer(source).prompt(
            for: Conversation(messages: [user("a"), user("b"), ChatMessage(.assistant, "c"), user("d")])
        ).text
        #expect(text == "a\n\nb;c;d;")
        #expect(throws: TemplateError.self) {
            try writer(source).prompt(for: Conversation(messages: [ChatMessage(.assistant, "c")]))
        }
    }

    @Test func whatATemplateRefusesIsItsOwnError() throws {
        let writer = try writer("{{ raise_exception('Only poems here') }}")
        do {
            _ = try writer.prompt(for: Conversation(messages: [ChatMessage(.user, "Hi")]))
            Issue.record("no error")
        } catch {
            #expect(error.kind == .raised)
            #expect(error.description == "Only poems here")
        }
    }

    /// DeepSeek's templates join strings, and look for calls where the content is none only.
    @Test func argumentsAsTextAndContentAsNone() throws {
        let source = """
            {%- if tools %}{{ tools | tojson }}{% endif %}
            {%- for m in messages %}
            {%- if m.role == 'assistant' and m.content is none %}
            {%- for c in m.tool_calls %}{{ '<call>' + c.function.name + ':' + c.function.arguments + '</call>' }}{% endfor %}
            {%- else %}{{ '[' + m.role + ':' + m.content + ']' }}{% endif %}
            {%- endfor %}
            """
        #expect(try writer(source).prompt(for: callConversation).text.contains("<call>add:{\"a\": 1}</call>[tool:2]"))
    }

    @Test func longCallIDsAreShortenedWhereATemplateInsists() throws {
        let source = """
            {%- if tools %}{{ tools | tojson }}{% endif %}
            {%- for m in messages %}{{ m.content }}
            {%- for c in m.tool_calls or [] %}
            {%- if c.id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}
            {{- c.id + c.function.name + c.function.arguments | tojson }}{% endfor %}
            {%- if m.role == 'tool' %}{{ '=' + m.tool_call_id }}{% endif %}{% endfor %}
            """
        let text = try writer(source).prompt(for: callConversation).text
        #expect(text.contains("call00000add"))
        #expect(text.hasSuffix("2=call00000"))
    }

    // MARK: Thoughts

    private let thinking = """
        {%- for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}
        {%- if add_generation_prompt %}{{ '[assistant:<think>\\n' }}{% endif %}{# </think> #}
        """

    @Test func theGenerationPromptTellsOfAnOpenThought() throws {
        // What a user writes opens no thought.
        let conversation = Conversation(messages: [ChatMessage(.user, "what is <think>?")])
        let prompt = try writer(thinking).prompt(for: conversation)
        #expect(prompt.generationPrompt == "[assistant:<think>\n")
        let plain = try writer(plainTemplate + "{# <think></think> #}").prompt(for: conversation)
        #expect(plain.generationPrompt == "[assistant:")
    }

    @Test func aThoughtThatIsNotWantedIsClosed() throws {
        var conversation = Conversation(messages: [ChatMessage(.user, "Hi")])
        conversation.reasoning = ReasoningOptions(isOn: false)
        #expect(try writer(thinking).prompt(for: conversation).text == "[user:Hi][assistant:<think>\n\n</think>\n\n")
        let silent = try writer(plainTemplate + "{# <think></think> #}").prompt(for: conversation)
        #expect(silent.text == "[user:Hi][assistant:<think>\n\n</think>\n\n")
        #expect(silent.generationPrompt == "[assistant:<think>\n\n</think>\n\n")
        // A template with a switch does it by itself.
        let source = plainTemplate + "{% if not enable_thinking %}<think></think>{% endif %}"
        #expect(try writer(source).prompt(for: conversation).text == "[user:Hi][assistant:<think></think>")
    }

    @Test func theLastMessageIsContinued() throws {
        var conversation = Conversation(messages: [ChatMessage(.user, "Hi"), ChatMessage(.assistant, "Hello, d")])
        conversation.continuesLastMessage = true
        #expect(try writer(plainTemplate).prompt(for: conversation).text == "[user:Hi][assistant:Hello, d")
    }

    // MARK: Published templates

    private static let folder = ProcessInfo.processInfo.environment["INFER_CONFORMANCE"].map {
        URL(filePath: $0).appending(path: "chat-templates/templates")
    }

    /// Each must show the system message, the question, the call with its arguments and the result, in this order.
    @Test(.enabled(if: folder != nil)) func publishedTemplatesShowEverything() throws {
        let folder = try #require(Self.folder)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".jinja") }
        #expect(names.count > 45)
        for name in names {
            let source = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
            let prompt: PromptWriter.Prompt
            do {
                var conversation = callConversation
                conversation.messages[0].content = "system-words"
                conversation.messages[1].content = "user-words"
                conversation.messages[3].content = "result-words"
                prompt = try writer(source).prompt(for: conversation)
            } catch {
                Issue.record("\(name): \(error)")
                continue
            }
            let bytes = Array(prompt.text.utf8)
            for part in ["system-words", "user-words", "add", "result-words"] {
                #expect(bytes.firstRange(of: Array(part.utf8)) != nil, "\(name) has no \(part)")
            }
            #expect(!prompt.text.contains("'a': 1"), "\(name) writes Python")
        }
    }
}
