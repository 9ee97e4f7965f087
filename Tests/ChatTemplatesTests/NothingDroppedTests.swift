import Foundation
import Testing

@testable import ChatTemplates

private func writer(_ source: String) throws -> PromptWriter {
    try PromptWriter(source: source, bosText: "<s>", eosText: "</s>") { CivilTime(year: 2025, month: 7, day: 4) }
}

/// What a template does by itself although another order or beginning would be possible: its text is left as it is.
private struct Habits: OptionSet {
    let rawValue: Int

    /// Collects system messages in front, or leaves out a system message of its own when one comes.
    static let gathersSystem = Habits(rawValue: 1)
    /// Writes something else into the last turn than it keeps of it: tools, the system message, empty thoughts.
    static let writesLastTurnAnew = Habits(rawValue: 2)
    /// Writes the text of a message with calls behind these.
    static let textBehindCalls = Habits(rawValue: 4)
    /// Names a result after the last call, so that each call has its result behind it.
    static let callsInTurns = Habits(rawValue: 8)
    /// Has the system message in the last turn.
    static let systemAtLastQuestion = Habits(rawValue: 16)
}

extension MarkedConversation {
    fileprivate var hasLateSystem: Bool {
        let roles = conversation.messages.map(\.role)
        return roles.drop { $0 == .system || $0 == .developer }.contains { $0 == .system || $0 == .developer }
    }

    fileprivate func isInOrder(_ habits: Habits) -> Bool {
        let calls = conversation.messages.filter { !$0.toolCalls.isEmpty }
        if habits.contains(.gathersSystem), hasLateSystem { return false }
        if habits.contains(.systemAtLastQuestion) { return false }
        if habits.contains(.textBehindCalls), calls.contains(where: { !$0.content.isEmpty }) { return false }
        if habits.contains(.callsInTurns), calls.contains(where: { $0.toolCalls.count > 1 }) { return false }
        return true
    }

    fileprivate func isStable(_ habits: Habits) -> Bool {
        // Thoughts are kept up to the end of their turn, and without a question there is no turn.
        guard thoughts.isEmpty, conversation.messages.contains(where: { $0.role == .user }) else { return false }
        return !habits.contains(.writesLastTurnAnew)
    }
}

/// What is wrong with the prompts of a conversation and of its next turns.
private func faults(_ writer: PromptWriter, _ marked: MarkedConversation, _ habits: Habits = []) -> [String] {
    var faults: [String] = []
    func prompt(_ marked: MarkedConversation) -> PromptWriter.Prompt? {
        do {
            return try writer.prompt(for: marked.conversation)
        } catch {
            faults.append("\(marked.name): refused: \(error)")
            return nil
        }
    }
    func check(_ marked: MarkedConversation, _ prompt: PromptWriter.Prompt) {
        let bytes = Array(prompt.text.utf8)
        let found = marked.words.map { utf8Occurrences(of: Array($0.utf8), in: bytes) }
        for (word, places) in zip(marked.words, found) where places.count != 1 {
            faults.append("\(marked.name): \(word) is there \(places.count) times")
        }
        for thought in marked.thoughts where utf8Occurrences(of: Array(thought.utf8), in: bytes).count > 1 {
            faults.append("\(marked.name): \(thought) is there more than once")
        }
        let order = found.compactMap(\.first)
        if marked.isInOrder(habits), order != order.sorted() {
            faults.append("\(marked.name): out of order: \(prompt.text.suffix(600))")
        }
    }
    guard let first = prompt(marked) else { return faults }
    check(marked, first)
    for next in [marked.nextTurn, marked.nextTurnWithReminder] {
        guard let second = prompt(next) else { return faults }
        check(next, second)
        guard marked.isStable(habits), !(habits.contains(.gathersSystem) && next.hasLateSystem) else { continue }
        // The beginning of an answer may be written in another way once it is there.
        let kept = first.text.utf8.count - first.generationPrompt.utf8.count
        guard !second.text.utf8.starts(with: first.text.utf8.prefix(kept)) else { continue }
        let common = zip(first.text.utf8, second.text.utf8).prefix { $0 == $1 }.count
        func around(_ text: String) -> String {
            String(decoding: text.utf8.dropFirst(max(0, common - 40)).prefix(120), as: UTF8.self).debugDescription
        }
        faults.append(
            "\(marked.name): the next turn begins otherwise, after \(common) of \(kept) bytes: "
                + around(first.text) + " / " + around(second.text))
    }
    return faults
}

/// Whatever a template refuses, drops or takes only in another form: every text of a conversation is in the prompt once,
/// where the conversation has it, and the next turn begins with this one.
@Suite struct NothingDroppedTests {
    private static let plainCalls = """
        {%- for c in m.tool_calls or [] %}{{ '<tool_call>' + c.function.name + c.function.arguments | tojson + '</tool_call>' }}{% endfor %}
        """
    private static let tools = "{% if tools %}{{ tools | tojson }}{% endif %}"
    private static let start = "{% if add_generation_prompt %}[assistant:{% endif %}"

