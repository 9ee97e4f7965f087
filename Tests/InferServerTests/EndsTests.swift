import ChatTemplates
import Foundation
import TestSupport
import Testing

@testable import InferKit
@testable import InferServer

/// How answers end, in the words of every API: the table of docs/conversations.md.
@Suite struct EndsTests {
    // MARK: The words

    struct Row: Sendable, CustomTestStringConvertible {
        var reason: ServingResult.Reason
        var calls = 0
        var cutsCall = false
        /// OpenAI, Responses, Anthropic, Ollama.
        var words: [String]

        var testDescription: String { "\(reason), \(calls) calls\(cutsCall ? ", one is cut" : "")" }
    }

    @Test(arguments: [
        Row(reason: .endOfText, words: ["stop", "completed", "end_turn", "stop"]),
        Row(reason: .endOfText, calls: 1, words: ["tool_calls", "completed", "tool_use", "stop"]),
        Row(reason: .toolCalls, calls: 2, words: ["tool_calls", "completed", "tool_use", "stop"]),
        Row(reason: .stopSequence("x"), words: ["stop", "completed", "stop_sequence", "stop"]),
        Row(reason: .stopSequence("x"), calls: 1, words: ["tool_calls", "completed", "tool_use", "stop"]),
        Row(reason: .stopSequence("x"), cutsCall: true, words: ["length", "incomplete", "max_tokens", "length"]),
        Row(reason: .maximumTokens, words: ["length", "incomplete", "max_tokens", "length"]),
        Row(reason: .maximumTokens, calls: 1, words: ["length", "incomplete", "max_tokens", "length"]),
        Row(reason: .contextFull, calls: 1, cutsCall: true, words: ["length", "incomplete", "max_tokens", "length"]),
        Row(reason: .timedOut, words: ["length", "incomplete", "max_tokens", "length"]),
        Row(reason: .cancelled, words: ["length", "incomplete", "max_tokens", "length"]),
        Row(reason: .shutDown, words: ["length", "incomplete", "max_tokens", "length"]),
    ])
    func everyReasonHasItsWords(_ row: Row) {
        let result = ServingResult(
            reason: row.reason, promptTokens: 1, cachedTokens: 0, generatedTokens: 5, calls: row.calls, timing: .init())
        let end = AnswerEnd(result, cutsCall: row.cutsCall)
        #expect([end.finishReason, end.responseStatus, end.anthropic.reason, end.ollama] == row.words)
        #expect(end.failure == nil)
    }

    @Test(arguments: [
        (ServingResult.Reason.failed("no"), 5, 500), (.timedOut, 0, 503), (.shutDown, 0, 503),
    ])
    func whatDidNotComeAboutIsAnError(_ reason: ServingResult.Reason, _ tokens: Int, _ status: Int) {
        let result = ServingResult(
            reason: reason, promptTokens: 1, cachedTokens: 0, generatedTokens: tokens, timing: .init())
        #expect(AnswerEnd(result, cutsCall: false).failure?.status == status)
    }

    // MARK: The same through the server, whole and streamed

    /// Hermes' notation, with thoughts.
    static let template = """
        {# <think></think> #}{% if tools %}<|im_start|>system
        <tool_call></tool_call>{% for t in tools %}{{ t | tojson }}{% endfor %}<|im_end|>
        {% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
        {{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>
        {{ c.function | tojson }}
        </tool_call>{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """

    static func call(_ argument: String) -> [ScriptedFile.Piece] {
        [
            "<tool_call>", "\n", "{\"name\": \"w\", \"arguments\": ", "{\"c\": \"", .init(argument), "\"}", "}", "\n",
            "</tool_call>",
        ]
    }

    static let tool: JSONValue = [
        "type": "object", "properties": ["c": ["type": "string"]], "required": ["c"], "additionalProperties": false,
    ]

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var pieces: [ScriptedFile.Piece]
        var limit: Int?
        var stop: [String] = []
        var contextLength: Int?
        var parts: [String]
        /// Chat, Responses, Anthropic, Ollama.
        var words: [String]

