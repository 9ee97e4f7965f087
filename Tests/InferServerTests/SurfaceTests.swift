import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

/// What clients rely on in general: access from web pages, routes, odd requests, text that does not fit into tokens.
@Suite struct SurfaceTests {
    // MARK: Web pages elsewhere

    @Test func pagesOfAllowedOriginsSeeErrorsToo() async throws {
        let service = try TestService.make { $0.corsOrigins = ["https://example.org"] }
        let allowed = ["origin": "https://example.org"]
        for (path, status) in [("/v1/nothing", 404), ("/v1/models", 200)] {
            let answer = try await TestService.ask(path, headers: allowed, of: service)
            #expect(answer.status == status)
            #expect(answer.headers["access-control-allow-origin"] == "https://example.org")
        }
        let other = try await TestService.ask("/v1/models", headers: ["origin": "https://evil.org"], of: service)
        #expect(other.headers["access-control-allow-origin"] == nil)

        var asking = allowed
        asking["access-control-request-headers"] = "authorization, x-stainless-os"
        let preflight = try await TestService.ask(
            "/v1/chat/completions", method: "OPTIONS", headers: asking, of: service)
        #expect(preflight.headers["access-control-allow-headers"] == "authorization, x-stainless-os")
        asking["access-control-request-headers"] = "a\r\nset-cookie: b"
        let odd = try await TestService.ask("/v1/chat/completions", method: "OPTIONS", headers: asking, of: service)
        #expect(odd.headers["access-control-allow-headers"]?.contains("cookie") == false)
    }

    @Test func anyOriginIfAskedFor() async throws {
        let service = try TestService.make { $0.corsOrigins = ["*"] }
        let answer = try await TestService.ask("/health", headers: ["origin": "https://a.b"], of: service)
        #expect(answer.headers["access-control-allow-origin"] == "*")
    }

    // MARK: Routes

    @Test(arguments: [
        ("/v1/health", "GET", 200), ("/models", "GET", 200), ("/v1/models/", "GET", 200), ("/props", "GET", 200),
        ("/", "HEAD", 200), ("/v1/models", "POST", 405), ("/v1/chat/completions", "PUT", 405),
        ("/v2/models", "GET", 404),
        ("/v1/images/generations", "POST", 404), ("/v1/audio/transcriptions", "POST", 404), ("/api/pull", "POST", 404),
    ])
    func routes(_ path: String, _ method: String, _ status: Int) async throws {
        let answer = try await TestService.ask(path, text: method == "POST" ? "{}" : "", method: method)
        #expect(answer.status == status)
        if status >= 400 {
            let error = answer.json["error"]
            #expect((path.hasPrefix("/api") ? error : error?["message"])?.stringValue?.isEmpty == false)
        }
    }

    /// The same without /v1, and names with characters of paths.
    @Test func namesOfModelsMayHoldSlashesAndColons() async throws {
        let service = try TestService.make {
            $0.models = [ModelEntry(argument: "org/small:q8=\(RepositoryFiles.model)")]
        }
        for path in ["/v1/models/org/small:q8", "/models/org/small:q8", "/v1/models/org%2Fsmall%3Aq8"] {
            #expect(try await TestService.ask(path, of: service).json["id"] == "org/small:q8")
        }
    }

    @Test func healthWaitsForTheModel() async throws {
        let service = try TestService.make { _ in }
        async let loading: Void = service.prepare()
        try await loading
        #expect(try await TestService.ask("/health", of: service).status == 200)
    }

    @Test func schemaKeywordsThatAreNotSupportedAreNamed() async throws {
        let schema: JSONValue = ["type": "array", "items": ["type": "integer"], "uniqueItems": true]
        let bodies: [(String, JSONValue)] = [
            (
                "/v1/chat/completions",
                [
                    "messages": question,
                    "response_format": ["type": "json_schema", "json_schema": ["name": "x", "schema": schema]],
                ]
            ),
            ("/v1/completions", ["prompt": "x", "json_schema": schema]),
            (
                "/v1/responses",
                ["input": "x", "text": ["format": ["type": "json_schema", "name": "x", "schema": schema]]]
            ),
            ("/api/chat", ["messages": question, "format": schema]),
        ]
        for (path, body) in bodies {
            let answer = try await TestService.ask(path, body)
            #expect(answer.status == 400, "\(path): \(answer.text)")
            #expect(answer.text.contains("uniqueItems is not supported"), "\(path): \(answer.text)")
        }
        let grammar = try await TestService.ask(
            "/v1/completions", ["prompt": "x", "grammar": "root ::= other"])
        #expect(grammar.status == 400 && grammar.text.contains("other"))
    }

