import ChatTemplates
import Foundation
import InferKit
import Synchronization
import TestSupport
import Testing

@testable import InferServer

/// A service on a scripted model that keeps the prompts it wrote.
final class PromptedService: Sendable {
    /// Shows everything that a conversation holds.
    static let template = """
        {# <think></think><tool_call></tool_call> #}{% if tools %}[tools{% for t in tools %} {{ t.function.name }}\
        {% endfor %}]
        {% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
        {% if m.reasoning_content %}(thought {{ m.reasoning_content }}){% endif %}{{ m.content }}\
        {% for c in m.tool_calls or [] %}(call {{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }})\
        {% endfor %}{% if m.tool_call_id %}(for {{ m.tool_call_id }}){% endif %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """

    let service: InferService
    private let directory: TemporaryDirectory

    init(
        _ pieces: [ScriptedFile.Piece] = ["ok"], template: String = PromptedService.template,
        change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws {
        directory = try TemporaryDirectory()
        let path = try ScriptedFile(pieces, template: template).write(to: directory)
        let prompts = Prompts()
        service = try TestService.make(log: { prompts.add($0) }) { configuration in
            configuration.models = [ModelEntry(argument: "scripted=\(path)")]
            configuration.logsPrompts = true
            change(&configuration)
        }
        self.prompts = prompts
    }

    private let prompts: Prompts

    private final class Prompts: Sendable {
        let texts = Mutex<[String]>([])

        func add(_ line: String) {
            guard let place = line.range(of: " text=") else { return }
            let text = (try? JSONValue(parsing: String(line[place.upperBound...])))?.stringValue
            if let text { texts.withLock { $0.append(text) } }
        }
    }

    var prompt: String { prompts.texts.withLock { $0.last ?? "" } }

    func ask(_ path: String, _ body: JSONValue) async throws -> TestService.Answer {
        try await TestService.ask(path, body, of: service)
    }

    /// - Returns: the prompt that the body became.
    func prompt(_ path: String, _ body: JSONValue) async throws -> String {
        let answer = try await ask(path, body)
        #expect(answer.status == 200, "\(answer.text)")
        return prompt
    }
}

/// Bodies in the shape in which clients send them: nothing in them is lost, or it is a 400 in that API's own words.
@Suite struct ClientBodyTests {
    /// Markers have to stand in a text, in this order.
    private func expect(_ text: String, holds markers: [String], sourceLocation: SourceLocation = #_sourceLocation) {
        var rest = text[...]
        for marker in markers {
            guard let place = rest.range(of: marker) else {
                Issue.record("'\(marker)' is missing in: \(text)", sourceLocation: sourceLocation)
                return
            }
            rest = rest[place.upperBound...]
        }
    }

    static let picture: JSONValue = [
        "type": "image", "source": ["type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="],
    ]

    // MARK: Codex

    private static let codexTools: JSONValue = [
        ["type": "function", "name": "f", "parameters": ["type": "object", "properties": [:]]],
        ["type": "web_search"], ["type": "local_shell"],
        [
            "type": "custom", "name": "apply_patch", "description": "Patches files.",
            "format": ["type": "grammar", "syntax": "lark", "definition": "start: /.+/"],
        ],
        [
            "type": "namespace", "name": "mcp__x",
            "tools": [["type": "function", "name": "g", "parameters": ["type": "object"]]],
        ],
    ]

