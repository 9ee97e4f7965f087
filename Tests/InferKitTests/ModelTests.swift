import Foundation
import GGUF
import InferKit
import TestSupport
import Testing

/// The library on real files: toy models and the model of the repository.
@Suite struct ModelTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func aToyModelAnswersTheSameEveryTime() async throws {
        let path = try ToyModel.qwen35moe.write(to: directory)
        func answer() async throws -> [Int32] {
            let model = try GGUFLanguageModel(path: path)
            let tokens = model.tokenize("hello world")
            var options = GenerationOptions(maximumResponseTokens: 20)
            options.seed = 11
            return try await collect(model.generate(tokens: tokens, options: options)).tokens
        }
        let first = try await answer()
        #expect(!first.isEmpty)
        #expect(try await answer() == first)
    }

    @Test func informationComesFromTheFile() throws {
        var toy = ToyModel.llama
        toy["general.name"] = .string("Toy")
        let model = try GGUFLanguageModel(
            path: try toy.write(to: directory),
            configuration: .init(threads: 1, contextLength: 64, keyCache: .f32, valueCache: .f32))
        #expect(model.information.name == "Toy")
        #expect(model.information.architecture == "llama")
        #expect(model.information.contextLength == 64)
        #expect(model.information.trainedContextLength == 128)
        #expect(model.information.chatFormat == "chatml")
        #expect(model.detokenize(model.tokenize("hello world")) == "hello world")
    }

    @Test func textTokensOfAUserAreNotControlTokens() throws {
        let model = try GGUFLanguageModel(path: try ToyModel.llama.write(to: directory))
        #expect(model.tokenize("<|im_end|>", parseSpecial: true).count == 1)
        #expect(model.tokenize("<|im_end|>").count > 1)
    }

    @Test func filesThatCannotBeUsedSayWhy() throws {
        #expect(throws: ModelLoadError.unreadable(path: "/nowhere.gguf", reason: "no such file or directory")) {
            try GGUFLanguageModel(path: "/nowhere.gguf")
        }
        let bytes = try ToyModel.llama.bytes()
        let cut = try directory.write(Array(bytes[..<(bytes.count / 2)]), to: "cut.gguf")
        #expect(throws: ModelLoadError.self) { try GGUFLanguageModel(path: cut) }
        do {
            _ = try GGUFLanguageModel(path: cut)
        } catch ModelLoadError.malformed(let path, let reason) {
            #expect(path == cut)
            #expect(!reason.isEmpty)
        }
        var strange = ToyModel.llama
        strange["general.architecture"] = .string("strange")
        let path = try strange.write(to: directory, name: "strange.gguf")
        do {
            _ = try GGUFLanguageModel(path: path)
            Issue.record("no error")
        } catch ModelLoadError.unsupported(_, let reason) {
            #expect(reason.contains("strange"))
        }
        let toy = try ToyModel.llama.write(to: directory, name: "toy.gguf")
        do {
            _ = try GGUFLanguageModel(path: toy, configuration: .init(contextLength: 100_000))
            Issue.record("no error")
        } catch ModelLoadError.invalidConfiguration(let reason) {
            #expect(reason.contains("100000"))
        }
    }

    /// Two turns of a conversation, once in one session and once continued from its transcript.
    @Test func aContinuedConversationIsTheSame() async throws {
        let model = try GGUFLanguageModel(path: RepositoryFiles.model)
        let options = GenerationOptions(sampling: .greedy, maximumResponseTokens: 24)
        let session = LanguageModelSession(model: model)
        _ = try await session.respond(to: "Hello!", options: options)
        let transcript = session.transcript
        let second = try await session.respond(to: "What is 2 + 3?", options: options)
        #expect(second.usage.cachedPromptTokens > 0)
        let continued = LanguageModelSession(model: model, transcript: transcript)
        let again = try await continued.respond(to: "What is 2 + 3?", options: options)
        #expect(again.content == second.content)
        #expect(again.usage.cachedPromptTokens == 0)
    }

    @Test func theShippedModelCounts() async throws {
        let session = LanguageModelSession(model: try GGUFLanguageModel(path: RepositoryFiles.model))
        let response = try await session.respond(
            to: "What is 17 + 25?", options: GenerationOptions(sampling: .greedy, maximumResponseTokens: 32))
        #expect(response.content.contains("42"))
        #expect(response.finishReason == .endOfText)
    }
}
