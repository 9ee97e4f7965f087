import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

/// Answers that are held to a form, by models that would rather not.
struct ScriptedFormTests {
    private static let thinking = """
        {% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
        {{ m.content }}{% for c in m.tool_calls %}{{ c | tojson }}{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        <think>
        {% endif %}{# </think> <tool_call> #}
        """
    private static let plain = """
        {% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
        {{ m.content }}{% for c in m.tool_calls %}{{ c | tojson }}{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}{# <tool_call> #}
        """
    private static let question: JSONValue = [["role": "user", "content": "x"]]
    private static let tool: JSONValue = [
        "type": "function",
        "function": [
            "name": "ping",
            "parameters": ["type": "object", "properties": ["a": ["type": "boolean"]], "required": ["a"]],
        ],
    ]

    private func with(_ first: JSONValue, _ second: JSONValue) -> JSONValue {
        var object = first.objectValue ?? JSONObject()
        for (key, value) in second.objectValue?.members ?? JSONObject().members { object[key] = value }
        return .object(object)
    }

    // MARK: A model that ends inside of its thought

    private static let word: JSONValue = ["type": "string", "enum": ["yes"]]

    private func thinker() throws -> ScriptedService {
        try ScriptedService(ScriptedFile(["hm", "m"], template: Self.thinking, marks: ["<think>", "</think>"]))
    }

    @Test(
        arguments: [
            ["grammar": "root ::= \"yes\""],
            ["response_format": ["type": "json_schema", "json_schema": ["name": "n", "schema": word]]],
        ] as [JSONValue])
    func theFormFollowsAThoughtThatWasNotClosed(form: JSONValue) async throws {
        let service = try thinker()
        let expected = form["grammar"] == nil ? "\"yes\"" : "yes"
        let body = with(["messages": Self.question, "temperature": 0, "max_tokens": 60], form)
        let choice = try await service.ask("/v1/chat/completions", body).json["choices"]?[0]
        #expect(choice?["message"]?["content"]?.stringValue == expected, "\(choice?.text() ?? "")")
        #expect(choice?["message"]?["reasoning_content"] == "hmm" && choice?["finish_reason"] == "stop")
        // Without room for it there is nothing, and a reason.
        let short = try await service.ask("/v1/chat/completions", with(body, ["max_tokens": 4])).json["choices"]?[0]
        #expect(short?["message"]?["content"] == "" && short?["finish_reason"] == "length")
        // Without a thought the form is all.
        for members: JSONValue in [["reasoning_effort": "none"], ["chat_template_kwargs": ["enable_thinking": false]]] {
            let choice = try await service.ask("/v1/chat/completions", with(body, members)).json["choices"]?[0]
            #expect(choice?["message"]?["content"]?.stringValue == expected, "\(choice?.text() ?? "")")
        }
    }

    @Test(arguments: ["required", ["type": "function", "function": ["name": "ping"]]] as [JSONValue])
    func aCallFollowsAThoughtThatWasNotClosed(choice: JSONValue) async throws {
        let body: JSONValue = [
            "messages": Self.question, "temperature": 0, "max_tokens": 200, "tools": [Self.tool], "tool_choice": choice,
            "parallel_tool_calls": false,
        ]
        let answer = try await thinker().ask("/v1/chat/completions", body).json["choices"]?[0]
        #expect(answer?["message"]?["tool_calls"]?[0]?["function"]?["name"] == "ping", "\(answer?.text() ?? "")")
        #expect(answer?["finish_reason"] == "tool_calls")
    }

    @Test func otherAPIsHoldTheFormToo() async throws {
        let service = try thinker()
        let text: JSONValue = ["format": ["type": "json_schema", "name": "n", "schema": Self.word]]
        let response = try await service.ask(
            "/v1/responses", ["input": "x", "temperature": 0, "max_output_tokens": 60, "text": text]
        ).json
        let message = response["output"]?.arrayValue?.first { $0["type"] == "message" }
        #expect(message?["content"]?[0]?["text"] == "\"yes\"", "\(response.text())")
        let chat = try await service.ask(
            "/api/chat",
            [
                "model": "scripted", "messages": Self.question, "stream": false, "format": Self.word,
                "options": ["temperature": 0, "num_predict": 60],
            ]
        ).json
        #expect(chat["message"]?["content"] == "\"yes\"", "\(chat.text())")
    }

    // MARK: Forms that cannot be

    private static let tooMuch = [
        "rules in a chain":
            "root ::= r0\n" + (0..<5000).map { "r\($0) ::= r\($0 + 1)\n" }.joined() + "r5000 ::= \"a\"\n",
        "nested groups":
            "root ::= " + String(repeating: "(", count: 60_000) + "\"a\"" + String(repeating: ")", count: 60_000),
    ]

    @Test(arguments: tooMuch.keys.sorted()) func grammarsThatAreTooMuchAreRefused(name: String) async throws {
        let grammar = try #require(Self.tooMuch[name])
        let service = try ScriptedService(ScriptedFile(["a"]))
        for isStreamed in [false, true] {
            let more: JSONValue = ["grammar": .string(grammar), "stream": .bool(isStreamed), "max_tokens": 5]
            let chat = try await service.ask("/v1/chat/completions", with(["messages": Self.question], more))
            #expect(chat.status == 400 && chat.text.contains("too complex"), "\(chat.text.prefix(300))")
            let text = try await service.ask("/v1/completions", with(["prompt": "x"], more))
            #expect(text.status == 400 && text.text.contains("too complex"), "\(text.text.prefix(300))")
        }
        let after = try await service.ask("/v1/chat/completions", ["messages": Self.question])
        #expect(after.status == 200)
    }