    @Test func itemsOfCodex() async throws {
        let input: JSONValue = [
            ["type": "message", "role": "developer", "content": [["type": "input_text", "text": "D"]]],
            ["role": "user", "content": "hi"],
            ["type": "reasoning", "id": "rs_1", "content": nil, "encrypted_content": "x", "summary": []],
            [
                "type": "reasoning", "id": "rs_2", "summary": [["type": "summary_text", "text": "S"]],
                "content": [["type": "reasoning_text", "text": "T"]],
            ],
            [
                "type": "message", "role": "assistant",
                "content": [["type": "output_text", "text": "A", "annotations": []]],
            ],
            ["type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"],
            ["type": "ghost_snapshot", "ghost_commit": ["id": "1"]],
            ["type": "function_call_output", "call_id": "c1", "output": [["type": "input_text", "text": "R"]]],
            ["type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"],
            ["type": "custom_tool_call_output", "call_id": "c2", "output": "done"],
            [
                "type": "local_shell_call", "call_id": "c3", "status": "completed",
                "action": ["type": "exec", "command": ["ls"]],
            ],
            ["type": "local_shell_call_output", "call_id": "c3", "output": ["stdout": "a.txt"]],
            ["type": "web_search_call", "id": "ws_1", "status": "completed", "action": ["type": "search"]],
            ["type": "item_reference", "id": "msg_1"], ["type": "compaction", "encrypted_content": "x"],
            [
                "type": "mcp_call", "id": "m1", "server_label": "s", "name": "look", "arguments": "{\"q\": 1}",
                "output": "found",
            ],
            [
                "type": "function_call_output", "call_id": "c4",
                "output": [["type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="]],
            ],
            ["role": "user", "content": [["type": "input_text", "text": "go on"]]],
        ]
        let body: JSONValue = [
            "model": "m", "instructions": "I", "input": input, "tools": Self.codexTools, "tool_choice": "auto",
            "parallel_tool_calls": false, "include": ["reasoning.encrypted_content"], "store": false, "stream": true,
            "prompt_cache_key": "k", "max_output_tokens": 5,
        ]
        let service = try PromptedService()
        expect(
            try await service.prompt("/v1/responses", body),
            holds: [
                "[tools f apply_patch g]", "I", "D", "user\nhi", "assistant\n(thought T)A(call c1 f {})<|im_end|>",
                "R(for c1)", "(call c2 apply_patch {\"input\": \"*** Begin\"})", "done(for c2)",
                "(call c3 local_shell", "\"ls\"", "{\"stdout\":\"a.txt\"}(for c3)", "(call m1 look {\"q\": 1})",
                "found(for m1)", "[an image was here", "(for c4)", "user\ngo on",
            ])
        #expect(!service.prompt.contains("(thought S)"))
    }

    /// A tool that takes free text is called with free text, in both of OpenAI's APIs, whole and streamed.
    @Test func customToolsAreCalledWithText() async throws {
        let pieces: [ScriptedFile.Piece] = [
            "<tool_call>", "\n", "{\"name\": \"apply_patch\", \"arguments\": ", "{\"input\": \"*** ", "Begin\\n+a",
            "\"}}", "\n",
            "</tool_call>",
        ]
        let service = try PromptedService(pieces)
        let text = "*** Begin\n+a"
        var body = JSONObject([("input", JSONValue.string("hi")), ("tools", Self.codexTools)])
        let item = try await service.ask("/v1/responses", .object(body)).json["output"]?[0]
        #expect(item?["type"] == "custom_tool_call" && item?["name"] == "apply_patch" && item?["arguments"] == nil)
        #expect(item?["input"]?.stringValue == text)
        body["stream"] = true
        let streamed = try await service.ask("/v1/responses", .object(body))
        #expect(!streamed.names.contains { $0.contains("function_call_arguments") })
        let done = streamed.events.first { $0["type"] == "response.custom_tool_call_input.done" }
        #expect(done?["input"]?.stringValue == text)
        #expect(streamed.events.last?["response"]?["output"]?[0]?["input"]?.stringValue == text)

        let chat: JSONValue = [
            "messages": [["role": "user", "content": "hi"]],
            "tools": [["type": "custom", "custom": ["name": "apply_patch", "description": "Patches."]]],
        ]
        body = try #require(chat.objectValue)
        let call = try await service.ask("/v1/chat/completions", .object(body)).json["choices"]?[0]?["message"]?[
            "tool_calls"]?[0]
        #expect(call?["type"] == "custom" && call?["custom"]?["input"]?.stringValue == text)
        body["stream"] = true
        let deltas = try await service.ask("/v1/chat/completions", .object(body)).events.compactMap {
            $0["choices"]?[0]?["delta"]?["tool_calls"]?[0]
        }
        #expect(deltas.first?["custom"]?["name"] == "apply_patch")
        #expect(deltas.compactMap { $0["custom"]?["input"]?.stringValue }.joined() == text)
        // And it goes back as what it was.
        body["stream"] = false
        body["messages"] = [
            ["role": "user", "content": "hi"], ["role": "assistant", "content": nil, "tool_calls": [call ?? .null]],
            ["role": "tool", "tool_call_id": call?["id"] ?? .null, "content": "done"],
        ]
        expect(
            try await service.prompt("/v1/chat/completions", .object(body)),
            holds: ["apply_patch {\"input\": \"*** Begin\\n+a\"}", "done(for "])
    }

