import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

/// `/v1/completions`, `/v1/chat/completions`, field by field.
@Suite struct CompletionsSurfaceTests {
    private static func choices(_ path: String, _ body: JSONValue) async throws -> [JSONValue] {
        try #require(try await TestService.ask(path, body).json["choices"]?.arrayValue)
    }

    @Test func sameSeedSameText() async throws {
        let body: JSONValue = ["prompt": "Once upon a time", "max_tokens": 20, "temperature": 1, "seed": 9]
        let texts = try await [body, body].asyncMap { try await Self.choices("/v1/completions", $0)[0]["text"] }
        #expect(texts[0] == texts[1])
        var other = try #require(body.objectValue)
        other["seed"] = .int(10)
        #expect(try await Self.choices("/v1/completions", .object(other))[0]["text"] != texts[0])
    }

    /// Every name under which samplers are set, in one request.
    @Test func allSamplersAreTaken() async throws {
        let answer = try await TestService.ask(
            "/v1/completions",
            [
                "prompt": "Once", "max_tokens": 4, "temperature": 0.7, "top_p": 0.9, "top_k": 20, "min_p": 0.02,
                "typical_p": 0.95, "repeat_penalty": 1.1, "repeat_last_n": 32, "presence_penalty": 0.1,
                "frequency_penalty": 0.1, "mirostat": 2, "mirostat_tau": 5, "mirostat_eta": 0.1, "dry_multiplier": 0.5,
                "dry_base": 1.75, "dry_allowed_length": 2, "xtc_probability": 0.1, "xtc_threshold": 0.2,
                "samplers": ["top_k", "temperature"], "logit_bias": ["5": -100, "6": 1.5], "seed": 4,
                "cache_prompt": true, "id_slot": 0, "timings_per_token": false, "n_predict": 3,
            ])
        #expect(answer.status == 200, "\(answer.text)")
        #expect(try await TestService.ask("/v1/completions", ["prompt": "x", "repetition_penalty": 1.2]).status == 200)
        #expect(try await TestService.ask("/v1/completions", ["prompt": "x", "top_p": 3]).status == 400)
    }

    @Test func aBiasForbidsAndForces() async throws {
        let plain: JSONValue = ["prompt": "Once upon a", "max_tokens": 1, "temperature": 0, "logprobs": 0]
        let word = try #require(try await Self.choices("/v1/completions", plain)[0]["text"]?.stringValue)
        let tokens = try await TestService.ask("/tokenize", ["content": .string(word)]).json["tokens"]?.arrayValue
        let token = try #require(tokens?.first?.intValue)
        var banned = try #require(plain.objectValue)
        banned["logit_bias"] = .object(JSONObject([("\(token)", .int(-100))]))
        #expect(try await Self.choices("/v1/completions", .object(banned))[0]["text"]?.stringValue != word)
        var forced = try #require(plain.objectValue)
        forced["logit_bias"] = .object(JSONObject([("300", .int(100))]))
        forced["max_tokens"] = .int(3)
        let text = try #require(try await Self.choices("/v1/completions", .object(forced))[0]["text"]?.stringValue)
        let piece = try await TestService.ask("/detokenize", ["tokens": [300, 300, 300]]).json["content"]?.stringValue
        #expect(text == piece)
    }