    /// Each has one habit of published templates.
    static let templates: [String: String] = [
        "ChatML": DefaultTemplate.chatML.source,
        "Llama 3": DefaultTemplate.llama3.source,
        "words only": "{%- for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}" + start,
        "system in front or nowhere": tools + """
            {%- for m in messages %}
            {%- if m.role == 'system' and not loop.first %}{{ raise_exception('System message must be at the beginning.') }}{% endif %}
            {{- '[' + m.role + ':' + m.content }}\(plainCalls)]{% endfor %}\(start)
            """,
        "later system dropped": tools + """
            {%- if messages[0].role in ['system', 'developer'] %}[system:{{ messages[0].content }}]{% endif %}
            {%- for m in messages if m.role not in ['system', 'developer'] %}[{{ m.role }}:{{ m.content }}\(plainCalls)]
            {%- endfor %}\(start)
            """,
        "last system only": tools + """
            {%- set ns = namespace(s='') %}{% for m in messages if m.role == 'system' %}{% set ns.s = m.content %}{% endfor %}
            {{- ns.s }}{% for m in messages if m.role != 'system' %}[{{ m.role }}:{{ m.content }}\(plainCalls)]{% endfor %}\(start)
            """,
        "a question is a must": """
        {%- if not messages | selectattr('role', 'equalto', 'user') | list %}{{ raise_exception('No user query') }}{% endif %}
        {%- for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}\(start)
        """,
        "no system, roles alternate": """
        {%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
        {%- for m in messages %}
        {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
        {{- '[' + m.role + ':' + m.content | trim + ']' }}{% endfor %}\(start)
        """,
        "roles alternate, calls aside": tools + """
            {%- set ns = namespace(i=0) %}
            {%- for m in messages %}{% if loop.first and m.role == 'system' %}{{ m.content }}{% continue %}{% endif %}
            {%- if m.role != 'tool' and not m.tool_calls %}
            {%- if (m.role == 'user') != (ns.i % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
            {%- set ns.i = ns.i + 1 %}{% endif %}
            {%- if m.tool_calls %}{% for c in m.tool_calls %}
            {%- if c.id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}
            {{- '[TOOL_CALLS]' + c.function.name + '[ARGS]' + c.function.arguments | tojson }}{% endfor %}</s>
            {%- elif m.role == 'user' %}[INST]{{ m.content }}[/INST]
            {%- elif m.role == 'tool' %}[RESULT]{{ m.content }}[/RESULT]
            {%- else %}{{ m.content }}</s>{% endif %}{% endfor %}
            """,
        "one call, without words": tools + """
            {%- for m in messages %}{% if m.tool_calls %}
            {%- if m.tool_calls | length != 1 %}{{ raise_exception('only single tool-calls at once') }}{% endif %}
            {{- '[call:' + m.tool_calls[0].function.name + m.tool_calls[0].function.arguments | tojson + ']' }}
            {%- else %}[{{ m.role }}:{{ m.content }}]{% endif %}{% endfor %}\(start)
            """,
        "the first call, with words": tools + """
            {%- for m in messages %}[{{ m.role }}:{{ m.content }}
            {%- if m.tool_calls %}{{ '<tool_call>' + m.tool_calls[0].function.name + m.tool_calls[0].function.arguments | tojson }}</tool_call>{% endif %}]
            {%- endfor %}\(start)
            """,
        "calls without words": tools + """
            {%- for m in messages %}{% if m.tool_calls %}<start>assistant
            <tool_call>{% for c in m.tool_calls %}{{ c.function.name + c.function.arguments | tojson }}{% endfor %}</tool_call><end>
            {%- else %}<start>{{ m.role }}
            {{ m.content }}<end>{% endif %}{% endfor %}
            """,
        "parts only": tools + """
            {%- for m in messages %}[{{ m.role }}:{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}\(plainCalls)]
            {%- endfor %}\(start)
            """,
        "tools are a list": """
        {%- for t in tools %}{{ t.function.name + ': ' + t.function.description + t.function.parameters.properties | tojson }}{% endfor %}
        {%- for m in messages %}[{{ m.role }}:{{ m.content }}\(plainCalls)]{% endfor %}\(start)
        """,
        "system at the last question": tools + """
            {%- set s = messages[0].content if messages[0].role == 'system' else '' %}
            {%- for m in (messages[1:] if s else messages) %}{% if m.role == 'user' %}
            {{- '[user:' + (s + '\\n\\n' if loop.last and s else '') + m.content }}]
            {%- else %}{{ '[' + m.role + ':' + m.content }}\(plainCalls)]{% endif %}{% endfor %}
            """,
        "harmony": tools + """
            {%- set ns = namespace(name=none) %}{% for m in messages %}
            {%- if m.role in ['system', 'developer'] %}{% if loop.first %}<|start|>developer<|message|>{{ m.content }}<|end|>{% endif %}
            {%- elif m.tool_calls %}{% set c = m.tool_calls[0].function %}
            {%- if m.content and m.thinking %}{{ raise_exception('Cannot pass both content and thinking') }}{% endif %}
            {%- if m.content or m.thinking %}<|start|>assistant<|channel|>analysis<|message|>{{ m.content or m.thinking }}<|end|>{% endif %}
            {{- '<|start|>assistant to=functions.' + c.name + '<|channel|>commentary json<|message|>' + c.arguments | tojson + '<|call|>' }}
            {%- set ns.name = c.name %}
            {%- elif m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>{% set ns.name = none %}
            {%- elif m.role == 'tool' %}
            {%- if ns.name is none %}{{ raise_exception('no previous call') }}{% endif %}
            {{- '<|start|>functions.' + ns.name + ' to=assistant<|channel|>commentary<|message|>' + m.content | tojson + '<|end|>' }}
            {%- else %}<|start|>user<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}
            {%- if add_generation_prompt %}<|start|>assistant{% endif %}
            """,
    ]