    @Test func callsOfANamespaceKeepItsName() async throws {
        let service = try PromptedService([
            "<tool_call>", "\n", "{\"name\": \"g\", \"arguments\": ", "{", "}}", "\n", "</tool_call>",
        ])
        let body: JSONValue = ["input": "hi", "tools": Self.codexTools]
        let item = try await service.ask("/v1/responses", body).json["output"]?[0]
        #expect(item?["type"] == "function_call" && item?["name"] == "g" && item?["namespace"] == "mcp__x")
    }

    @Test(
        arguments: [
            (["type": "allowed_tools", "mode": "auto", "tools": [["type": "function", "name": "f"]]], "[tools f]\n"),
            ("none", nil), (["type": "web_search"], "web_search"), (["type": "function", "name": "h"], "'h'"),
        ] as [(JSONValue, String?)])
    func choicesOfTools(_ choice: JSONValue, _ word: String?) async throws {
        let service = try PromptedService()
        let answer = try await service.ask(
            "/v1/responses", ["input": "hi", "tools": Self.codexTools, "tool_choice": choice])
        let isRefused = word.map { !$0.hasPrefix("[") } ?? false
        #expect(answer.status == (isRefused ? 400 : 200), "\(answer.text)")
        if let word { #expect((isRefused ? answer.text : service.prompt).contains(word)) }
        guard choice["mode"] != nil else { return }
        let tools: JSONValue = .array(
            ["f", "g"].map {
                ["type": "function", "function": ["name": .string($0), "parameters": ["type": "object"]]]
            })
        let nested: JSONValue = [
            "type": "allowed_tools",
            "allowed_tools": ["mode": "auto", "tools": [["type": "function", "function": ["name": "g"]]]],
        ]
        let messages: JSONValue = [["role": "user", "content": "hi"]]
        let body: JSONValue = ["messages": messages, "tools": tools, "tool_choice": nested]
        expect(try await service.prompt("/v1/chat/completions", body), holds: ["[tools g]\n"])
    }

    // MARK: Claude Code

    private static func claude(_ hash: String, _ messages: JSONValue) -> JSONValue {
        [
            "model": "m", "max_tokens": 4, "metadata": ["user_id": "u"], "thinking": ["type": "adaptive"],
            "system": [
                ["type": "text", "text": .string("x-anthropic-billing-header: cc_version=2.1; cch=\(hash);")],
                ["type": "text", "text": "You are kind.", "cache_control": ["type": "ephemeral"]],
            ],
            "messages": messages, "output_config": ["effort": "high"],
            "tools": [
                ["name": "Read", "description": "Reads.", "input_schema": ["type": "object"]],
                ["type": "web_search_20250305", "name": "web_search", "max_uses": 8],
                ["type": "bash_20250124", "name": "bash"],
            ],
        ]
    }

    @Test func sessionsOfClaudeCode() async throws {
        let messages: JSONValue = [
            [
                "role": "user",
                "content": [["type": "text", "text": "<system-reminder>x</system-reminder>"], Self.picture],
            ],
            [
                "role": "assistant",
                "content": [
                    ["type": "thinking", "thinking": "T", "signature": "s"], ["type": "text", "text": "A"],
                    ["type": "redacted_thinking", "data": "x"],
                    ["type": "server_tool_use", "id": "s1", "name": "web_search", "input": ["query": "q"]],
                    [
                        "type": "web_search_tool_result", "tool_use_id": "s1",
                        "content": [["type": "web_search_result", "title": "found"]],
                    ],
                    ["type": "tool_use", "id": "t1", "name": "Read", "input": ["path": "a.png"]],
                ],
            ],
            [
                "role": "user",
                "content": [
                    [
                        "type": "tool_result", "tool_use_id": "t1", "is_error": false,
                        "content": [["type": "text", "text": "R"], Self.picture],
                    ],
                    ["type": "document", "title": "notes", "source": ["type": "text", "data": "The notes."]],
                    [
                        "type": "search_result", "source": "u", "title": "hit",
                        "content": [["type": "text", "text": "The hit."]],
                    ],
                    ["type": "text", "text": "go on"],
                ],
            ],
        ]
        let service = try PromptedService()
        expect(
            try await service.prompt("/v1/messages", Self.claude("fa690", messages)),
            holds: [
                "[tools Read bash]", "system\nYou are kind.", "<system-reminder>", "[an image was here", "(thought T)A",
                "web_search was called with {\"query\":\"q\"}", "found", "(call t1 Read {\"path\": \"a.png\"})", "R",
                "[an image was here", "(for t1)", "The notes.", "The hit.", "go on",
            ])
        #expect(!service.prompt.contains("billing"))
    }

    /// The bill is not part of the prompt, so the second prompt is that of the first; the figures of all events agree.
    @Test func figuresOfAnthropicAgree() async throws {
        let service = try PromptedService(["ok"], template: ScriptedFile.chatML)
        let text = String(repeating: "Some words that fill the prompt. ", count: 20)
        let messages: JSONValue = [["role": "user", "content": .string(text)]]
        let count = try await service.ask("/v1/messages/count_tokens", Self.claude("1", messages)).json["input_tokens"]
        func sum(_ usage: JSONValue?) -> Int {
            ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"].reduce(0) {
                $0 + (usage?[$1]?.intValue ?? -1000)
            }
        }
        let first = try await service.ask("/v1/messages", Self.claude("2", messages)).json["usage"]
        #expect(sum(first) == count?.intValue)
        var body = try #require(Self.claude("3", messages).objectValue)
        body["stream"] = true
        let events = try await service.ask("/v1/messages", .object(body)).events
        let start = events.first?["message"]?["usage"]
        let end = events.first { $0["type"] == "message_delta" }?["usage"]
        for usage in [start, end] {
            #expect(sum(usage) == count?.intValue)
            #expect(usage?["cache_read_input_tokens"]?.intValue ?? 0 > 300)
        }
        #expect(start?["input_tokens"] == end?["input_tokens"])
        // The same words in a user's message are his.
        let words: JSONValue = [
            ["role": "user", "content": [["type": "text", "text": "x-anthropic-billing-header: a"]]]
        ]
        expect(try await service.prompt("/v1/messages", Self.claude("4", words)), holds: ["billing-header: a"])
    }