    /// `token_logprobs`, `top_logprobs`, `text_offset` of prompt and answer: equal lengths, offsets in characters, and
    /// the same scores whether tokens belong to the prompt or to the answer.
    @Test func scoresOfPromptAndAnswerAgree() async throws {
        let first = try await Self.choices(
            "/v1/completions",
            ["prompt": "Once upon a time, thé", "max_tokens": 8, "temperature": 0, "logprobs": 2, "echo": true])[0]
        let scores = try #require(first["logprobs"])
        let text = try #require(first["text"]?.stringValue)
        let tokens = try #require(scores["tokens"]?.arrayValue).compactMap(\.stringValue)
        let offsets = try #require(scores["text_offset"]?.arrayValue).compactMap(\.intValue)
        let values = try #require(scores["token_logprobs"]?.arrayValue)
        let tops = try #require(scores["top_logprobs"]?.arrayValue)
        #expect(tokens.joined() == text)
        #expect(Set([tokens.count, offsets.count, values.count, tops.count]).count == 1)
        var place = 0
        for (token, offset) in zip(tokens, offsets) {
            #expect(offset == place)
            place += token.unicodeScalars.count
        }
        for (index, top) in tops.enumerated().dropFirst() {
            let entries = try #require(top.objectValue)
            let value = try #require(values[index].doubleValue)
            #expect(value <= 0 && entries.count >= 1 && entries.count <= 3)
            #expect(entries.values.contains { $0.doubleValue == value })
        }
        // What was the answer is now part of the prompt, given as tokens.
        let ids = try #require(
            try await TestService.ask("/tokenize", ["content": "Once upon a time, thé"]).json["tokens"]?.arrayValue)
        let answer = try await Self.choices(
            "/v1/completions",
            ["prompt": .array(ids), "max_tokens": 8, "temperature": 0, "logprobs": 2])[0]
        let alone = try #require(answer["logprobs"]?["token_logprobs"]?.arrayValue)
        #expect(alone == Array(values.suffix(alone.count)))
        #expect(answer["logprobs"]?["text_offset"]?[0] == 0)
    }

    /// Prompts as token ids, several at once, with several choices each: `index = prompt · n + choice`.
    @Test func batchesOfTokens() async throws {
        let answer = try await TestService.ask(
            "/v1/completions",
            [
                "prompt": [[200, 201, 202], [300, 301]], "n": 2, "max_tokens": 2, "temperature": 0, "echo": true,
                "logprobs": 1,
            ]
        ).json
        let choices = try #require(answer["choices"]?.arrayValue)
        #expect(choices.map { $0["index"]?.intValue } == [0, 1, 2, 3])
        #expect(choices[0]["text"] == choices[1]["text"])
        #expect(choices.map { $0["logprobs"]?["tokens"]?.arrayValue?.count } == [5, 5, 4, 4])
        // The tokens are taken as they are: none is put in front.
        #expect(answer["usage"]?["prompt_tokens"] == 5)
        let empty = try await TestService.ask("/v1/completions", ["prompt": []])
        #expect(empty.status == 400)
        #expect(try await TestService.ask("/v1/completions", ["prompt": [[99999]]]).status == 400)
    }

    @Test func streamsSeveralChoicesWithUsage() async throws {
        for path in ["/v1/completions", "/v1/chat/completions"] {
            let events = try await TestService.ask(
                path,
                [
                    "prompt": "Once", "messages": question, "n": 3, "max_tokens": 6, "stream": true, "seed": 1,
                    "stream_options": ["include_usage": true],
                ]
            ).events
            for index in 0..<3 {
                let own = events.compactMap { $0["choices"]?[0] }.filter { $0["index"]?.intValue == index }
                #expect(own.compactMap { $0["finish_reason"]?.stringValue }.count == 1)
                #expect(own.last?["finish_reason"]?.stringValue != nil)
            }
            #expect(events.last?["choices"] == [] && events.last?["usage"]?["completion_tokens"]?.intValue ?? 0 > 3)
            #expect(events.dropLast().allSatisfy { $0["usage"] == nil || $0["usage"]?.isNull == true })
            #expect(Set(events.compactMap { $0["created"]?.intValue }).count == 1)
        }
    }

    @Test func limitsOfLength() async throws {
        let nothing = try await TestService.ask("/v1/completions", ["prompt": "Once", "max_tokens": 0]).json
        #expect(nothing["choices"]?[0]?["text"] == "" && nothing["usage"]?["completion_tokens"] == 0)
        let usual = try await TestService.ask("/v1/completions", ["prompt": "Once", "ignore_eos": true]).json
        #expect(usual["usage"]?["completion_tokens"] == 16)
        for name in ["max_tokens", "max_completion_tokens"] {
            let body: JSONValue = .object(
                JSONObject([("messages", question), (name, .int(2)), ("ignore_eos", .bool(true))]))
            let answer = try await TestService.ask("/v1/chat/completions", body).json
            #expect(answer["usage"]?["completion_tokens"] == 2)
            #expect(answer["choices"]?[0]?["finish_reason"] == "length")
        }
        let open = try await TestService.ask("/v1/chat/completions", ["messages": question, "max_tokens": -1])
        #expect(open.json["choices"]?[0]?["finish_reason"] == "stop")
        #expect(try await TestService.ask("/v1/completions", ["prompt": "a", "suffix": "b"]).status == 400)
        #expect(try await TestService.ask("/v1/completions", ["prompt": "a", "best_of": 3, "n": 1]).status == 400)
    }

    /// Parts, names of roles from before, thoughts in the history, arguments as texts and as objects.
    @Test func messagesOfAllKinds() async throws {
        let messages: JSONValue = [
            ["role": "developer", "content": "Be kind."],
            ["role": "user", "content": [["type": "text", "text": "What is"], ["type": "text", "text": " 1 + 2?"]]],
            [
                "role": "assistant", "content": nil, "reasoning_content": "A sum.",
                "tool_calls": [
                    [
                        "id": "call_1", "type": "function",
                        "function": ["name": "calculator", "arguments": "{\"expression\": \"1 + 2\"}"],
                    ]
                ],
            ],
            [
                "role": "tool", "tool_call_id": "call_1", "name": "calculator",
                "content": [["type": "text", "text": "3"]],
            ],
            ["role": "assistant", "content": [["type": "refusal", "refusal": "No."]], "refusal": nil],
            ["role": "user", "content": "And now?"],
        ]
        let answer = try await TestService.ask("/apply-template", ["messages": messages, "tools": [calculator]])
        let prompt = try #require(answer.json["prompt"]?.stringValue)
        for part in ["Be kind.", "What is 1 + 2?", "1 + 2", "3", "No.", "And now?"] {
            #expect(prompt.contains(part), "\(part) in \(prompt)")
        }
        let chat = try await TestService.ask("/v1/chat/completions", ["messages": messages, "max_tokens": 2])
        #expect(chat.status == 200, "\(chat.text)")
        for part: JSONValue in [
            ["type": "input_audio", "input_audio": ["data": "", "format": "wav"]], ["type": "file"], 5,
        ] {
            let refused = try await TestService.ask(
                "/v1/chat/completions", ["messages": [["role": "user", "content": [part]]]])
            #expect(refused.status == 400)
        }
    }

    @Test func aStartedAnswerGoesOn() async throws {
        let answer = try await TestService.ask(
            "/apply-template",
            [
                "messages": [["role": "user", "content": "Count."], ["role": "assistant", "content": "One, two,"]],
                "continue_final_message": true, "add_generation_prompt": false,
            ])
        #expect(answer.json["prompt"]?.stringValue?.hasSuffix("One, two,") == true)
    }

    @Test func theOldNamesOfTools() async throws {
        let answer = try await TestService.ask(
            "/v1/chat/completions",
            [
                "messages": [["role": "user", "content": "What is 12 * 4? Use the calculator."]],
                "functions": [calculator["function"] ?? .null], "function_call": "auto", "temperature": 0,
                "max_tokens": 60,
            ])
        #expect(answer.json["choices"]?[0]?["finish_reason"] == "tool_calls")
    }
}

extension Sequence {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