    @Test(arguments: templates.keys.sorted()) func everyWordOnce(_ name: String) throws {
        let writer = try writer(try #require(Self.templates[name]))
        let habits: [String: Habits] = [
            "harmony": .callsInTurns, "system at the last question": [.writesLastTurnAnew, .systemAtLastQuestion],
        ]
        let found = MarkedConversation.all.flatMap { faults(writer, $0, habits[name] ?? []) }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    /// What it costs to find out what a template takes, in steps: these do not depend on the machine.
    @Test(arguments: templates.keys.sorted()) func tryingOutIsCheap(_ name: String) throws {
        let probe = TemplateProbe(try Self.runner(try #require(Self.templates[name])))
        #expect(probe.renderings <= 80)
        #expect(probe.steps <= 50_000)
    }

    @Test func aCostlyTemplateIsNotTriedForLong() throws {
        let source = "{% for i in range(90000) %}{{ i }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}"
        let probe = TemplateProbe(try Self.runner(source + source + source))
        #expect(probe.steps <= TemplateProbe.stepsOfAll + TemplateProbe.stepsOfOneRendering)
        // What is not known is left as it is.
        #expect(probe.traits == TemplateTraits())
    }

    private static func runner(_ source: String) throws -> TemplateRunner {
        TemplateRunner(
            template: try ChatTemplate(source: source), syntax: OutputSyntax(template: source), bosText: "<s>",
            eosText: "</s>", clock: { CivilTime(year: 2025, month: 7, day: 4) })
    }

    // MARK: Published templates

    private static let folder = ProcessInfo.processInfo.environment["INFER_CONFORMANCE"].map {
        URL(filePath: $0).appending(path: "chat-templates/templates")
    }

    private static let published =
        folder.map { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
                .filter { $0.hasSuffix(".jinja") }.map { String($0.dropLast(6)) }.sorted()
        } ?? []

    private static let habits: [String: Habits] = [
        "Mistral-Small-3.2-24B-Instruct-2506": .writesLastTurnAnew,
        "Qwen3.5-4B": .writesLastTurnAnew,
        "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": .textBehindCalls,
        "deepseek-ai-DeepSeek-V3.1": .gathersSystem,
        "deepseek-ai-DeepSeek-V3.2": [.gathersSystem, .writesLastTurnAnew],
        "deepseek-ai-DeepSeek-V4-Flash-0731": .gathersSystem,
        "google-gemma-4-31B-it": .textBehindCalls,
        "mistralai-Mistral-Nemo-Instruct-2407": [.writesLastTurnAnew, .systemAtLastQuestion],
        "muse-glimmer": .gathersSystem,
        "openai-gpt-oss-120b": .callsInTurns,
        "unsloth-Apriel-1.5": .gathersSystem,
        "upstage-Solar-Open-100B": .gathersSystem,
    ]

    @Test(.enabled(if: folder != nil), arguments: published) func everyWordOnceInPublishedTemplates(
        _ name: String
    ) throws {
        let folder = try #require(Self.folder)
        let source = try String(contentsOf: folder.appending(path: name + ".jinja"), encoding: .utf8)
        let writer = try writer(source)
        let found = MarkedConversation.all.flatMap { faults(writer, $0, Self.habits[name] ?? []) }
        #expect(found.isEmpty, "\(name): \(found.joined(separator: "\n"))")
        let probe = TemplateProbe(try Self.runner(source))
        #expect(probe.renderings <= 80)
        #expect(probe.steps <= 100_000)
    }
}
