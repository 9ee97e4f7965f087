import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

@Suite struct OtherAPITests {
    @Test func responses() async throws {
        let body: JSONValue = ["model": "m", "input": "What is 17 + 25?", "temperature": 0, "max_output_tokens": 40]
        let json = try await TestService.ask("/v1/responses", body).json
        #expect(json["object"] == "response" && json["status"] == "completed")
        let text = json["output"]?[0]?["content"]?[0]?["text"]
        #expect(text?.stringValue?.contains("42") == true)
        var streamed = body.objectValue ?? JSONObject()
        streamed["stream"] = true
        let answer = try await TestService.ask("/v1/responses", .object(streamed))
        let events = answer.events
        #expect(events.compactMap { $0["sequence_number"]?.intValue } == Array(0..<events.count))
        #expect(answer.names == events.compactMap { $0["type"]?.stringValue })
        #expect(answer.names.first == "response.created" && answer.names.last == "response.completed")
        let deltas = events.filter { $0["type"] == "response.output_text.delta" }.compactMap {
            $0["delta"]?.stringValue
        }
        #expect(deltas.joined() == text?.stringValue)
        #expect(events.last?["response"]?["output"]?[0]?["content"]?[0]?["text"] == text)
    }

    @Test func anthropic() async throws {
        let body: JSONValue = [
            "model": "m", "max_tokens": 60,
            "system": [["type": "text", "text": "Be kind.", "cache_control": ["type": "ephemeral"]]],
            "messages": [["role": "user", "content": [["type": "text", "text": "What is 17 + 25?"]]]], "temperature": 0,
        ]
        let json = try await TestService.ask("/v1/messages", body).json
        #expect(json["type"] == "message" && json["stop_reason"] == "end_turn")
        let text = json["content"]?[0]?["text"]
        #expect(text?.stringValue?.isEmpty == false)
        var streamed = body.objectValue ?? JSONObject()
        streamed["stream"] = true
        let answer = try await TestService.ask("/v1/messages", .object(streamed))
        #expect(answer.names.first == "message_start" && answer.names.last == "message_stop")
        let deltas = answer.events.compactMap { $0["delta"]?["text"]?.stringValue }
        #expect(deltas.joined() == text?.stringValue)
        let count = try await TestService.ask("/v1/messages/count_tokens", body).json["input_tokens"]?.intValue
        let usage = try #require(json["usage"])
        #expect(count == (usage["input_tokens"]?.intValue ?? 0) + (usage["cache_read_input_tokens"]?.intValue ?? 0))
        let error = try await TestService.ask("/v1/messages", ["messages": question])
        #expect(error.status == 400 && error.json["type"] == "error")
        #expect(error.json["error"]?["type"] == "invalid_request_error")
    }

