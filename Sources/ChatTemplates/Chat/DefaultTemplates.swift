/// Templates for model files that have none, and for users who choose one.
package enum DefaultTemplate: String, Sendable, CaseIterable {
    /// `<|im_start|>role\n…<|im_end|>\n`, the format of Qwen and many others (OpenAI, "ChatML", 2023); tools as in
    /// Nous Research's "Hermes function calling".
    case chatML = "chatml"
    /// The format of Llama 3 (Meta, "Llama 3 model card", prompt format); tools in the same way as above.
    case llama3

    /// Jinja.
    package var source: String {
        switch self {
        case .chatML:
            Self.source(start: "<|im_start|>", afterRole: "\\n", end: "<|im_end|>\\n", bos: "", toolRole: "user")
        case .llama3:
            Self.source(
                start: "<|start_header_id|>", afterRole: "<|end_header_id|>\\n\\n", end: "<|eot_id|>",
                bos: "{{- bos_token }}\n", toolRole: "ipython")
        }
    }

    /// What an answer ends with, also where it is no token of the vocabulary.
    package var endOfTurn: String {
        switch self {
        case .chatML: "<|im_end|>"
        case .llama3: "<|eot_id|>"
        }
    }

    private static func source(start: String, afterRole: String, end: String, bos: String, toolRole: String) -> String {
        bos + """
            {%- set ns = namespace(system='', front=0) -%}
            {%- for message in messages -%}
                {%- if message.role != 'system' -%}{%- break -%}{%- endif -%}
                {%- set ns.system = ns.system + ('\\n\\n' if ns.system else '') + message.content -%}
                {%- set ns.front = ns.front + 1 -%}
            {%- endfor -%}
            {%- if ns.system or tools -%}
                {{- '\(start)system\(afterRole)' + ns.system }}
                {%- if tools -%}
                    {{- ('\\n\\n' if ns.system else '') + '\(ToolPrompt.before)' }}
                    {%- for tool in tools %}{{ tool | tojson + '\\n' }}{% endfor -%}
                    {{- '\(ToolPrompt.after)' }}
                {%- endif -%}
                {{- '\(end)' }}
            {%- endif -%}
            {%- for message in messages[ns.front:] -%}
                {%- if message.role == 'tool' -%}
                    {{- '\(start)\(toolRole)\(afterRole)<tool_response>\\n' + message.content + '\\n</tool_response>\(end)' }}
                {%- else -%}
                    {{- '\(start)' + message.role + '\(afterRole)' + (message.content or '') }}
                    {%- for call in message.tool_calls or [] -%}
                        {{- ('\\n' if message.content or not loop.first else '') + '<tool_call>\\n{"name": '
                            + call.function.name | tojson + ', "arguments": ' + call.function.arguments | tojson
                            + '}\\n</tool_call>' }}
                    {%- endfor -%}
                    {{- '\(end)' }}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
                {{- '\(start)assistant\(afterRole)' }}
            {%- endif -%}
            """
    }
}

/// How tools are described to a model whose template has no place for them: in the words of the system message, and
/// with the calls and results of the conversation as text. (The notation is that of "Hermes function calling".)
enum ToolPrompt {
    // Also part of templates: without quotes.
    static let before = "You can call these tools:\\n<tools>\\n"
    static let after =
        "</tools>\\nTo call one, write <tool_call>{\"name\": ..., \"arguments\": {...}}</tool_call> and nothing after it."

    static func description(of tools: [JSONValue]) -> String {
        unescaped(before) + tools.map { $0.text(.spaced) + "\n" }.joined() + unescaped(after)
    }

    private static func unescaped(_ text: String) -> String {
        text.split(separator: "\\n", omittingEmptySubsequences: false).joined(separator: "\n")
    }

    static func text(of call: ToolCall) -> String {
        let body: JSONValue = ["name": .string(call.name), "arguments": .object(call.arguments)]
        return "<tool_call>\n\(body.text(.spaced))\n</tool_call>"
    }

    static func text(ofResult content: String) -> String { "<tool_response>\n\(content)\n</tool_response>" }
}