    @Test func aBegunAnswerIsGoneOnWith() async throws {
        let service = try PromptedService([" time"], template: ScriptedFile.chatML)
        let messages: JSONValue = [
            ["role": "user", "content": "Tell."], ["role": "assistant", "content": "Once upon a\n"],
        ]
        let body: JSONValue = ["model": "m", "max_tokens": 4, "messages": messages]
        // Exactly as it was written: nothing ends it, nothing is taken from it.
        let prompt = try await service.prompt("/v1/messages", body)
        #expect(prompt.hasSuffix("assistant\nOnce upon a\n"))
        #expect(try await service.ask("/v1/messages", body).json["content"]?[0]?["text"] == " time")
    }

    @Test(arguments: ["output_config", "output_format"]) func formsOfAnthropic(_ place: String) async throws {
        let schema: JSONValue = ["type": "object", "properties": ["a": ["const": 1]], "required": ["a"]]
        let format: JSONValue = ["type": "json_schema", "schema": schema]
        let request: JSONValue = ["max_tokens": 60, "messages": [["role": "user", "content": "hi"]]]
        var body = try #require(request.objectValue)
        body[place] = place == "output_config" ? ["format": format] : format
        let service = try PromptedService(["prose, ", "no JSON"])
        let json = try await service.ask("/v1/messages", .object(body)).json
        let text = try #require(json["content"]?[0]?["text"]?.stringValue)
        #expect(text.drop(while: \.isWhitespace).hasPrefix("{"), "\(text)")
    }

    // MARK: Pictures