    @Test func anthropicTools() async throws {
        let tool: JSONValue = [
            "name": "calculator", "description": "Computes a sum.",
            "input_schema": calculator["function"]?["parameters"] ?? .null,
        ]
        let ask: JSONValue = ["role": "user", "content": "What is 12 * 4? Use the calculator."]
        let json = try await TestService.ask(
            "/v1/messages", ["max_tokens": 60, "messages": [ask], "tools": [tool], "temperature": 0]
        ).json
        let call = try #require(json["content"]?.arrayValue?.first { $0["type"] == "tool_use" })
        #expect(json["stop_reason"] == "tool_use" && call["input"]?.objectValue != nil)
        let result: JSONValue = [
            "role": "user", "content": [["type": "tool_result", "tool_use_id": call["id"] ?? "", "content": "48"]],
        ]
        let final = try await TestService.ask(
            "/v1/messages",
            [
                "max_tokens": 40, "messages": [ask, ["role": "assistant", "content": [call]], result], "tools": [tool],
                "temperature": 0,
            ])
        // The model multiplies badly; what counts is that the result of the tool reached it.
        #expect(
            final.json["stop_reason"] == "end_turn" && final.json["content"]?[0]?["text"]?.stringValue?.isEmpty == false
        )
    }

    @Test func whatOtherAPIsRefuse() async throws {
        let image: JSONValue = [
            "role": "user",
            "content": [["type": "image", "source": ["type": "base64", "data": "", "media_type": "x"]]],
        ]
        let requests: [(String, JSONValue)] = [
            ("/v1/messages", ["max_tokens": 5, "messages": [image]]),
            ("/v1/messages", ["max_tokens": 0, "messages": question]),
            ("/v1/messages", ["max_tokens": 5, "messages": question, "tool_choice": ["type": "any"]]),
            ("/v1/responses", ["input": "a", "previous_response_id": "resp_1"]),
            ("/v1/responses", ["input": [["type": "image_generation_call"]]]),
            ("/v1/responses", ["input": 5]),
            ("/api/chat", ["messages": [["role": "user", "content": "a", "images": ["AAAA"]]]]),
            ("/api/generate", ["prompt": "a", "format": 5]),
        ]
        for (path, body) in requests {
            let answer = try await TestService.ask(path, body)
            #expect(answer.status == 400, "\(path) \(body.text()): \(answer.text)")
        }
    }

    @Test func stopTextsOfAnthropic() async throws {
        let json = try await TestService.ask(
            "/v1/messages", ["max_tokens": 40, "messages": question, "temperature": 0, "stop_sequences": ["="]]
        ).json
        #expect(json["stop_reason"] == "stop_sequence" && json["stop_sequence"] == "=")
    }

    /// A conversation with a call and its result, as the responses API keeps it.
    @Test func itemsOfResponses() async throws {
        let input: JSONValue = [
            ["type": "message", "role": "user", "content": [["type": "input_text", "text": "What is 12 * 4?"]]],
            ["type": "reasoning", "summary": [["type": "summary_text", "text": "A product."]]],
            [
                "type": "function_call", "call_id": "c1", "name": "calculator",
                "arguments": "{\"expression\": \"12 * 4\"}",
            ],
            ["type": "function_call_output", "call_id": "c1", "output": "48"],
        ]
        let json = try await TestService.ask(
            "/v1/responses",
            ["input": input, "instructions": "Be kind.", "temperature": 0, "max_output_tokens": 30, "store": false]
        ).json
        #expect(json["output"]?[0]?["content"]?[0]?["text"]?.stringValue?.isEmpty == false, "\(json.text())")
        #expect(json["usage"]?["input_tokens"]?.intValue ?? 0 > 20)
        let cut = try await TestService.ask("/v1/responses", ["input": "Tell me a story.", "max_output_tokens": 3]).json
        #expect(cut["status"] == "incomplete" && cut["incomplete_details"]?["reason"] == "max_output_tokens")
    }

    @Test func toolsAndFormsOfOllama() async throws {
        let call = try await TestService.ask(
            "/api/chat",
            [
                "messages": [["role": "user", "content": "What is 12 * 4? Use the calculator."]], "stream": false,
                "tools": [calculator], "options": ["temperature": 0, "num_predict": 60],
            ]
        ).json
        // Arguments are an object here, not a text.
        #expect(call["message"]?["tool_calls"]?[0]?["function"]?["arguments"]?["expression"] != nil, "\(call.text())")
        let form = try await TestService.ask(
            "/api/generate",
            [
                "prompt": "What is 17 + 25?", "stream": false, "options": ["temperature": 0, "num_predict": 200],
                "format": ["type": "object", "properties": ["sum": ["enum": [42]]], "required": ["sum"]],
            ]
        ).json
        #expect(form["response"]?.stringValue?.drop(while: \.isWhitespace).hasPrefix("{") == true)
        let loaded = try await TestService.ask("/api/generate", ["model": "fable"]).json
        #expect(loaded["done_reason"] == "load" && loaded["response"] == "")
    }

    @Test func ollama() async throws {
        let streamed = try await TestService.ask(
            "/api/chat", ["model": "fable", "messages": question, "options": ["temperature": 0, "num_predict": 30]])
        let lines = streamed.lines
        #expect(lines.dropLast().allSatisfy { $0["done"] == false } && lines.last?["done"] == true)
        let text = lines.compactMap { $0["message"]?["content"]?.stringValue }.joined()
        #expect(text.contains("42") && lines.last?["eval_count"]?.intValue ?? 0 > 0)
        let whole = try await TestService.ask(
            "/api/generate",
            ["model": "fable", "prompt": "What is 17 + 25?", "stream": false, "options": ["temperature": 0]])
        #expect(whole.json["response"]?.stringValue?.contains("42") == true && whole.json["done_reason"] == "stop")
        let raw = try await TestService.ask(
            "/api/generate", ["prompt": "Once upon a", "raw": true, "options": ["num_predict": 3]])
        #expect(raw.lines.last?["eval_count"] == 3)
        let tags = try await TestService.ask("/api/tags").json
        #expect(tags["models"]?[0]?["name"] == "fable")
        #expect(
            try await TestService.ask("/api/show", ["model": "fable:latest"]).json["capabilities"] == [
                "completion", "tools",
            ])
        let missing = try await TestService.ask("/api/show", ["model": "nope"])
        #expect(missing.status == 404 && missing.json["error"]?.stringValue != nil)
        #expect(try await TestService.ask("/api/version").json["version"] != nil)
    }
}
