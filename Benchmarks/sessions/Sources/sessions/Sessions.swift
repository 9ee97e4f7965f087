import Foundation
import InferKit

/// Tokens per second of several sessions of one model at once, and what one short answer takes.
///
/// Prints a line of JSON for each number of sessions: `{"sessions": 4, "tokens_per_second": …, "first_token_ms": …,
/// "text": …}`; the first token is that of the first session, the text a digest of all answers.
@main
struct Sessions {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 4, let tokens = Int(arguments[2]) else {
            FileHandle.standardError.write(Data("usage: sessions MODEL TOKENS SESSIONS…\n".utf8))
            exit(64)
        }
        let model = try GGUFLanguageModel(path: arguments[1])
        // The weights are read, and the threads are there.
        _ = try await answer(model, 0, 4)
        for count in arguments[3...].compactMap({ Int($0) }) {
            let clock = ContinuousClock()
            let start = clock.now
            let answers = try await withThrowingTaskGroup(of: (Int, String, Duration, Int).self) { group in
                for index in 0..<count {
                    group.addTask {
                        let answer = try await answer(model, index, tokens)
                        return (index, answer.text, answer.first, answer.tokens)
                    }
                }
                var all: [(Int, String, Duration, Int)] = []
                for try await answer in group { all.append(answer) }
                return all.sorted { $0.0 < $1.0 }
            }
            let seconds = (clock.now - start) / .seconds(1)
            let generated = answers.reduce(0) { $0 + $1.3 }
            var digest: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in answers.map(\.1).joined(separator: "\0").utf8 {
                digest = (digest ^ UInt64(byte)) &* 0x100_0000_01b3
            }
            let first = (answers.first?.2 ?? .zero) / .milliseconds(1)
            print(
                "{\"sessions\": \(count), \"tokens_per_second\": \(Double(generated) / seconds), "
                    + "\"first_token_ms\": \(first), \"text\": \"\(String(digest, radix: 16))\"}")
        }
    }

    static func answer(
        _ model: GGUFLanguageModel, _ index: Int, _ tokens: Int
    ) async throws -> (text: String, first: Duration, tokens: Int) {
        let session = LanguageModelSession(model: model, instructions: "You write long texts.")
        var options = GenerationOptions(sampling: .greedy, maximumResponseTokens: tokens)
        options.ignoresEndOfGeneration = true
        let response = try await session.respond(to: "Tell me story number \(index) about a fox.", options: options)
        return (response.content, response.usage.timeToFirstToken, response.usage.generatedTokens)
    }
}
