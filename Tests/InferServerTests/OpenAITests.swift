import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

@Suite struct ChatCompletionsTests {
    @Test func answersASum() async throws {
        let answer = try await TestService.ask(
            "/v1/chat/completions",
            ["model": "anything", "messages": question, "temperature": 0, "logprobs": true, "top_logprobs": 2])
        let json = answer.json
        #expect(answer.status == 200)
        #expect(json["object"] == "chat.completion" && json["model"] == "anything")
        #expect(json["id"]?.stringValue?.hasPrefix("chatcmpl-") == true)
        let choice = try #require(json["choices"]?[0])
        #expect(choice["message"]?["content"]?.stringValue?.contains("42") == true)
        #expect(choice["message"]?["role"] == "assistant" && choice["finish_reason"] == "stop")
        let usage = try #require(json["usage"])
        let generated = try #require(usage["completion_tokens"]?.intValue)
        #expect(usage["total_tokens"]?.intValue == generated + (usage["prompt_tokens"]?.intValue ?? 0))
        let scores = try #require(choice["logprobs"]?["content"]?.arrayValue)
        #expect(scores.count == generated)
        for score in scores {
            let top = try #require(score["top_logprobs"]?.arrayValue)
            #expect(top.count == 2 && top[0]["logprob"] == score["logprob"])
            #expect(score["logprob"]?.doubleValue ?? 1 <= 0)
        }
    }