    /// A strict tool's parameters are held to or refused; others do what they can.
    @Test(arguments: [true, false]) func strictTools(strict: Bool) async throws {
        let parameters: JSONValue = [
            "type": "object", "properties": ["days": ["type": "array", "uniqueItems": true]],
        ]
        let function: JSONValue = ["name": "plan", "parameters": parameters, "strict": .bool(strict)]
        let answer = try await TestService.ask(
            "/v1/chat/completions",
            [
                "messages": question, "max_tokens": 4,
                "tools": [["type": "function", "function": function]],
            ])
        #expect(answer.status == (strict ? 400 : 200), "\(answer.text)")
        #expect(answer.text.contains("uniqueItems is not supported") == strict, "\(answer.text)")
    }

    // MARK: Limits

    @Test func aFullQueueNamesItsLength() async throws {
        let service = try TestService.make {
            $0.limits.parallel = 1
            $0.limits.queue = 0
        }
        let answer = try await TestService.ask("/v1/completions", ["prompt": "Once", "max_tokens": 1], of: service)
        #expect(answer.status == 503 && answer.headers["retry-after"] == "1")
        #expect(answer.json["error"]?["message"] == "the server is busy: 0 requests wait already")
        #expect(answer.json["error"]?["type"] == "unavailable_error")
        let anthropic = try await TestService.ask(
            "/v1/messages", ["messages": question, "max_tokens": 1], of: service)
        #expect(anthropic.status == 503 && anthropic.json["error"]?["type"] == "overloaded_error")
    }

    @Test func errorsWithinAStreamAreEvents() async throws {
        let service = try TestService.make { $0.timeout = .nanoseconds(1) }
        let body: JSONValue = ["messages": question, "stream": true]
        let answer = try await TestService.ask("/v1/chat/completions", body, of: service)
        #expect(answer.status == 200)
        #expect(answer.events.last?["error"]?["message"]?.stringValue?.contains("time") == true)
        let other = try await TestService.ask(
            "/v1/messages", ["messages": question, "stream": true, "max_tokens": 5], of: service)
        #expect(other.names.last == "error" && other.events.last?["type"] == "error")
    }

    @Test func anAnswerEndsWhenItsTimeIsOver() async throws {
        let service = try TestService.make { $0.timeout = .milliseconds(100) }
        let answer = try await TestService.ask(
            "/v1/completions", ["prompt": "Once", "n": 8, "max_tokens": 1000, "ignore_eos": true], of: service)
        let count = answer.json["usage"]?["completion_tokens"]?.intValue ?? 0
        #expect(answer.status == 503 || count < 8 * 1000 && count > 0, "\(answer.text.prefix(300))")
    }

    // MARK: Text