    @Test func aBiasThatBansTheFormIsRefused() async throws {
        let service = try ScriptedService(ScriptedFile(["x"]))
        let body: JSONValue = ["messages": Self.question, "max_tokens": 9, "temperature": 0]
        let first = try await service.ask(
            "/v1/chat/completions", with(body, ["grammar": "root ::= \"ab\"", "logit_bias": ["97": -100]]))
        #expect(first.status == 400 && first.text.contains("logit bias"), "\(first.text)")
        // Only its second token: told when the answer comes to it.
        let second = try await service.ask(
            "/v1/chat/completions", with(body, ["grammar": "root ::= \"ab\"", "logit_bias": ["98": -100]]))
        #expect(second.status == 400 && second.text.contains("logit bias"), "\(second.text)")
    }

    @Test func aFormThatIsCompleteEndsTheAnswer() async throws {
        let service = try ScriptedService(ScriptedFile(["x"]))
        func ask(_ grammar: String) async throws -> JSONValue? {
            let body: JSONValue = [
                "messages": Self.question, "max_tokens": 20, "temperature": 0, "ignore_eos": true,
                "grammar": .string(grammar),
            ]
            return try await service.ask("/v1/chat/completions", body).json["choices"]?[0]
        }
        let complete = try await ask("root ::= \"{\" \"}\"")
        #expect(complete?["message"]?["content"] == "{}" && complete?["finish_reason"] == "stop")
        // Where more may come, more comes.
        let open = try await ask("root ::= \"b\"*")
        #expect(open?["message"]?["content"]?.stringValue == String(repeating: "b", count: 20))
        #expect(open?["finish_reason"] == "length")
    }

    // MARK: Schemas of tools

    private func parameters(_ property: JSONValue) -> JSONValue {
        ["type": "object", "properties": ["p": property, "n": ["type": "integer"]], "required": ["p", "n"]]
    }

    @Test(arguments: ["auto", "required"] as [JSONValue]) func ordinaryKeywordsOfToolsAreTaken(choice: JSONValue)
        async throws
    {
        let o: JSONValue = [
            "type": "object",
            "properties": [
                "k": ["type": "string", "pattern": "\\S"], "s": ["type": "string", "maxLength": 4000],
            ],
        ]
        let parameters: JSONValue = [
            "type": "object",
            "properties": ["o": o, "v": [:], "e": ["type": "array", "items": ["type": "string"], "maxItems": 0]],
        ]
        let service = try ScriptedService(ScriptedFile(["x"], template: Self.plain))
        for isStrict in [false, true] {
            let tool: JSONValue = [
                "type": "function",
                "function": ["name": "t", "strict": .bool(isStrict), "parameters": parameters],
            ]
            let body: JSONValue = [
                "messages": Self.question, "tools": [tool], "tool_choice": choice, "max_tokens": 30, "temperature": 0,
            ]
            let answer = try await service.ask("/v1/chat/completions", body)
            #expect(answer.status == 200, "\(answer.text)")
        }
    }

    @Test func aStrictToolNamesWhatIsNotSupported() async throws {
        let service = try ScriptedService(ScriptedFile(["x"], template: Self.plain))
        func body(isStrict: Bool) -> JSONValue {
            let function: JSONValue = [
                "name": "finder", "strict": .bool(isStrict),
                "parameters": parameters(["type": "string", "pattern": "(?=x)y"]),
            ]
            return [
                "messages": Self.question, "max_tokens": 60, "temperature": 0, "tool_choice": "required",
                "tools": [["type": "function", "function": function]],
            ]
        }
        let strict = try await service.ask("/v1/chat/completions", body(isStrict: true))
        #expect(strict.status == 400)
        for part in ["finder", "pattern", "/properties/p/pattern"] {
            #expect(strict.text.contains(part) || strict.text.contains(part.replacing("/", with: "\\/")), "\(part)")
        }
        // Otherwise the other properties keep their form, and this one its type.
        let free = try await service.ask("/v1/chat/completions", body(isStrict: false))
        #expect(free.status == 200, "\(free.text)")
    }

    @Test func aPatternIsEnforcedOrRefused() async throws {
        let service = try ScriptedService(ScriptedFile(["x"]))
        func ask(_ pattern: String) async throws -> TestService.Answer {
            let schema: JSONValue = ["type": "string", "pattern": .string(pattern)]
            return try await service.ask(
                "/v1/chat/completions",
                [
                    "messages": Self.question, "max_tokens": 60, "temperature": 0,
                    "response_format": ["type": "json_schema", "json_schema": ["name": "n", "schema": schema]],
                ])
        }
        let text = try await ask("^hello there indeed\\!$").json["choices"]?[0]?["message"]?["content"]
        #expect(text == "\"hello there indeed!\"")
        let refused = try await ask("(?=x)y")
        #expect(refused.status == 400 && refused.text.contains("pattern"), "\(refused.text)")
    }
}
