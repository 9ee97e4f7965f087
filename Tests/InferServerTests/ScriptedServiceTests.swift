import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

/// A service on models that say what a test wants.
struct ScriptedService {
    let service: InferService
    private let directory: TemporaryDirectory

    init(_ file: ScriptedFile, change: (inout ServerConfiguration) -> Void = { _ in }) throws {
        directory = try TemporaryDirectory()
        let path = try file.write(to: directory)
        service = try TestService.make { configuration in
            configuration.models = [ModelEntry(argument: "scripted=\(path)")]
            change(&configuration)
        }
    }

    func ask(_ path: String, _ body: JSONValue) async throws -> TestService.Answer {
        try await TestService.ask(path, body, of: service)
    }
}

struct ScriptedServiceTests {
    @Test
    func theAnswerIsTheScript() async throws {
        let scripted = try ScriptedService(ScriptedFile(["Hel", "lo", " wörld", ".\n", "Bye"]))
        for prompt in ["hi", "Hello\n"] {
            let answer = try await scripted.ask(
                "/v1/chat/completions", ["messages": [["role": "user", "content": .string(prompt)]], "seed": 1])
            #expect(answer.json["choices"]?[0]?["message"]?["content"] == "Hello wörld.\nBye")
            #expect(answer.json["choices"]?[0]?["finish_reason"] == "stop")
            #expect(answer.json["usage"]?["completion_tokens"] == 5)
        }
    }

    @Test
    func whatFollowsATokenCanBeChosen() async throws {
        // The prompt ends in ">", so the script starts at its second piece.
        let file = ScriptedFile(
            ["A", "B"], template: "{{ messages[0].content }}", next: [Int(UInt8(ascii: ">")): 1])
        let answer = try await ScriptedService(file).ask(
            "/v1/chat/completions", ["messages": [["role": "user", "content": "x>"]]])
        #expect(answer.json["choices"]?[0]?["message"]?["content"] == "B")
    }
}
