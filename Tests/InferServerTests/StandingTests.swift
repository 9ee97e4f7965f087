import ChatTemplates
import Foundation
import InferKit
import Synchronization
import TestSupport
import Testing

@testable import InferServer

/// What an operator relies on: logs, defaults, figures, memory.
@Suite struct StandingTests {
    private final class Log: Sendable {
        private let lines = Mutex<[String]>([])

        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    private static let secret = "My secret fox is called Quill"

    private static func ask(_ service: InferService, _ more: String = "") async throws -> JSONValue {
        let messages: JSONValue = [
            ["role": "system", "content": .string(String(repeating: "Be kind to all animals. ", count: 20))],
            ["role": "user", "content": .string(secret + more)],
        ]
        return try await TestService.ask(
            "/v1/chat/completions", ["messages": messages, "max_tokens": 4, "temperature": 0], of: service
        ).json
    }

    /// Every line of a request carries its id, says how much was reused and why not, and holds none of its text.
    @Test func theLogTellsWhatWasDoneButNotWhatWasSaid() async throws {
        let log = Log()
        let service = try TestService.make(log: log.add) { _ in }
        _ = try await Self.ask(service)
        let first = log.all
        #expect(first.contains { $0.hasPrefix("test ") && $0.contains("0 cached (no state is kept") })
        #expect(first.contains { $0.hasPrefix("test model=fable prompt=") && $0.contains("end=") })
        #expect(first.contains { $0.hasPrefix("test POST /v1/chat/completions 200 ") })
        // Another conversation with the same system prompt.
        let second = try await Self.ask(service, ", and yours?")
        let cached = try #require(second["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.intValue)
        #expect(cached > 60)
        #expect(log.all.contains { $0.contains(", \(cached) cached") && $0.hasSuffix("cached") })
        #expect(!log.all.contains { $0.contains("Quill") || $0.contains("animals") })

        let off = Log()
        let without = try TestService.make(log: off.add) { $0.limits.cacheBytes = 0 }
        _ = try await Self.ask(without)
        #expect(off.all.contains { $0.hasSuffix("0 cached (the cache is off)") })
    }

    @Test func promptsAreLoggedIfAskedFor() async throws {
        let log = Log()
        let service = try TestService.make(log: log.add) { $0.logsPrompts = true }
        _ = try await Self.ask(service)
        _ = try await TestService.ask("/v1/completions", ["prompt": "Quill\nsaid", "max_tokens": 1], of: service)
        let lines = log.all.filter { $0.hasPrefix("test text=") }
        #expect(lines.count == 2 && lines.allSatisfy { $0.contains("Quill") && !$0.contains("\n") })
    }

    @Test func defaults() {
        let configuration = ServerConfiguration(models: [])
        #expect(configuration.host == "127.0.0.1" && configuration.corsOrigins.isEmpty && !configuration.logsPrompts)
    }

    @Test func theMemoryIsPrintedAndRefusedWithNumbers() throws {
        let log = Log()
        _ = try TestService.make(log: log.add) { _ in }
        let line = try #require(log.all.first)
        for part in ["weights", "8 sequences of 1024 tokens", "kept beginnings of prompts up to 64 MiB", "MiB of"] {
            #expect(line.contains(part), "\(line)")
        }
        let error = #expect(throws: StartError.self) { try TestService.make { $0.memoryBudget = 70 << 20 } }
        #expect(error?.description.contains("beginnings of prompts 64 MiB") == true)
        #expect(error?.description.contains("only 70 MiB are available") == true)
    }

    /// Models are loaded when they are asked for.
    @Test func modelsAreLoadedOnDemand() async throws {
        let service = try TestService.make { $0.models.append(ModelEntry(argument: "other=\(RepositoryFiles.model)")) }
        func loaded() async throws -> [Bool] {
            let data = try await TestService.ask("/v1/models", of: service).json["data"]?.arrayValue ?? []
            return data.compactMap { $0["meta"]?["loaded"]?.boolValue }
        }
        #expect(try await loaded() == [false, false])
        _ = try await TestService.ask(
            "/v1/completions", ["model": "other", "prompt": "a", "max_tokens": 1], of: service)
        #expect(try await loaded() == [false, true])
        #expect(throws: StartError.self) {
            try TestService.make { $0.models.append(ModelEntry(argument: "fable=\(RepositoryFiles.model)")) }
        }
    }

    @Test func figures() async throws {
        let service = try TestService.make { _ in }
        for _ in 0..<2 { _ = try await Self.ask(service) }
        let text = try await TestService.ask("/metrics", of: service).text
        func value(_ name: String) throws -> Double {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("infer_\(name)") }, "\(name)")
            return try #require(Double(line.split(separator: " ").last ?? ""))
        }
        #expect(try value("requests_total") == 2 && value("requests_waiting") == 0)
        #expect(try value("generated_tokens_total") >= 6 && value("prompt_tokens_total") > 100)
        #expect(try value("prompt_tokens_cached_total") > 50 && value("prefix_cache_bytes") > 0)
        #expect(try value("time_to_first_token_seconds_count") == 2)
        #expect(try value("time_between_tokens_seconds_count") >= 6)
        #expect(try value("queue_seconds_count") == 2 && value("memory_resident_bytes") > 1_000_000)
        #expect(try value("http_replies_total{status=\"200\"}") == 2)
    }
}