        var testDescription: String { name }
    }

    private static let cut = ["length", "incomplete", "max_tokens", "length"]
    private static let called = ["tool_calls", "completed", "tool_use", "stop"]
    static let cases: [Case] = [
        Case(
            name: "end of the turn", pieces: ["Hel", "lo"], parts: ["text Hello"],
            words: ["stop", "completed", "end_turn", "stop"]),
        Case(
            name: "stop text", pieces: ["Hel", "lo", "#", "more"], stop: ["#"], parts: ["text Hello"],
            words: ["stop", "completed", "stop_sequence", "stop"]),
        Case(name: "limit in the text", pieces: ["Hel", "lo", "more"], limit: 2, parts: ["text Hello"], words: cut),
        Case(
            name: "limit in a thought", pieces: ["<think>", "Hm", "m", "m"], limit: 3, parts: ["thought Hmm"],
            words: cut),
        Case(
            name: "context", pieces: .init(repeating: "la", count: 200), contextLength: 256,
            parts: ["text la"], words: cut),
        Case(
            name: "a call", pieces: ["<think>", "Hm", "</think>", "A"] + call("x"),
            parts: ["thought Hm", "text A", "call {\"c\":\"x\"}"], words: called),
        Case(
            name: "calls between texts", pieces: ["A "] + call("x") + [" B "] + call("y"),
            parts: ["text A", "call {\"c\":\"x\"}", "text B", "call {\"c\":\"y\"}"], words: called),
        Case(
            name: "text behind a call", pieces: call("x") + ["after"], parts: ["call {\"c\":\"x\"}", "text after"],
            words: called),
        Case(name: "limit in a call", pieces: call("x"), limit: 5, parts: [], words: cut),
        Case(
            name: "limit in a second call", pieces: call("x") + ["\n"] + call("yyyy"), limit: 15,
            parts: ["call {\"c\":\"x\"}"], words: cut),
    ]

    private static func service(_ scripted: Case) throws -> ScriptedService {
        try ScriptedService(ScriptedFile(scripted.pieces, template: template)) {
            if let length = scripted.contextLength { $0.model.contextLength = length }
        }
    }

    private func trimmed(_ text: String) -> String { text.trimmingCharacters(in: .whitespacesAndNewlines) }

    /// Parts of one kind that follow each other are one; a text that fills the context is compared by its beginning.
    private func expect(_ parts: [String], _ scripted: Case, _ comment: Comment) {
        var joined: [String] = []
        for part in parts {
            let kind = part.prefix { $0 != " " }
            if kind != "call", let last = joined.last, last.hasPrefix(kind) {
                joined[joined.count - 1] += part.dropFirst(kind.count + 1)
            } else {
                joined.append(part)
            }
        }
        let cleaned = joined.map { part -> String in
            let kind = part.prefix { $0 != " " }
            return "\(kind) " + trimmed(String(part.dropFirst(kind.count + 1)))
        }.filter { $0 != "text " }
        if scripted.contextLength != nil {
            #expect(cleaned.count == 1 && cleaned[0].hasPrefix(scripted.parts[0]), comment)
        } else {
            #expect(cleaned == scripted.parts, comment)
        }
    }

    private func body(_ members: JSONValue, streamed: Bool) -> JSONValue {
        var object = members.objectValue ?? JSONObject()
        for (key, value) in object.members where value.isNull { object[key] = nil }
        object["stream"] = .bool(streamed)
        return .object(object)
    }

    private let messages: JSONValue = [["role": "user", "content": "hi"]]

    /// The chat API has a place of its own for each kind of part.
    @Test(arguments: cases) func chat(_ scripted: Case) async throws {
        let service = try Self.service(scripted)
        let request: JSONValue = [
            "messages": messages, "max_tokens": scripted.limit.map { .int($0) } ?? .null,
            "stop": .array(scripted.stop.map { .string($0) }),
            "tools": [["type": "function", "function": ["name": "w", "parameters": Self.tool]]],
        ]
        let whole = try await service.ask("/v1/chat/completions", body(request, streamed: false)).json
        let choice = try #require(whole["choices"]?[0])
        #expect(choice["finish_reason"]?.stringValue == scripted.words[0])
        let message = choice["message"]
        let order = ["thought", "text", "call"]
        let sorted = order.flatMap { kind in scripted.parts.filter { $0.hasPrefix(kind) } }
        let calls = (message?["tool_calls"]?.arrayValue ?? []).compactMap { $0["function"]?["arguments"]?.stringValue }
        #expect(calls.map { "call " + $0 } == sorted.filter { $0.hasPrefix("call") })
        if scripted.contextLength == nil {
            let text = (message?["content"]?.stringValue ?? "").filter { !$0.isWhitespace }
            #expect(text == sorted.filter { $0.hasPrefix("text") }.map { $0.dropFirst(5) }.joined())
        }

        let events = try await service.ask("/v1/chat/completions", body(request, streamed: true))
        #expect(events.text.hasSuffix("data: [DONE]\n\n"))
        let choices = events.events.compactMap { $0["choices"]?[0] }
        #expect(choices.compactMap { $0["finish_reason"]?.stringValue } == [scripted.words[0]])
        #expect(choices.last?["finish_reason"]?.stringValue == scripted.words[0])
        var parts: [String] = []
        var arguments: [Int: String] = [:]
        for delta in choices.compactMap({ $0["delta"] }) {
            if let text = delta["reasoning_content"]?.stringValue { parts.append("thought " + text) }
            if let text = delta["content"]?.stringValue, !text.isEmpty { parts.append("text " + text) }
            if let call = delta["tool_calls"]?[0], let index = call["index"]?.intValue {
                arguments[index, default: ""] += call["function"]?["arguments"]?.stringValue ?? ""
                if arguments[index] == "" { parts.append("call #\(index)") }
            }
        }
        // A call that was cut has begun, and is no whole one.
        let whole2 = arguments.filter { (try? JSONValue(parsing: $0.value)) != nil }
        parts = parts.compactMap { part in
            guard part.hasPrefix("call #"), let index = Int(part.dropFirst(6)) else { return part }
            return whole2[index].map { "call " + $0 }
        }
        expect(parts, scripted, "\(events.text)")
    }

    @Test(arguments: cases) func responses(_ scripted: Case) async throws {
        // There are no stop texts in this API.
        guard scripted.stop.isEmpty else { return }
        let service = try Self.service(scripted)
        let request: JSONValue = [
            "input": messages, "max_output_tokens": scripted.limit.map { .int($0) } ?? .null,
            "tools": [["type": "function", "name": "w", "parameters": Self.tool]],
        ]
        func parts(_ output: JSONValue?) -> [String] {
            (output?.arrayValue ?? []).compactMap { item in
                let isWhole = item["status"] == "completed"
                return switch item["type"]?.stringValue {
                case "reasoning": "thought " + (item["content"]?[0]?["text"]?.stringValue ?? "")
                case "message": "text " + (item["content"]?[0]?["text"]?.stringValue ?? "")
                default: isWhole ? "call " + (item["arguments"]?.stringValue ?? "") : nil
                }
            }
        }
        let whole = try await service.ask("/v1/responses", body(request, streamed: false)).json
        #expect(whole["status"]?.stringValue == scripted.words[1])
        expect(parts(whole["output"]), scripted, "\(whole.text())")
        // Nothing of a call that was cut is in a whole answer.
        #expect(whole["output"]?.arrayValue?.allSatisfy { $0["status"] == "completed" || $0["name"] == nil } == true)

        let answer = try await service.ask("/v1/responses", body(request, streamed: true))
        let events = answer.events
        let ends = answer.names.filter { ["completed", "incomplete", "failed"].map { "response." + $0 }.contains($0) }
        #expect(ends == ["response." + scripted.words[1]] && answer.names.last == ends[0])
        #expect(events.indices.allSatisfy { events[$0]["sequence_number"]?.intValue == $0 })
        let response = events.last?["response"]
        #expect(response?["status"]?.stringValue == scripted.words[1])
        expect(parts(response?["output"]), scripted, "\(answer.text)")
        if scripted.words == Self.cut {
            #expect(response?["incomplete_details"]?["reason"] == "max_output_tokens")
        }
        // Every item keeps its names from its beginning to the whole.
        for key in ["id", "call_id", "name"] {
            func names(_ type: String) -> [JSONValue?] {
                events.filter { $0["type"]?.stringValue == "response.output_item." + type }.map { $0["item"]?[key] }
            }
            #expect(names("added") == names("done"))
            #expect(names("done") == response?["output"]?.arrayValue?.map { $0[key] })
        }
        #expect(
            answer.names.filter { $0 == "response.function_call_arguments.done" }.count
                == scripted.parts.filter { $0.hasPrefix("call") }.count)
    }

    @Test(arguments: cases) func anthropic(_ scripted: Case) async throws {
        let service = try Self.service(scripted)
        let request: JSONValue = [
            "messages": messages, "max_tokens": .int(scripted.limit ?? 1000),
            "stop_sequences": .array(scripted.stop.map { .string($0) }),
            "tools": [["name": "w", "input_schema": Self.tool]],
        ]
        let whole = try await service.ask("/v1/messages", body(request, streamed: false)).json
        #expect(whole["stop_reason"]?.stringValue == scripted.words[2])
        #expect(whole["stop_sequence"] == scripted.stop.first.map { .string($0) } ?? .null)
        let blocks = (whole["content"]?.arrayValue ?? []).map { block in
            switch block["type"]?.stringValue {
            case "thinking": "thought " + (block["thinking"]?.stringValue ?? "")
            case "text": "text " + (block["text"]?.stringValue ?? "")
            default: "call " + (block["input"]?.text() ?? "")
            }
        }
        expect(blocks, scripted, "\(whole.text())")

        let answer = try await service.ask("/v1/messages", body(request, streamed: true))
        var parts: [String] = []
        var isCall = false
        var json = ""
        for (place, event) in answer.events.enumerated() {
            switch event["type"]?.stringValue {
            case "content_block_start":
                isCall = event["content_block"]?["type"] == "tool_use"
                json = ""
            case "content_block_delta":
                let delta = event["delta"]
                if let text = delta?["text"]?.stringValue { parts.append("text " + text) }
                if let text = delta?["thinking"]?.stringValue { parts.append("thought " + text) }
                json += delta?["partial_json"]?.stringValue ?? ""
            case "content_block_stop":
                if isCall, (try? JSONValue(parsing: json)) != nil { parts.append("call " + json) }
            case "message_delta":
                #expect(event["delta"]?["stop_reason"]?.stringValue == scripted.words[2])
                #expect(place == answer.events.count - 2)
            default: break
            }
        }
        expect(parts, scripted, "\(answer.text)")
    }

    @Test(arguments: cases) func ollama(_ scripted: Case) async throws {
        let service = try Self.service(scripted)
        let request: JSONValue = [
            "messages": messages,
            "options": [
                "num_predict": .int(scripted.limit ?? -1), "stop": .array(scripted.stop.map { .string($0) }),
            ],
            "tools": [["type": "function", "function": ["name": "w", "parameters": Self.tool]]],
        ]
        let whole = try await service.ask("/api/chat", body(request, streamed: false)).json
        #expect(whole["done_reason"]?.stringValue == scripted.words[3])
        let lines = try await service.ask("/api/chat", body(request, streamed: true)).lines
        #expect(lines.last?["done_reason"]?.stringValue == scripted.words[3])
        var parts: [String] = []
        var ids: Set<String> = []
        for message in lines.compactMap({ $0["message"] }) {
            if let text = message["thinking"]?.stringValue { parts.append("thought " + text) }
            if let text = message["content"]?.stringValue, !text.isEmpty { parts.append("text " + text) }
            for call in message["tool_calls"]?.arrayValue ?? [] {
                #expect(call["function"]?["index"]?.intValue == ids.count)
                ids.insert(call["id"]?.stringValue ?? "")
                parts.append("call " + (call["function"]?["arguments"]?.text() ?? ""))
            }
        }
        expect(parts, scripted, "\(lines)")
        let calls = whole["message"]?["tool_calls"]?.arrayValue ?? []
        #expect(calls.count == ids.count)
        #expect(calls.indices.allSatisfy { calls[$0]["function"]?["index"]?.intValue == $0 })
    }

    /// Plain text: completions and Ollama's raw mode.
    @Test(arguments: [
        (JSONValue.null, JSONValue.int(2), "length"), (JSONValue.array(["#"]), .null, "stop"),
        (JSONValue.null, .int(-1), "stop"),
    ])
    func plainText(_ stop: JSONValue, _ limit: JSONValue, _ word: String) async throws {
        let service = try ScriptedService(ScriptedFile(["Hel", "lo", "#", "more"]))
        let request: JSONValue = [
            "prompt": "a\n", "max_tokens": limit, "stop": stop, "raw": true,
            "options": .object(JSONObject([("num_predict", limit), ("stop", stop)])),
        ]
        let whole = try await service.ask("/v1/completions", body(request, streamed: false)).json
        #expect(whole["choices"]?[0]?["finish_reason"]?.stringValue == word)
        let streamed = try await service.ask("/v1/completions", body(request, streamed: true))
        #expect(streamed.events.compactMap { $0["choices"]?[0]?["finish_reason"]?.stringValue } == [word])
        #expect(streamed.text.hasSuffix("data: [DONE]\n\n"))
        let text = whole["choices"]?[0]?["text"]?.stringValue
        #expect(streamed.events.compactMap { $0["choices"]?[0]?["text"]?.stringValue }.joined() == text)
        let generated = try await service.ask("/api/generate", body(request, streamed: false)).json
        let lines = try await service.ask("/api/generate", body(request, streamed: true)).lines
        #expect(generated["done_reason"]?.stringValue == word && lines.last?["done_reason"]?.stringValue == word)
        #expect(generated["response"]?.stringValue == text)
    }

    /// A form that is complete is the end of the answer, one that cannot be completed is a failure.
    @Test func formsThatAreCompleteOrImpossible() async throws {
        let service = try ScriptedService(ScriptedFile(["a", "b"]))
        let done = try await service.ask(
            "/v1/chat/completions", ["messages": messages, "grammar": "root ::= \"ab\"", "max_tokens": 20])
        #expect(done.json["choices"]?[0]?["finish_reason"] == "stop")

        let impossible: JSONValue = [
            "messages": messages, "input": messages, "prompt": "a\n", "grammar": "root ::= \"xy\"",
            "text": ["format": ["type": "json_schema", "name": "x", "schema": ["const": true]]],
            "logit_bias": ["121": -100, "114": -100], "max_tokens": 20, "stream": true,
        ]
        for path in ["/v1/chat/completions", "/v1/completions"] {
            let answer = try await service.ask(path, impossible)
            guard answer.status == 200 else { continue }
            #expect(answer.events.last?["error"]?["message"] != nil, "\(answer.text)")
            #expect(answer.text.hasSuffix("data: [DONE]\n\n"))
            #expect(answer.text.components(separatedBy: "[DONE]").count == 2)
        }
        let answer = try await service.ask("/v1/responses", impossible)
        guard answer.status == 200 else { return }
        #expect(answer.names.last == "response.failed" && !answer.names.contains("error"), "\(answer.text)")
        let response = answer.events.last?["response"]
        #expect(response?["status"] == "failed" && response?["error"]?["code"]?.stringValue != nil)
        #expect(answer.names.filter { $0.hasPrefix("response.output_item.") }.count % 2 == 0)
    }
}