    @Test func streamsTheSame() async throws {
        let body: JSONValue = ["messages": question, "temperature": 0, "max_tokens": 20]
        let whole = try await TestService.ask("/v1/chat/completions", body).json
        var streamed = body.objectValue ?? JSONObject()
        streamed["stream"] = true
        streamed["stream_options"] = ["include_usage": true]
        let answer = try await TestService.ask("/v1/chat/completions", .object(streamed))
        #expect(answer.headers["content-type"] == "text/event-stream")
        #expect(answer.text.hasSuffix("data: [DONE]\n\n"))
        let events = answer.events
        #expect(Set(events.compactMap { $0["id"]?.stringValue }).count == 1)
        #expect(events[0]["choices"]?[0]?["delta"]?["role"] == "assistant")
        let text = events.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.stringValue }.joined()
        #expect(text == whole["choices"]?[0]?["message"]?["content"]?.stringValue)
        let reasons = events.compactMap { $0["choices"]?[0]?["finish_reason"]?.stringValue }
        #expect(reasons == [whole["choices"]?[0]?["finish_reason"]?.stringValue ?? ""])
        #expect(
            events.last?["choices"] == []
                && events.last?["usage"]?["completion_tokens"] == whole["usage"]?["completion_tokens"])
    }

    @Test func severalChoicesWithASeed() async throws {
        let body: JSONValue = [
            "messages": [["role": "user", "content": "Tell me a story about a fox."]], "n": 3, "seed": 5,
            "max_tokens": 12,
            "temperature": 1,
        ]
        let first = try await TestService.ask("/v1/chat/completions", body).json
        let second = try await TestService.ask("/v1/chat/completions", body).json
        #expect(first["choices"] == second["choices"])
        let texts = try #require(first["choices"]?.arrayValue).compactMap { $0["message"]?["content"]?.stringValue }
        #expect(texts.count == 3 && Set(texts).count > 1)
        #expect(first["usage"]?["completion_tokens"]?.intValue ?? 0 > 12)
    }

    @Test func stopsBeforeAText() async throws {
        let answer = try await TestService.ask(
            "/v1/chat/completions", ["messages": question, "temperature": 0, "stop": ["2"], "max_tokens": 30]
        ).json
        let text = try #require(answer["choices"]?[0]?["message"]?["content"]?.stringValue)
        #expect(!text.contains("2") && answer["choices"]?[0]?["finish_reason"] == "stop")
    }

    @Test func callsATool() async throws {
        let body: JSONValue = [
            "messages": [["role": "user", "content": "What is 12 * 4? Use the calculator."]], "tools": [calculator],
            "temperature": 0, "max_tokens": 60,
        ]
        let message = try await TestService.ask("/v1/chat/completions", body).json["choices"]?[0]
        let call = try #require(message?["message"]?["tool_calls"]?[0])
        #expect(message?["finish_reason"] == "tool_calls" && call["function"]?["name"] == "calculator")
        let arguments = try JSONValue(parsing: try #require(call["function"]?["arguments"]?.stringValue))
        #expect(arguments["expression"] != nil)

        var streamed = body.objectValue ?? JSONObject()
        streamed["stream"] = true
        let events = try await TestService.ask("/v1/chat/completions", .object(streamed)).events
        let deltas = events.compactMap { $0["choices"]?[0]?["delta"]?["tool_calls"]?[0] }
        #expect(deltas.compactMap { $0["id"]?.stringValue }.count == 1)
        let joined = deltas.compactMap { $0["function"]?["arguments"]?.stringValue }.joined()
        #expect(try JSONValue(parsing: joined) == arguments)

        // The result goes back, with the arguments as a text.
        let back: JSONValue = [
            "messages": [
                ["role": "user", "content": "What is 12 * 4? Use the calculator."],
                ["role": "assistant", "content": nil, "tool_calls": [call]],
                ["role": "tool", "tool_call_id": call["id"] ?? "", "content": "48"],
            ], "tools": [calculator], "temperature": 0, "max_tokens": 40,
        ]
        let final = try await TestService.ask("/v1/chat/completions", back)
        // The model multiplies badly; what counts is that the result of the tool reached it.
        #expect(final.json["choices"]?[0]?["finish_reason"] == "stop")
        #expect(final.json["choices"]?[0]?["message"]?["content"]?.stringValue?.isEmpty == false)
    }

    @Test func secondTurnReusesTheFirst() async throws {
        let story = String(repeating: "The fox ran over the hill and back again. ", count: 12)
        let first: [JSONValue] = [["role": "user", "content": .string(story)]]
        let body: JSONValue = ["messages": .array(first), "max_tokens": 8, "temperature": 0]
        let answer = try await TestService.ask("/v1/chat/completions", body).json
        let said = answer["choices"]?[0]?["message"]?["content"] ?? ""
        let next = first + [["role": "assistant", "content": said], ["role": "user", "content": "And then?"]]
        let second = try await TestService.ask(
            "/v1/chat/completions", ["messages": .array(next), "max_tokens": 4, "temperature": 0])
        let cached = try #require(second.json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.intValue)
        let before = try #require(answer["usage"]?["prompt_tokens"]?.intValue)
        #expect(cached >= before - 8)
    }

    static let wrong: [(String, JSONValue, Int)] = [
        ("no messages", ["model": "x"], 400),
        ("empty messages", ["messages": []], 400),
        ("messages of another type", ["messages": "hello"], 400),
        ("an unknown role", ["messages": [["role": "robot", "content": "x"]]], 400),
        (
            "an image",
            ["messages": [["role": "user", "content": [["type": "image_url", "image_url": ["url": "x"]]]]]], 400
        ),
        ("a temperature in words", ["messages": question, "temperature": "hot"], 400),
        ("a negative temperature", ["messages": question, "temperature": -1], 400),
        ("top_logprobs alone", ["messages": question, "top_logprobs": 3], 400),
        ("too many choices", ["messages": question, "n": 1000], 400),
        (
            "a tool that is not there",
            ["messages": question, "tools": [calculator], "tool_choice": ["function": ["name": "x"]]], 400
        ),
        ("an unknown format", ["messages": question, "response_format": ["type": "xml"]], 400),
        ("a bias that is none", ["messages": question, "logit_bias": ["a": 1]], 400),
    ]

    @Test(arguments: wrong.indices)
    func refuses(_ index: Int) async throws {
        let (name, body, status) = Self.wrong[index]
        let answer = try await TestService.ask("/v1/chat/completions", body)
        #expect(answer.status == status, "\(name): \(answer.text)")
        #expect(answer.json["error"]?["message"]?.stringValue?.isEmpty == false)
        #expect(answer.json["error"]?["type"] == "invalid_request_error")
    }

    @Test func promptThatDoesNotFit() async throws {
        let answer = try await TestService.ask(
            "/v1/chat/completions",
            ["messages": [["role": "user", "content": .string(String(repeating: "fox and hound ", count: 3000))]]])
        #expect(answer.status == 400)
        let error = try #require(answer.json["error"])
        #expect(error["code"] == "context_length_exceeded" && error["n_ctx"] == 1024)
        #expect(error["n_prompt_tokens"]?.intValue ?? 0 > 1024)
        #expect(error["message"]?.stringValue?.contains("1024") == true)
    }

    @Test func nullsAndUnknownMembersDoNotMatter() async throws {
        let answer = try await TestService.ask(
            "/v1/chat/completions",
            [
                "messages": [
                    ["role": "developer", "content": [["type": "text", "text": "Be kind."]]], question[0] ?? .null,
                ],
                "max_tokens": 2, "temperature": nil, "stop": nil, "tools": [], "store": false, "metadata": ["a": "b"],
                "logit_bias": nil, "user": "me", "service_tier": "auto", "stream": nil,
            ])
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test(arguments: [
        "", "{", "[]", "\"x\"", "{\"messages\": [1]}", "{\"messages\": [{}]}", "\u{0}",
        "{\"messages\":" + String(repeating: "[", count: 5000),
    ])
    func bodiesThatAreNoRequests(_ body: String) async throws {
        #expect(try await TestService.ask("/v1/chat/completions", text: body).status == 400)
    }
}

@Suite struct CompletionsTests {
    @Test func continuesSeveralPrompts() async throws {
        let body: JSONValue = [
            "prompt": ["Once upon a time", "One day, a little"], "n": 2, "max_tokens": 5, "temperature": 0,
        ]
        let json = try await TestService.ask("/v1/completions", body).json
        let choices = try #require(json["choices"]?.arrayValue)
        #expect(choices.map { $0["index"]?.intValue } == [0, 1, 2, 3])
        #expect(choices[0]["text"] == choices[1]["text"] && choices[0]["text"] != choices[2]["text"])
        #expect(choices.allSatisfy { $0["finish_reason"] == "length" })
        #expect(json["usage"]?["completion_tokens"] == 20)
    }

    /// As lm-evaluation-harness asks: tokens, echo, scores, one token more.
    @Test func scoresAPrompt() async throws {
        let text = "Once upon a time, there was a little fox"
        let tokens = try #require(
            try await TestService.ask("/tokenize", ["content": .string(text)]).json["tokens"]?.arrayValue)
        let json = try await TestService.ask(
            "/v1/completions",
            ["prompt": .array(tokens), "echo": true, "logprobs": 1, "max_tokens": 1, "temperature": 0, "seed": 1]
        ).json
        let choice = try #require(json["choices"]?[0])
        let scores = try #require(choice["logprobs"])
        let pieces = try #require(scores["tokens"]?.arrayValue).compactMap(\.stringValue)
        let values = try #require(scores["token_logprobs"]?.arrayValue)
        let tops = try #require(scores["top_logprobs"]?.arrayValue)
        #expect(pieces.count == tokens.count + 1 && values.count == pieces.count && tops.count == pieces.count)
        #expect(pieces.joined() == choice["text"]?.stringValue && choice["text"]?.stringValue?.hasPrefix(text) == true)
        #expect(values[0].isNull && tops[0].isNull)
        for (value, top) in zip(values, tops).dropFirst() {
            let best = try #require(top.objectValue?.values.compactMap(\.doubleValue).max())
            #expect(try #require(value.doubleValue) <= best)
        }
        #expect(values.last?.doubleValue == tops.last?.objectValue?.values.compactMap(\.doubleValue).max())

        let only = try await TestService.ask(
            "/v1/completions", ["prompt": .string(text), "echo": true, "logprobs": 0, "max_tokens": 0]
        ).json
        #expect(only["choices"]?[0]?["text"]?.stringValue == text)
        #expect(only["usage"]?["completion_tokens"] == 0)
        let again = try #require(only["choices"]?[0]?["logprobs"]?["token_logprobs"]?.arrayValue)
        #expect(again == Array(values.dropLast()))
    }

    /// The one token that a harness asks for is there, and has a score, also where the model has nothing more to say and
    /// where a character is not complete.
    @Test(arguments: [
        "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n17 + 25 = 42.", "The fox said: 🦊",
    ])
    func scoresATextThatEnds(text: String) async throws {
        let tokens = try #require(
            try await TestService.ask("/tokenize", ["prompt": .string(text)]).json["tokens"]?.arrayValue)
        let json = try await TestService.ask(
            "/v1/completions",
            ["prompt": .array(tokens), "echo": true, "logprobs": 1, "max_tokens": 1, "temperature": 0]
        ).json
        let scores = try #require(json["choices"]?[0]?["logprobs"]?["token_logprobs"]?.arrayValue)
        #expect(scores.count == tokens.count + 1)
        #expect(scores.dropFirst().allSatisfy { ($0.doubleValue ?? 1) <= 0 })
        #expect(json["choices"]?[0]?["text"]?.stringValue?.hasPrefix(text) == true)
    }

    @Test func tellsOfItsTokenizer() async throws {
        let json = try await TestService.ask("/tokenizer_info").json
        #expect(json["eos_token"] == "<|endoftext|>")
        let eos: JSONValue = ["prompt": json["eos_token"] ?? .null, "add_special_tokens": false]
        #expect(try await TestService.ask("/tokenize", eos).json["count"] == 1)
    }

    @Test func streams() async throws {
        let body: JSONValue = ["prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "stream": true]
        let answer = try await TestService.ask("/v1/completions", body)
        var plain = body.objectValue ?? JSONObject()
        plain["stream"] = false
        let whole = try await TestService.ask("/v1/completions", .object(plain)).json["choices"]?[0]?["text"]?
            .stringValue
        #expect(answer.events.compactMap { $0["choices"]?[0]?["text"]?.stringValue }.joined() == whole)
        #expect(answer.text.hasSuffix("data: [DONE]\n\n"))
    }
}
