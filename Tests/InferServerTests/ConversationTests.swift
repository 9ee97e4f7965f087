import ChatTemplates
import Foundation
import TestSupport
import Testing

@testable import InferServer

/// What becomes of messages on their way through the APIs to a prompt.
struct ConversationTests {
    @Test func aLateSystemMessageKeepsTheCache() async throws {
        let template = """
            {% for m in messages %}{% if m.role == "system" and not loop.first %}\
            {{ raise_exception("System message must be at the beginning.") }}{% endif %}<|im_start|>{{ m.role }}
            {{ m.content }}<|im_end|>
            {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
            {% endif %}
            """
        let scripted = try ScriptedService(ScriptedFile(["Yes", "."], template: template))
        let question = String(repeating: "word ", count: 60)
        var messages: [JSONValue] = [["role": "user", "content": .string(question)]]
        func ask(_ path: String) async throws -> JSONValue {
            let answer = try await scripted.ask(
                path, ["system": "S1", "messages": .array(messages), "max_tokens": 8])
            #expect(answer.status == 200, "\(answer.text)")
            return answer.json
        }
        _ = try await ask("/v1/messages")
        messages += [
            ["role": "assistant", "content": "Yes."], ["role": "system", "content": "Agents: a, b"],
            ["role": "user", "content": "go on"],
        ]
        let usage = try #require(try await ask("/v1/messages")["usage"])
        let cached = try #require(usage["cache_read_input_tokens"]?.intValue)
        #expect(cached >= 300)
        let total = try #require(usage["input_tokens"]?.intValue) + cached
        #expect(try await ask("/v1/messages/count_tokens")["input_tokens"]?.intValue == total)
        messages.insert(["role": "system", "content": "S1"], at: 0)
        let prompt = try await scripted.ask("/apply-template", ["messages": .array(messages)]).json["prompt"]
        let text = try #require(prompt?.stringValue)
        #expect(text.components(separatedBy: "S1").count == 2)
        #expect(
            text.hasSuffix("user\nAgents: a, b<|im_end|>\n<|im_start|>user\ngo on<|im_end|>\n<|im_start|>assistant\n"))
    }

    /// A text in parts has as many tokens as the text.
    @Test func partsAddNothing() async throws {
        let scripted = try ScriptedService(ScriptedFile(["Yes"]))
        func block(_ text: JSONValue) -> JSONValue { ["type": "text", "text": text] }
        func count(_ body: JSONValue) async throws -> JSONValue? {
            try await scripted.ask("/v1/messages/count_tokens", body).json["input_tokens"]
        }
        let whole = try await count([
            "system": "Be kind.",
            "messages": [["role": "user", "content": "Hello there world"], ["role": "assistant", "content": "Hi!"]],
        ])
        let parts = try await count([
            "system": [block("Be "), block("kind.")],
            "messages": [
                ["role": "user", "content": [block("Hello there"), block(" world")]],
                ["role": "assistant", "content": [block("H"), block("i!")]],
            ],
        ])
        #expect(whole != nil)
        #expect(whole == parts)
        // Results of tools, also failed ones.
        let contents: [JSONValue] = ["a b", [block("a "), block("b")]]
        var results: [JSONValue] = []
        for content in contents {
            let result: JSONValue = [
                "type": "tool_result", "tool_use_id": "c", "is_error": true, "content": content,
            ]
            let messages: JSONValue = [["role": "user", "content": "q"], ["role": "user", "content": [result]]]
            results.append(try #require(try await count(["messages": messages])))
            let message: JSONValue = ["role": "tool", "tool_call_id": "c", "content": content]
            let prompt = try await scripted.ask("/apply-template", ["messages": [message]]).json["prompt"]
            results.append(try #require(prompt))
        }
        #expect(results[0] == results[2])
        #expect(results[1] == results[3])
    }
}
