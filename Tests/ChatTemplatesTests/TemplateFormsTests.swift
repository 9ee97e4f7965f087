import Foundation
import Testing

@testable import ChatTemplates

private func writer(_ source: String) throws -> PromptWriter {
    try PromptWriter(source: source, bosText: "<s>", eosText: "</s>") { CivilTime(year: 2025, month: 7, day: 4) }
}

/// The forms that templates want conversations in, one by one.
@Suite struct TemplateFormsTests {
    // MARK: System messages

    private static let strict = """
        {%- for m in messages %}
        {%- if m.role == 'system' and not loop.first %}{{ raise_exception('System message must be at the beginning.') }}{% endif %}
        {{- '[' + m.role + ':' + m.content + ']' }}{% endfor %}
        """

    @Test func aLateSystemMessageStaysWhereItCame() throws {
        let writer = try writer(Self.strict)
        var conversation = Conversation(messages: [ChatMessage(.system, "S1"), ChatMessage(.user, "hello")])
        #expect(try writer.prompt(for: conversation).text == "[system:S1][user:hello]")
        conversation.messages += [ChatMessage(.system, "Agents: a, b"), ChatMessage(.user, "go on")]
        #expect(
            try writer.prompt(for: conversation).text == "[system:S1][user:hello][user:Agents: a, b][user:go on]")
        conversation.messages += [ChatMessage(.assistant, "Yes."), ChatMessage(.user, "more")]
        #expect(
            try writer.prompt(for: conversation).text
                == "[system:S1][user:hello][user:Agents: a, b][user:go on][assistant:Yes.][user:more]")
    }

    @Test func aTemplateThatTakesThemIsLeftAlone() throws {
        let source = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"
        let conversation = Conversation(messages: [
            ChatMessage(.system, "S1"), ChatMessage(.system, "S2"), ChatMessage(.user, "hello"),
            ChatMessage(.system, "S3"), ChatMessage(.user, "go on"),
        ])
        #expect(
            try writer(source).prompt(for: conversation).text
                == "[system:S1][system:S2][user:hello][system:S3][user:go on]")
    }

    @Test(arguments: DefaultTemplate.allCases) func ownTemplatesKeepTheBeginning(_ template: DefaultTemplate) throws {
        let writer = try writer(template.source)
        var conversation = Conversation(messages: [
            ChatMessage(.system, "S1"), ChatMessage(.system, "S2"), ChatMessage(.user, "hello"),
        ])
        let first = try writer.prompt(for: conversation)
        #expect(first.text.contains("S1\n\nS2"))
        conversation.messages += [
            ChatMessage(.assistant, "Hi."), ChatMessage(.system, "S3"), ChatMessage(.user, "go on"),
        ]
        #expect(try writer.prompt(for: conversation).text.hasPrefix(first.text))
    }

    // MARK: Parts

    @Test func partsAreJoinedWithNothingBetween() throws {
        let source = "{% for m in messages %}{{ m.content + ';' }}{% endfor %}"
        let conversation = Conversation(messages: [
            ChatMessage(.system, parts: ["a\n\n", "b"]), ChatMessage(.user, parts: ["Hello ", "there"]),
            ChatMessage(.assistant, parts: ["x", "y"]), ChatMessage(.user, "z"),
        ])
        #expect(try writer(source).prompt(for: conversation).text == "a\n\nb;Hello there;xy;z;")
    }

    @Test func aTemplateThatReadsListsGetsThem() throws {
        let source = """
            {%- for m in messages %}[{% if m.content is string %}{{ m.content }}
            {%- else %}{{ m.content | map(attribute='text') | join('+') }}{% endif %}]{% endfor %}
            """
        let conversation = Conversation(messages: [
            ChatMessage(.system, parts: ["a"]), ChatMessage(.user, parts: ["Hello ", "there"]),
            ChatMessage(.assistant, "x"), ChatMessage(.user, parts: ["y", "z"]),
        ])
        #expect(try writer(source).prompt(for: conversation).text == "[a][Hello +there][x][y+z]")
        // Only of users.
        let users = source.replacing("m.content is string", with: "m.role != 'user'")
        #expect(try writer(users).prompt(for: conversation).text == "[a][Hello +there][x][y+z]")
        // What would print a list as a list is given a text, and what takes only lists is given one.
        let printing =
            "{% for m in messages %}[{{ m.content if m.content is string else m.content | tojson }}]{% endfor %}"
        #expect(try writer(printing).prompt(for: conversation).text == "[a][Hello there][x][yz]")
        let listing = "{% for m in messages %}[{% for p in m.content %}{{ p.text }}{% endfor %}]{% endfor %}"
        #expect(try writer(listing).prompt(for: conversation).text == "[a][Hello there][x][yz]")
    }

    // MARK: Calls

    private static func call(_ text: String, thought: String? = nil, _ names: String...) -> ChatMessage {
        var message = ChatMessage(.assistant, text)
        message.reasoning = thought
        message.toolCalls = names.map { ToolCall(id: "call_\($0)", name: $0, arguments: JSONObject([("k", "v")])) }
        return message
    }

    private static func result(_ text: String, of name: String) -> ChatMessage {
        var message = ChatMessage(.tool, text)
        message.toolCallID = "call_\(name)"
        return message
    }

    private static let tools: [JSONValue] = ["a", "b"].map { ["type": "function", "function": ["name": $0]] }

    @Test func textBesideACallStandsInFrontOfItsMark() throws {
        let source = try #require(NothingDroppedTests.templates["calls without words"])
        let messages = [ChatMessage(.user, "q"), Self.call("Let me see.", "a"), Self.result("r", of: "a")]
        let text = try writer(source).prompt(for: Conversation(messages: messages, tools: Self.tools)).text
        #expect(
            text.hasSuffix(
                "<start>assistant\nLet me see.\n<tool_call>a{\"k\": \"v\"}</tool_call><end><start>tool\nr<end>"))
    }

    @Test func harmonyKeepsTextBesideCallsApartFromThoughts() throws {
        let source = try #require(NothingDroppedTests.templates["harmony"])
        // An item of thought, one of text, and a call: as the Responses API has them.
        var thought = ChatMessage(.assistant, "")
        thought.reasoning = "T"
        let messages = [
            ChatMessage(.user, "q"), thought, Self.call("A", "a", "b"), Self.result("ra", of: "a"),
            Self.result("rb", of: "b"), ChatMessage(.assistant, "done"), ChatMessage(.user, "next"),
        ]
        let text = try writer(source).prompt(for: Conversation(messages: messages, tools: Self.tools)).text
        let expected =
            "<|start|>user<|message|>q<|end|><|start|>assistant<|channel|>analysis<|message|>T<|end|>"
            + "<|start|>assistant<|channel|>commentary<|message|>A<|end|>"
            + "<|start|>assistant to=functions.a<|channel|>commentary json<|message|>{\"k\": \"v\"}<|call|>"
            + "<|start|>functions.a to=assistant<|channel|>commentary<|message|>\"ra\"<|end|>"
            + "<|start|>assistant to=functions.b<|channel|>commentary json<|message|>{\"k\": \"v\"}<|call|>"
            + "<|start|>functions.b to=assistant<|channel|>commentary<|message|>\"rb\"<|end|>"
            + "<|start|>assistant<|channel|>final<|message|>done<|end|><|start|>user<|message|>next<|end|>"
            + "<|start|>assistant"
        #expect(text.hasSuffix(expected), "\(text)")
        // What the model is shown is what it would be read as.
        var parser = OutputParser(syntax: try writer(source).syntax, tools: Self.tools)
        var output = ParsedOutput()
        let answer = "<|channel|>analysis<|message|>T<|end|><|start|>assistant<|channel|>commentary<|message|>A<|end|>"
        for event in parser.feed(answer) + parser.finish(isTruncated: false) { output.add(event) }
        #expect((output.reasoning, output.content) == ("T", "A"))
    }

    @Test(arguments: ["reasoning_content", "reasoning", "thinking", "thought"])
    func thoughtsAreGivenByTheNameThatIsRead(_ name: String) throws {
        let source = """
            {%- if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}[{{ m.role }}:{{ '<think>' + m.\(name) + '</think>' if m.\(name) }}
            {{- m.content }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}]{% endfor %}
            """
        let messages = [ChatMessage(.user, "q"), Self.call("", thought: "Hm", "a"), Self.result("r", of: "a")]
        let text = try writer(source).prompt(for: Conversation(messages: messages, tools: Self.tools)).text
        #expect(text.contains("[assistant:<think>Hm</think>{"))
    }

    @Test func thoughtsThatArePartsOfTheContent() throws {
        let source = """
            {%- if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}[{{ m.role }}:
            {%- if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}
            {%- if p['type'] == 'thinking' %}{{ '[THINK]' + p['thinking'] + '[/THINK]' }}{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endif %}
            {%- for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}]{% endfor %}
            """
        let messages = [ChatMessage(.user, "q"), Self.call("So.", thought: "Hm", "a"), Self.result("r", of: "a")]
        let text = try writer(source).prompt(for: Conversation(messages: messages, tools: Self.tools)).text
        #expect(text.contains("[assistant:[THINK]Hm[/THINK]So.{"))
    }

    @Test func shortIDsDependOnWhatCameBefore() throws {
        let source = try #require(NothingDroppedTests.templates["roles alternate, calls aside"])
        var messages = [ChatMessage(.user, "q"), Self.call("", "a"), Self.result("r", of: "a")]
        messages[1].toolCalls[0].id = "abcdefghi"
        messages[2].toolCallID = "abcdefghi"
        let writer = try writer(source)
        let first = try writer.prompt(for: Conversation(messages: messages, tools: Self.tools)).text
        messages += [Self.call("", "b"), Self.result("s", of: "b")]
        let second = try writer.prompt(for: Conversation(messages: messages, tools: Self.tools)).text
        #expect(second.hasPrefix(first))
    }

    // MARK: Tools

    private static let oddTools: [JSONObject] = {
        func parameters(_ properties: JSONValue) -> JSONObject {
            JSONObject([("parameters", ["type": "object", "properties": properties] as JSONValue)])
        }
        return [
            JSONObject(), JSONObject([("description", .null)]), JSONObject([("parameters", .null)]),
            JSONObject([("parameters", .object(JSONObject()))]),
            parameters(["k": ["anyOf": [["type": "string"]]]]), parameters(["k": ["type": ["string", "null"]]]),
            parameters(["k": ["type": "array"], "l": true]),
        ]
    }()

    private static func tool(_ function: JSONObject) -> JSONValue {
        var function = function
        function["name"] = "look_up"
        return ["type": "function", "function": .object(function)]
    }

    @Test func toolsAreCompletedWhereATemplateInsists() throws {
        let source = """
            {%- for t in tools or [] %}{% set f = t.function %}{{ f.name + ':' + f.description }}
            {%- for k, p in f.parameters.properties.items() %}{{ k + ' ' + p.type + ' ' + p.description }}{% endfor %};{% endfor %}
            {%- for m in messages %}{{ m.content }}{% endfor %}
            """
        let writer = try writer(source)
        for function in Self.oddTools {
            let conversation = Conversation(messages: [ChatMessage(.user, "q")], tools: [Self.tool(function)])
            #expect(try writer.prompt(for: conversation).text.hasPrefix("look_up:"))
        }
        // What is there stays, and a template that copes gets what came.
        let plain = try self.plainTools(JSONObject([("description", .null)]))
        #expect(plain == "[{\"type\": \"function\", \"function\": {\"description\": null, \"name\": \"look_up\"}}]q")
    }

    private func plainTools(_ function: JSONObject) throws -> String {
        try writer("{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}").prompt(
            for: Conversation(messages: [ChatMessage(.user, "q")], tools: [Self.tool(function)])
        ).text
    }

    @Test func toolsThatAreNotThere() throws {
        for source in ["{% for t in tools %}{{ t.function.name }}{% endfor %}", "{{ tools | length }}"] {
            let text = try writer(source + "{% for m in messages %}{{ m.content }}{% endfor %}").prompt(
                for: Conversation(messages: [ChatMessage(.user, "q")])
            ).text
            #expect(text.hasSuffix("q"))
        }
    }

    // MARK: Continuing

    @Test(arguments: ["Once upon a", "end", "im_", "<", "a \n", ""]) func continuesExactly(_ content: String) throws {
        var conversation = Conversation(messages: [ChatMessage(.user, "Hi"), ChatMessage(.assistant, content)])
        conversation.continuesLastMessage = true
        let prompt = try writer(DefaultTemplate.chatML.source).prompt(for: conversation)
        #expect(prompt.text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n" + content)
        #expect(prompt.generationPrompt == "<|im_start|>assistant\n" + content)
        // In parts, behind an empty thought, and where the template trims.
        let source = """
            {%- for m in messages %}[{{ m.role }}:{% if m.role == 'assistant' %}<think></think>{% endif %}
            {%- if m.content is string %}{{ m.content | trim }}{% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}<end>]{% endfor %}
            """
        conversation.messages[1] = ChatMessage(.assistant, parts: ["So: ", content])
        #expect(
            try writer(source).prompt(for: conversation).text == "[user:Hi<end>][assistant:<think></think>So: "
                + content)
    }

    @Test func anOpenThoughtIsContinued() throws {
        let writer = try writer(DefaultTemplate.chatML.source + "{# <think></think> #}")
        var conversation = Conversation(messages: [ChatMessage(.user, "Hi"), ChatMessage(.assistant, "<think>\nHm")])
        conversation.continuesLastMessage = true
        let prompt = try writer.prompt(for: conversation)
        #expect(writer.syntax.opensReasoning(generationPrompt: prompt.generationPrompt))
    }

    // MARK: Published templates

    private static let folder = ProcessInfo.processInfo.environment["INFER_CONFORMANCE"].map {
        URL(filePath: $0).appending(path: "chat-templates/templates")
    }

    private static let published =
        folder.map { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
                .filter { $0.hasSuffix(".jinja") }.sorted()
        } ?? []

    /// The prompt of a list is what the template makes of the list, where it makes something of it.
    @Test(.enabled(if: folder != nil), arguments: published) func publishedTemplatesReadLists(_ name: String) throws {
        let source = try String(contentsOf: try #require(Self.folder).appending(path: name), encoding: .utf8)
        let writer = try writer(source)
        let parts = ["<system-reminder>\nA\n</system-reminder>\n\n", "Test!"]
        let text = try writer.prompt(for: Conversation(messages: [ChatMessage(.user, parts: parts)])).text
        var context = JSONObject([("bos_token", "<s>"), ("eos_token", "</s>"), ("add_generation_prompt", true)])
        context["documents"] = .null
        let content = JSONValue.array(parts.map { ["type": "text", "text": .string($0)] })
        for (tools, content): (JSONValue?, JSONValue) in [
            (.null, content), (nil, content), (.null, .string(parts.joined())), (nil, .string(parts.joined())),
        ] {
            context["messages"] = [["role": "user", "content": content]]
            context["tools"] = tools
            let rendered = try? writer.template.render(context: context) { CivilTime(year: 2025, month: 7, day: 4) }
            guard let rendered, rendered.contains("Test!"), !rendered.contains("'text': '"),
                !rendered.contains("\"text\": \"")
            else { continue }
            #expect(text == rendered, "\(name)")
            return
        }
        Issue.record("\(name) renders nothing")
    }

    /// Tools as clients declare them, also without what the published examples always have.
    @Test(.enabled(if: folder != nil), arguments: published) func publishedTemplatesPrintOddTools(
        _ name: String
    ) throws {
        let source = try String(contentsOf: try #require(Self.folder).appending(path: name), encoding: .utf8)
        let writer = try writer(source)
        for function in Self.oddTools {
            let conversation = Conversation(messages: [ChatMessage(.user, "q")], tools: [Self.tool(function)])
            let text = try writer.prompt(for: conversation).text
            #expect(text.contains("look_up"), "\(name)")
        }
    }
}
