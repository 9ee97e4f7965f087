import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

/// Thoughts in every API, and what else a template of its own shows: the shipped model has no thoughts, so a template
/// opens one for it.
@Suite struct ThoughtTests {
    private static let template = """
        {% for message in messages %}{% if message['reasoning_content'] %}<think>{{ message['reasoning_content'] }}</think>\
        {% endif %}{{ message['role'] }}: {{ message['content'] }}
        {% endfor %}{% if enable_thinking is defined %}thinking={{ enable_thinking }}
        {% endif %}{% if reasoning_effort is defined %}effort={{ reasoning_effort }}
        {% endif %}{% if add_generation_prompt %}assistant:<think>{% endif %}
        """

    private static let service = Result { try TestService.make { $0.model.chatTemplate = template } }

    private static func ask(_ path: String, _ members: JSONValue) async throws -> TestService.Answer {
        try await TestService.ask(path, members, of: try service.get())
    }

    /// A bias that keeps the model from ending, for APIs that have no other word for it.
    private static func endless() async throws -> JSONValue {
        let tokens = try await TestService.ask("/tokenize", ["content": "<|im_end|><|endoftext|>"]).json["tokens"]
        return .object(JSONObject((tokens?.arrayValue ?? []).map { ($0.text(), .int(-100)) }))
    }

    @Test func chat() async throws {
        let body: JSONValue = ["messages": question, "max_tokens": 6, "ignore_eos": true, "seed": 1]
        let answer = try await Self.ask("/v1/chat/completions", body).json
        let message = try #require(answer["choices"]?[0]?["message"])
        let thought = try #require(message["reasoning_content"]?.stringValue)
        #expect(!thought.isEmpty && message["content"] == "")
        #expect(answer["usage"]?["completion_tokens_details"]?["reasoning_tokens"] == 6)
        var streamed = try #require(body.objectValue)
        streamed["stream"] = .bool(true)
        let events = try await Self.ask("/v1/chat/completions", .object(streamed)).events
        let pieces = events.compactMap { $0["choices"]?[0]?["delta"]?["reasoning_content"]?.stringValue }
        #expect(pieces.joined() == thought)
    }

    @Test func responses() async throws {
        let body: JSONValue = [
            "input": "What is 17 + 25?", "max_output_tokens": 16, "stream": true, "temperature": 0,
            "logit_bias": try await Self.endless(),
        ]
        let events = try await Self.ask("/v1/responses", body).events
        #expect(events.contains { $0["type"] == "response.reasoning_text.delta" })
        let output = try #require(events.last?["response"]?["output"]?[0])
        #expect(output["type"] == "reasoning" && output["content"]?[0]?["text"]?.stringValue?.isEmpty == false)
    }

    /// A thought that has used up its budget ends, and the answer follows in a block of its own.
    @Test func anthropic() async throws {
        let body: JSONValue = [
            "messages": question, "max_tokens": 24, "thinking": ["type": "enabled", "budget_tokens": 3],
            "temperature": 1, "seed": 3, "logit_bias": try await Self.endless(),
        ]
        let answer = try await Self.ask("/v1/messages", body).json
        #expect(answer["content"]?[0]?["type"] == "thinking", "\(answer.text())")
        var streamed = try #require(body.objectValue)
        streamed["stream"] = .bool(true)
        let events = try await Self.ask("/v1/messages", .object(streamed)).events
        #expect(events.contains { $0["delta"]?["type"] == "thinking_delta" })
        #expect(events.contains { $0["delta"]?["type"] == "signature_delta" })
        let starts = events.filter { $0["type"] == "content_block_start" }.compactMap { $0["index"]?.intValue }
        #expect(starts == Array(0..<starts.count) && !starts.isEmpty)
    }

    @Test func ollama() async throws {
        let options: JSONValue = ["num_predict": 4, "seed": 2, "logit_bias": try await Self.endless()]
        let answer = try await Self.ask(
            "/api/chat", ["model": "fable", "messages": question, "stream": false, "options": options]
        ).json
        #expect(answer["message"]?["thinking"]?.stringValue?.isEmpty == false, "\(answer.text())")
        let shown = try await Self.ask("/api/show", ["model": "fable"]).json
        #expect(shown["capabilities"]?.arrayValue?.isEmpty == false)
    }

    /// What clients say about thinking reaches the template, and so do thoughts of the history.
    @Test func settingsReachTheTemplate() async throws {
        func prompt(_ members: [(String, JSONValue)]) async throws -> String {
            let body = JSONValue.object(JSONObject([("messages", question)] + members))
            return try #require(try await Self.ask("/apply-template", body).json["prompt"]?.stringValue)
        }
        let variables: JSONValue = ["enable_thinking": false]
        #expect(try await prompt([("chat_template_kwargs", variables)]).contains("thinking=False"))
        #expect(try await prompt([("reasoning_effort", "high")]).contains("effort=high"))
        let history: JSONValue = [
            ["role": "user", "content": "a"], ["role": "assistant", "content": "b", "reasoning": "because"],
            ["role": "user", "content": "c"],
        ]
        let told = try await Self.ask("/apply-template", ["messages": history]).json["prompt"]?.stringValue
        #expect(told?.contains("<think>because</think>assistant: b") == true)
    }

    /// A template that refuses a conversation is the request's fault, not the server's.
    @Test func templatesMayRefuse() async throws {
        let service = try TestService.make {
            $0.model.chatTemplate = "{{ raise_exception('only one question at a time') }}"
        }
        let answer = try await TestService.ask("/v1/chat/completions", ["messages": question], of: service)
        #expect(answer.status == 400 && answer.text.contains("only one question at a time"), "\(answer.text)")
    }
}
