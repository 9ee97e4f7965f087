import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

@Suite struct ServiceRouteTests {
    @Test func models() async throws {
        let list = try await TestService.ask("/v1/models").json
        #expect(list["object"] == "list" && list["data"]?[0]?["id"] == "fable")
        #expect(list["data"]?[0]?["context_length"] == 1024)
        #expect(try await TestService.ask("/v1/models/story-teller").json["id"] == "fable")
        #expect(try await TestService.ask("/v1/models/nope").status == 404)
    }

    @Test func tokens() async throws {
        let text = "A fox, häppy: 12."
        let tokens = try await TestService.ask("/tokenize", ["content": .string(text)]).json["tokens"] ?? .null
        #expect(try await TestService.ask("/detokenize", ["tokens": tokens]).json["content"]?.stringValue == text)
        let pieces = try await TestService.ask("/tokenize", ["content": .string(text), "with_pieces": true]).json[
            "tokens"]
        #expect(pieces?.arrayValue?.count == tokens.arrayValue?.count)
        #expect(try await TestService.ask("/detokenize", ["tokens": [99999]]).status == 400)
        let prompt = try await TestService.ask("/apply-template", ["messages": question]).json["prompt"]?.stringValue
        #expect(prompt?.contains("<|im_start|>user\nWhat is 17 + 25?<|im_end|>") == true)
    }

    @Test func errorsOfRouting() async throws {
        #expect(try await TestService.ask("/v1/nothing").status == 404)
        #expect(try await TestService.ask("/v1/nothing").json["error"]?["message"] != nil)
        #expect(try await TestService.ask("/v1/chat/completions").status == 405)
        #expect(try await TestService.ask("/health").json["status"] == "ok")
    }

    @Test func metrics() async throws {
        _ = try await TestService.ask("/v1/completions", ["prompt": "Once", "max_tokens": 3])
        let answer = try await TestService.ask("/metrics")
        #expect(answer.headers["content-type"]?.contains("version=0.0.4") == true)
        for name in [
            "infer_requests_running", "infer_prompt_tokens_total", "infer_time_to_first_token_seconds_bucket",
            "infer_prefix_cache_bytes", "infer_memory_resident_bytes",
        ] {
            #expect(answer.text.contains("# TYPE \(name.replacingOccurrences(of: "_bucket", with: ""))"), "\(name)")
        }
        for line in answer.text.split(separator: "\n") where !line.hasPrefix("#") {
            #expect(Double(line.split(separator: " ").last ?? "") != nil, "\(line)")
        }
    }

    @Test func keys() async throws {
        let service = try TestService.make { $0.apiKeys = ["first key", "second"] }
        func status(_ headers: [String: String], _ path: String = "/v1/models") async throws -> Int {
            try await TestService.ask(path, headers: headers, of: service).status
        }
        #expect(try await status([:]) == 401)
        #expect(try await status(["authorization": "Bearer wrong"]) == 401)
        #expect(try await status(["authorization": "Bearer first ke"]) == 401)
        #expect(try await status(["authorization": "Bearer first key2"]) == 401)
        #expect(try await status(["authorization": "Bearer "]) == 401)
        #expect(try await status(["authorization": "Bearer first key"]) == 200)
        #expect(try await status(["x-api-key": "second"]) == 200)
        #expect(try await status([:], "/health") == 200)
    }

    @Test func originsAreRefusedUnlessAllowed() async throws {
        let origin = ["origin": "https://example.org"]
        #expect(try await TestService.ask("/health", headers: origin).headers["access-control-allow-origin"] == nil)
        let service = try TestService.make { $0.corsOrigins = ["https://example.org"] }
        let answer = try await TestService.ask("/v1/chat/completions", method: "OPTIONS", headers: origin, of: service)
        #expect(answer.status == 204 && answer.headers["access-control-allow-origin"] == "https://example.org")
        #expect(answer.headers["access-control-allow-methods"]?.contains("POST") == true)
    }

    @Test func memoryThatDoesNotSuffice() throws {
        let error = #expect(throws: StartError.self) { try TestService.make { $0.memoryBudget = 1 << 20 } }
        #expect(error?.description.contains("--ctx-size") == true)
    }

    /// Two models of which only one fits at a time.
    @Test func modelsTakeTurns() async throws {
        let service = try TestService.make { configuration in
            configuration.models = [
                ModelEntry(argument: "one=\(RepositoryFiles.model)"),
                ModelEntry(argument: "two,second=\(RepositoryFiles.model)"),
            ]
            configuration.memoryBudget = 400 << 20
            configuration.limits.cacheBytes = 200 << 20
        }
        for name in ["one", "second", "one", "two"] {
            let answer = try await TestService.ask(
                "/v1/completions", ["model": .string(name), "prompt": "Once", "max_tokens": 2], of: service)
            #expect(answer.status == 200 && answer.json["model"]?.stringValue == name)
            let loaded = try await TestService.ask("/api/ps", of: service).json["models"]?.arrayValue
            #expect(loaded?.count == 1)
        }
        let unknown = try await TestService.ask("/v1/completions", ["model": "three", "prompt": "x"], of: service)
        #expect(unknown.status == 404 && unknown.json["error"]?["code"] == "model_not_found")
    }

    @Test func aFullQueueSaysWhenToComeBack() async throws {
        let service = try TestService.make {
            $0.limits.parallel = 1
            $0.limits.queue = 1
        }
        let body: JSONValue = ["prompt": "Once", "max_tokens": 900, "ignore_eos": true]
        let statuses = try await withThrowingTaskGroup(of: TestService.Answer.self) { group in
            for _ in 0..<6 { group.addTask { try await TestService.ask("/v1/completions", body, of: service) } }
            return try await group.reduce(into: [TestService.Answer]()) { $0.append($1) }
        }
        #expect(statuses.contains { $0.status == 200 })
        let refused = statuses.filter { $0.status == 503 }
        #expect(!refused.isEmpty && refused.allSatisfy { $0.headers["retry-after"] != nil })
    }

    @Test func theTimeOfARequestIsLimited() async throws {
        let service = try TestService.make { $0.timeout = .milliseconds(60) }
        let answer = try await TestService.ask(
            "/v1/completions", ["prompt": "Once", "max_tokens": 1000, "ignore_eos": true], of: service)
        // What there was by then, or the word that there was nothing.
        #expect(answer.status == 503 || answer.json["choices"]?[0]?["finish_reason"] == "length")
    }

    @Test func thePageHoldsAllItNeeds() async throws {
        let page = try await TestService.ask("/", headers: ["accept": "text/html,*/*"])
        #expect(page.headers["content-type"]?.hasPrefix("text/html") == true)
        #expect(
            !page.text.contains("src=\"http") && !page.text.contains("@import") && !page.text.contains("href=\"http"))
        // Every part is in its place.
        #expect(page.text.hasSuffix("</html>\n") && !page.text.contains("/* scripts */"))
        for part in [":root {", "function markdown(", "class MathReader", "class Store", "begin();"] {
            #expect(page.text.contains(part), "\(part)")
        }
        #expect(page.headers["content-security-policy"]?.contains("default-src 'none'") == true)
        #expect(try await TestService.ask("/").text == "Ollama is running")
    }
}
