import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

/// Seeds, numbers of choices, prompts that are too long, scores, and what models are called.
@Suite struct LimitsTests {
    private static let messages: JSONValue = [["role": "user", "content": "hi"]]

    // MARK: Prompts that are too long

    @Test func promptsThatAreTooLongAreToldInEveryAPIsWords() async throws {
        let service = try ScriptedService(ScriptedFile(["ok"])) { $0.model.contextLength = 256 }
        let messages: JSONValue = [["role": "user", "content": .string(String(repeating: "word ", count: 300))]]
        let prompt = try await service.ask("/tokenize", ["messages": messages]).json["count"]?.intValue ?? 0
        for streamed: JSONValue in [true, false] {
            let anthropic = try await service.ask(
                "/v1/messages", ["messages": messages, "max_tokens": 5, "stream": streamed])
            #expect(anthropic.status == 400 && anthropic.json["error"]?["type"] == "invalid_request_error")
            #expect(
                anthropic.json["error"]?["message"]?.stringValue
                    == "prompt is too long: \(prompt) tokens > 255 maximum")
            for (path, key) in [("/v1/chat/completions", "messages"), ("/v1/responses", "input")] {
                let answer = try await service.ask(
                    path, .object(JSONObject([(key, messages), ("stream", streamed)])))
                #expect(answer.status == 400 && answer.json["error"]?["code"] == "context_length_exceeded")
                #expect(answer.text.contains("\(prompt) tokens") && answer.text.contains("256"))
            }
            let ollama = try await service.ask("/api/chat", ["messages": messages, "stream": streamed])
            #expect(ollama.status == 400 && ollama.json["error"]?.stringValue?.contains("\(prompt)") == true)
        }
    }

    /// Turn by turn from the oldest on; system message, newest question and the last round stay.
    @Test func theOldestTurnsGoFirst() throws {
        func message(_ role: ChatMessage.Role, _ text: String) -> ChatMessage { ChatMessage(role, text) }
        let messages = [
            message(.system, "S"), message(.user, "u1"), message(.assistant, "a1"), message(.user, "u2"),
            message(.assistant, "a2"), message(.tool, "t2"), message(.assistant, "b2"), message(.tool, "v2"),
        ]
        let texts = ContextFit.candidates(messages).map { $0.map(\.content).joined(separator: " ") }
        #expect(texts == ["S u1 a1 u2 a2 t2 b2 v2", "S u2 a2 t2 b2 v2", "S u2 b2 v2"])
        let fit = ContextFit(limit: 8, maximumTokens: 1)
        #expect(try fit.shortened(messages) { $0.count }.count == 6)
        #expect(try ContextFit(limit: 100, maximumTokens: nil).shortened(messages) { $0.count }.count == 8)
        #expect(try ContextFit(limit: 5, maximumTokens: nil).shortened(messages) { $0.count }.count == 4)
        #expect(try ContextFit(limit: 3, maximumTokens: nil).shortened(messages) { $0.count }.count == 8)
    }

    @Test func conversationsGoOnWithoutTheirOldestTurnsOnWish() async throws {
        let service = try PromptedService(["ok"], template: ScriptedFile.chatML) { $0.model.contextLength = 512 }
        var list: [JSONValue] = [["role": "system", "content": "Be kind."]]
        for turn in 1...10 {
            list.append(["role": "user", "content": .string("question \(turn) " + String(repeating: "w", count: 40))])
            list.append(["role": "assistant", "content": .string("answer \(turn)")])
        }
        list.append(["role": "user", "content": "the last question"])
        let messages = JSONValue.array(list)
        for (path, body) in [
            ("/v1/responses", ["input": messages, "truncation": "auto"] as JSONValue),
            ("/v1/chat/completions", ["messages": messages, "truncation": "auto"]),
            ("/api/chat", ["messages": messages, "stream": false]),
            ("/api/chat", ["messages": messages, "stream": false, "options": ["num_ctx": 300]]),
        ] {
            let answer = try await service.ask(path, body)
            #expect(answer.status == 200, "\(answer.text)")
            let prompt = service.prompt
            #expect(prompt.contains("Be kind.") && prompt.contains("the last question"))
            #expect(prompt.contains("question 10") && !prompt.contains("question 1 "))
            let usage = answer.json["usage"]
            let details = usage?["input_tokens_details"] ?? usage?["prompt_tokens_details"] ?? answer.json
            let dropped = details["dropped_messages"]?.intValue ?? 0
            #expect(dropped > 0 && dropped.isMultiple(of: 2))
        }
        for (path, body) in [
            ("/v1/responses", ["input": messages] as JSONValue),
            ("/api/chat", ["messages": messages, "truncate": false]),
        ] {
            #expect(try await service.ask(path, body).status == 400)
        }
        // More than the server has room for is told.
        let much = try await service.ask(
            "/api/chat", ["messages": Self.messages, "stream": false, "options": ["num_ctx": 8192]])
        #expect(much.json["num_ctx"] == 512)
        // The answer stays within the context of its request too.
        let long = try PromptedService(.init(repeating: "la", count: 300), template: ScriptedFile.chatML)
        let cut = try await long.ask(
            "/api/chat", ["messages": Self.messages, "stream": false, "options": ["num_ctx": 100]])
        let count = ["prompt_eval_count", "eval_count"].reduce(0) { $0 + (cut.json[$1]?.intValue ?? 0) }
        #expect(cut.json["done_reason"] == "length" && count == 100)
    }

    // MARK: Numbers

    @Test(arguments: ["18446744073709551615", "9223372036854775808", "1.8446744073709550e19", "-1", "null", "7"])
    func seedsOf64Bits(_ seed: String) async throws {
        let service = try ScriptedService(ScriptedFile(["ok"]))
        for (path, body) in [
            ("/v1/chat/completions", #"{"messages": [{"role": "user", "content": "hi"}], "seed": SEED}"#),
            ("/v1/completions", #"{"prompt": "a\n", "seed": SEED}"#),
            ("/v1/responses", #"{"input": "a", "seed": SEED}"#),
            ("/v1/messages", #"{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "seed": SEED}"#),
            ("/api/chat", #"{"messages": [{"role": "user", "content": "hi"}], "options": {"seed": SEED}}"#),
        ] {
            let text = body.replacingOccurrences(of: "SEED", with: seed)
            let answer = try await TestService.ask(path, text: text, of: service.service)
            #expect(answer.status == 200, "\(path): \(answer.text)")
        }
    }

    @Test(arguments: ["18446744073709551616", "1.5", "\"7\""]) func otherSeedsAreRefused(_ seed: String) async throws {
        let service = try ScriptedService(ScriptedFile(["ok"]))
        let answer = try await TestService.ask(
            "/v1/completions", text: "{\"prompt\": \"a\", \"seed\": \(seed)}", of: service.service)
        #expect(answer.status == 400 && answer.json["error"]?["param"] == "seed", "\(answer.text)")
    }

    /// A request of many choices waits for itself, not for the queue of all.
    @Test func anyNumberOfChoicesIsServed() async throws {
        let service = try ScriptedService(ScriptedFile(["o", "k"])) {
            $0.limits.parallel = 4
            $0.limits.queue = 2
        }
        for streamed: JSONValue in [false, true] {
            for (path, body) in [
                ("/v1/chat/completions", ["messages": Self.messages, "n": 40, "stream": streamed] as JSONValue),
                ("/v1/completions", ["prompt": ["a\n", "b\n"], "n": 20, "stream": streamed]),
            ] {
                let answer = try await service.ask(path, body)
                #expect(answer.status == 200, "\(answer.text)")
                let choices = (streamed == true ? answer.events : [answer.json]).flatMap {
                    $0["choices"]?.arrayValue ?? []
                }
                let ended = choices.filter { $0["finish_reason"] == "stop" }
                #expect(Set(ended.compactMap { $0["index"]?.intValue }) == Set(0..<40))
            }
        }
    }

    // MARK: Scores

    /// Tokens of a stop text have no scores, whole and streamed, in both APIs.
    @Test(
        arguments: [
            (["Hello", " world", " again"], "world again", "Hello ", ["Hello", " world"]),
            (["Hel", "lo wo", "rld. By"], "lo world. By", "Hel", ["Hel"]),
            (["ab", "ab", "c", "d"], "abc", "ab", ["ab"]), (["a", "b", "c"], "x", "abc", ["a", "b", "c"]),
        ] as [([String], String, String, [String])])
    func scoresBehindAStop(_ pieces: [String], _ stop: String, _ text: String, _ tokens: [String]) async throws {
        let service = try ScriptedService(ScriptedFile(pieces.map { .init($0) }))
        let chat: JSONValue = ["messages": Self.messages, "stop": .string(stop), "logprobs": true]
        let plain: JSONValue = ["prompt": "a\n", "stop": .string(stop), "logprobs": 1]
        func streamed(_ body: JSONValue) -> JSONValue {
            var object = body.objectValue ?? JSONObject()
            object["stream"] = true
            return .object(object)
        }
        func chatTokens(_ choices: [JSONValue?]) -> [String] {
            choices.flatMap { $0?["logprobs"]?["content"]?.arrayValue ?? [] }.compactMap { $0["token"]?.stringValue }
        }
        func plainTokens(_ choices: [JSONValue?]) -> [String] {
            choices.flatMap { $0?["logprobs"]?["tokens"]?.arrayValue ?? [] }.compactMap(\.stringValue)
        }
        let whole = try await service.ask("/v1/chat/completions", chat).json["choices"]?[0]
        #expect(whole?["message"]?["content"]?.stringValue == text && chatTokens([whole]) == tokens)
        let events = try await service.ask("/v1/chat/completions", streamed(chat)).events
        #expect(chatTokens(events.map { $0["choices"]?[0] }) == tokens)
        let completion = try await service.ask("/v1/completions", plain).json["choices"]?[0]
        #expect(completion?["text"]?.stringValue == text && plainTokens([completion]) == tokens)
        let pieces = try await service.ask("/v1/completions", streamed(plain)).events.map { $0["choices"]?[0] }
        #expect(plainTokens(pieces) == tokens)
        let offsets = pieces.flatMap { $0?["logprobs"]?["text_offset"]?.arrayValue ?? [] }
        #expect(completion?["logprobs"]?["text_offset"] == .array(offsets))
    }

    // MARK: Lines

    /// Readers that take U+2028 for the end of a line still get whole lines.
    @Test func lineSeparatorsAreEscaped() async throws {
        let text = "a\u{2028}b\u{2029}c–d"
        let service = try ScriptedService(ScriptedFile([.init(text)]))
        for (path, body) in [
            ("/api/chat", ["messages": Self.messages] as JSONValue), ("/api/generate", ["prompt": "x"]),
            ("/v1/chat/completions", ["messages": Self.messages, "stream": true]),
            ("/v1/messages", ["messages": Self.messages, "stream": true, "max_tokens": 9]),
            ("/v1/chat/completions", ["messages": Self.messages]),
        ] {
            let answer = try await service.ask(path, body)
            #expect(!answer.text.contains("\u{2028}") && !answer.text.contains("\u{2029}"))
            #expect(answer.text.contains("a\\u2028b\\u2029c–d"))
        }
    }

    @Test func bodiesThatAreNotJSON() async throws {
        for (text, word) in [
            ("not json", "it begins with 'n'"), ("", "empty"), ("{\"a\": }", "at byte"), ("[1]", "array"),
        ] {
            let answer = try await TestService.ask("/v1/chat/completions", text: text)
            #expect(answer.status == 400 && answer.json["error"]?["message"]?.stringValue?.contains(word) == true)
        }
        let marked = try await TestService.ask("/tokenize", text: "\u{FEFF}{\"content\": \"a\"}")
        #expect(marked.status == 200, "\(marked.text)")
    }

    // MARK: Models

    @Test func namesWithAndWithoutATag() async throws {
        let service = try TestService.make {
            $0.models = [
                ModelEntry(argument: "fable:latest,gpt-4o-mini=\(RepositoryFiles.model)"),
                ModelEntry(argument: "other=\(RepositoryFiles.model)"),
            ]
        }
        for name in ["fable", "fable:latest", "gpt-4o-mini:latest"] {
            let answer = try await TestService.ask("/api/show", ["model": .string(name)], of: service)
            #expect(answer.status == 200, "\(name)")
        }
        let missing = try await TestService.ask("/v1/completions", ["prompt": "a", "model": "gpt-5"], of: service)
        #expect(missing.status == 404)
        for name in ["fable:latest", "gpt-4o-mini", "other"] { #expect(missing.text.contains(name)) }
    }

    @Test func whatOllamaTellsOfAModel() async throws {
        let service = try TestService.make { _ in }
        let version = try await TestService.ask("/api/version", of: service).json["version"]?.stringValue ?? ""
        #expect(version.compare("0.6.4", options: .numeric) != .orderedAscending)
        let show = try await TestService.ask("/api/show", ["model": "fable:latest"], of: service).json
        #expect(show["capabilities"] == ["completion", "tools"] && show["modified_at"]?.stringValue != nil)
        let info = show["model_info"]
        let architecture = try #require(info?["general.architecture"]?.stringValue)
        #expect(info?["\(architecture).embedding_length"]?.intValue ?? 0 > 0)
        #expect(info?["general.basename"]?.stringValue != nil)
        let running = try await TestService.ask("/api/generate", ["model": "fable"], of: service)
        #expect(running.json["done_reason"] == "load")
        let model = try await TestService.ask("/api/ps", of: service).json["models"]?[0]
        #expect(model?["context_length"] == info?["\(architecture).context_length"])
        #expect(model?["details"]?["quantization_level"] == "Q8_0")
        let digest = model?["digest"]?.stringValue ?? ""
        #expect(digest.count == 64 && !digest.hasPrefix("0000"))
    }

    @Test func modelsAreLetGoAndComeBack() async throws {
        let service = try ScriptedService(ScriptedFile(["ok"]))
        _ = try await service.ask("/api/generate", ["model": "scripted"])
        #expect(await service.service.catalog.loaded.count == 1)
        let gone = try await service.ask("/api/generate", ["model": "scripted", "keep_alive": 0])
        #expect(gone.json["done_reason"] == "unload")
        #expect(await service.service.catalog.loaded.isEmpty)
        let answer = try await service.ask("/api/chat", ["messages": Self.messages, "stream": false])
        #expect(answer.json["message"]?["content"] == "ok")
    }

    @Test(arguments: [("max", 200), ("high", 200), ("", 400), ("much", 400)])
    func thinkTakesWords(_ word: String, _ status: Int) async throws {
        let service = try ScriptedService(ScriptedFile(["ok"]))
        let answer = try await service.ask("/api/chat", ["messages": Self.messages, "think": .string(word)])
        #expect(answer.status == status && !answer.text.contains("reasoning_effort"))
        #expect(status == 200 || answer.text.contains("think is '\(word)'"))
    }
}