    @Test func picturesAreRefusedWhereTheyAreAskedAbout() async throws {
        let service = try PromptedService()
        let url: JSONValue = ["type": "image_url", "image_url": ["url": "data:image/png;base64,iVBORw0KGgo="]]
        let asked: JSONValue = [["role": "user", "content": [["type": "text", "text": "What is this?"], url]]]
        let past: JSONValue = .array(
            (asked.arrayValue ?? []) + [
                ["role": "assistant", "content": "A cat."], ["role": "user", "content": "Sure?"],
            ])
        let images: JSONValue = [["role": "user", "content": "What is this?", "images": ["iVBORw0KGgo="]]]
        let pastImages: JSONValue = .array((images.arrayValue ?? []) + (past.arrayValue ?? []).dropFirst())
        let cases: [(String, JSONValue, JSONValue)] = [
            ("/v1/chat/completions", ["messages": asked], ["messages": past]),
            ("/v1/responses", ["input": asked], ["input": past]),
            ("/v1/messages", ["messages": asked, "max_tokens": 3], ["messages": past, "max_tokens": 3]),
            ("/api/chat", ["messages": images], ["messages": pastImages]),
        ]
        for (path, now, before) in cases {
            let answer = try await service.ask(path, now)
            #expect(answer.status == 400 && answer.text.contains("image"), "\(path): \(answer.text)")
            expect(
                try await service.prompt(path, before),
                holds: ["What is this?", "[an image was here", "A cat.", "Sure?"])
        }
    }

    // MARK: Others

    @Test func openWebUIAndLangChainAndLiteLLM() async throws {
        let service = try PromptedService()
        let parts: JSONValue = [["type": "text", "text": "one "], ["type": "text", "text": "two"]]
        let tool: JSONValue = ["type": "function", "function": ["name": "f", "parameters": ["type": "object"]]]
        let bodies: [JSONValue] = [
            [
                "model": "m", "stream": true, "messages": [["role": "user", "content": parts]],
                "stream_options": ["include_usage": true], "features": ["web_search": false], "chat_id": "c",
                "metadata": ["a": nil], "params": [:], "tool_ids": [],
            ],
            [
                "model": "m", "messages": [["role": "user", "content": parts, "name": nil]], "temperature": nil, "n": 1,
                "max_completion_tokens": 5, "tools": [tool], "tool_choice": "auto", "parallel_tool_calls": nil,
                "response_format": nil, "stop": nil, "store": nil,
            ],
            [
                "model": "m", "messages": [["role": "user", "content": parts]], "extra_body": [:], "user": "u",
                "logit_bias": [:], "tools": [], "top_logprobs": nil, "reasoning_effort": "minimal", "verbosity": "low",
            ],
        ]
        for body in bodies {
            expect(try await service.prompt("/v1/chat/completions", body), holds: ["one two<|im_end|>"])
        }
    }

    @Test func callsAndResultsOfOllamaBelongTogether() async throws {
        let service = try PromptedService()
        func call(_ city: String, _ id: String?) -> JSONValue {
            let function: JSONValue = ["name": "get_weather", "arguments": ["city": .string(city)]]
            var call = JSONObject([("function", function)])
            if let id { call["id"] = .string(id) }
            return .object(call)
        }
        func messages(_ ids: [String?], _ results: [JSONValue]) -> JSONValue {
            .array(
                [
                    ["role": "user", "content": "hi"],
                    ["role": "assistant", "content": "", "tool_calls": [call("P", ids[0]), call("R", ids[1])]],
                ] + results)
        }
        let named: [JSONValue] = [
            ["role": "tool", "tool_call_id": "call_b", "tool_name": "get_weather", "content": "18"],
            ["role": "tool", "tool_call_id": "call_a", "tool_name": "get_weather", "content": "25"],
        ]
        expect(
            try await service.prompt("/api/chat", ["model": "m", "messages": messages(["call_a", "call_b"], named)]),
            holds: ["(call call_a", "(call call_b", "18(for call_b)", "25(for call_a)"])
        let plain: [JSONValue] = [
            ["role": "tool", "tool_name": "get_weather", "content": "18"], ["role": "tool", "content": "25"],
        ]
        expect(
            try await service.prompt("/api/chat", ["model": "m", "messages": messages([nil, nil], plain)]),
            holds: ["(call call_1", "(call call_2", "18(for call_1)", "25(for call_2)"])
    }
}