    /// Characters of several tokens, written because a grammar wants them: no piece of a stream splits one.
    @Test func piecesAreWholeCharacters() async throws {
        let text = "Grüße 🙂👩‍👧 你好"
        let body: JSONValue = [
            "prompt": "Say:", "grammar": .string("root ::= \"\(text)\""), "temperature": 0, "max_tokens": 100,
            "stream": true, "logprobs": 0,
        ]
        let answer = try await TestService.ask("/v1/completions", body)
        let pieces = answer.events.compactMap { $0["choices"]?[0]?["text"]?.stringValue }
        #expect(pieces.joined() == text)
        #expect(pieces.count > 5 && pieces.allSatisfy { !$0.contains("\u{FFFD}") })

        let chat = try await TestService.ask(
            "/v1/chat/completions",
            [
                "messages": [["role": "user", "content": "你好 🙂"]], "grammar": .string("root ::= \"\(text)\""),
                "max_tokens": 100, "logprobs": true,
            ]
        ).json["choices"]?[0]
        #expect(chat?["message"]?["content"]?.stringValue == text)
        // Bytes put parts of characters together again.
        let bytes = try #require(chat?["logprobs"]?["content"]?.arrayValue).flatMap { entry in
            (entry["bytes"]?.arrayValue ?? []).compactMap(\.intValue).map { UInt8($0) }
        }
        #expect(String(decoding: bytes, as: UTF8.self).hasPrefix(text))
    }

    /// A stop text that is longer than a token, in a stream: nothing of it comes through.
    @Test func stopTextsAcrossTokens() async throws {
        let body: JSONValue = [
            "prompt": "Say:", "grammar": "root ::= \"one two three\"", "stop": ["wo th"], "stream": true,
            "max_tokens": 50,
        ]
        let answer = try await TestService.ask("/v1/completions", body)
        #expect(answer.events.compactMap { $0["choices"]?[0]?["text"]?.stringValue }.joined() == "one t")
        #expect(answer.events.last?["choices"]?[0]?["finish_reason"] == "stop")
    }

    // MARK: Calls of tools in pieces

    @Test func argumentsComeInPieces() async throws {
        let messages: JSONValue = [["role": "user", "content": "What is 12 * 4? Use the calculator."]]
        let body: JSONValue = [
            "messages": messages, "tools": [calculator], "temperature": 0, "max_tokens": 60,
        ]
        let whole = try await TestService.ask("/v1/chat/completions", body).json
        let arguments = try #require(
            whole["choices"]?[0]?["message"]?["tool_calls"]?[0]?["function"]?["arguments"]?.stringValue)
        var streamed = try #require(body.objectValue)
        streamed["stream"] = true
        let events = try await TestService.ask("/v1/chat/completions", .object(streamed)).events
        let deltas = events.compactMap { $0["choices"]?[0]?["delta"]?["tool_calls"]?[0] }
        #expect(deltas.allSatisfy { $0["index"] == 0 })
        #expect(deltas.first?["function"]?["name"] == "calculator" && deltas.first?["function"]?["arguments"] == "")
        #expect(deltas.dropFirst().allSatisfy { $0["id"] == nil && $0["function"]?["name"] == nil })
        let pieces = deltas.dropFirst().compactMap { $0["function"]?["arguments"]?.stringValue }
        #expect(pieces.count > 2 && pieces.joined() == arguments, "\(pieces)")

        let responses = try await TestService.ask(
            "/v1/responses",
            [
                "input": messages, "temperature": 0, "max_output_tokens": 60, "stream": true,
                "tools": [
                    [
                        "type": "function", "name": "calculator", "description": "Computes a sum.",
                        "parameters": calculator["function"]?["parameters"] ?? .null,
                    ]
                ],
            ]
        ).events
        let parts = responses.filter { $0["type"] == "response.function_call_arguments.delta" }.compactMap {
            $0["delta"]?.stringValue
        }
        #expect(parts.count > 2 && parts.joined() == arguments)
        let done = responses.first { $0["type"] == "response.function_call_arguments.done" }
        #expect(done?["arguments"]?.stringValue == arguments)
        #expect(responses.last?["response"]?["output"]?[0]?["arguments"]?.stringValue == arguments)

        let anthropic = try await TestService.ask(
            "/v1/messages",
            [
                "messages": messages, "temperature": 0, "max_tokens": 60, "stream": true,
                "tools": [
                    [
                        "name": "calculator", "description": "Computes a sum.",
                        "input_schema": calculator["function"]?["parameters"] ?? .null,
                    ]
                ],
            ]
        ).events
        let fragments = anthropic.compactMap { $0["delta"]?["partial_json"]?.stringValue }
        #expect(fragments.count > 2 && fragments.joined() == arguments)
        #expect(anthropic.filter { $0["type"] == "content_block_start" }.count == 1)
        #expect(anthropic.filter { $0["type"] == "content_block_stop" }.count == 1)
    }

    /// An answer that is cut within a call: the block is closed, the reason is the limit.
    @Test func callsThatAreCut() async throws {
        let body: JSONValue = [
            "messages": [["role": "user", "content": "What is 12 * 4? Use the calculator."]],
            "tools": [calculator], "tool_choice": "required", "temperature": 0, "max_tokens": 12, "stream": true,
        ]
        let events = try await TestService.ask("/v1/chat/completions", body).events
        #expect(events.last?["choices"]?[0]?["finish_reason"] == "length")
    }

    @Test func oneCallIfSeveralAreNotWanted() async throws {
        for choice: JSONValue in ["required", ["type": "function", "function": ["name": "calculator"]]] {
            let answer = try await TestService.ask(
                "/v1/chat/completions",
                [
                    "messages": question, "tools": [calculator], "tool_choice": choice, "temperature": 0,
                    "parallel_tool_calls": false, "max_tokens": 80,
                ]
            ).json["choices"]?[0]
            #expect(answer?["message"]?["tool_calls"]?.arrayValue?.count == 1, "\(answer?.text() ?? "")")
            #expect(answer?["finish_reason"] == "tool_calls")
        }
        let none = try await TestService.ask(
            "/v1/chat/completions",
            ["messages": question, "tools": [calculator], "tool_choice": "none", "temperature": 0, "max_tokens": 30]
        ).json["choices"]?[0]
        #expect(none?["message"]?["tool_calls"] == nil)
    }

    // MARK: Form

    @Test func answersOfAForm() async throws {
        let schema: JSONValue = [
            "type": "object", "properties": ["sum": ["type": "integer"]], "required": ["sum"],
            "additionalProperties": false,
        ]
        let formats: [JSONValue] = [
            ["type": "json_object"], ["type": "json_object", "schema": schema],
            ["type": "json_schema", "json_schema": ["name": "sum", "schema": schema, "strict": true]],
        ]
        for format in formats {
            let choice = try await TestService.ask(
                "/v1/chat/completions",
                ["messages": question, "response_format": format, "temperature": 0, "max_tokens": 300, "seed": 1]
            ).json["choices"]?[0]
            // The small model may go on for ever in an object without a form; within the limit it is still its beginning.
            let text = try #require(choice?["message"]?["content"]?.stringValue)
            if choice?["finish_reason"] == "stop" {
                #expect(try JSONValue(parsing: text).objectValue != nil)
            } else {
                #expect(text.drop(while: \.isWhitespace).hasPrefix("{"))
            }
        }
    }
}
