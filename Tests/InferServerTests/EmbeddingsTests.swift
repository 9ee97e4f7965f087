import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

@Suite struct EmbeddingsTests {
    private static func vector(_ value: JSONValue?) -> [Float] {
        (value?.arrayValue ?? []).compactMap(\.doubleValue).map { Float($0) }
    }

    private static func decoded(_ value: JSONValue?) throws -> [Float] {
        let data = try #require(Data(base64Encoded: value?.stringValue ?? ""))
        return stride(from: 0, to: data.count, by: 4).map { place in
            Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(data[place + $1]) << UInt32(8 * $1) })
        }
    }

    @Test func vectorsInAllShapes() async throws {
        let texts: JSONValue = ["a fox", "a long story of two foxes", "a fox"]
        let answer = try await TestService.ask("/v1/embeddings", ["model": "m", "input": texts]).json
        let data = try #require(answer["data"]?.arrayValue)
        #expect(answer["object"] == "list" && data.map { $0["index"]?.intValue } == [0, 1, 2])
        let vectors = data.map { Self.vector($0["embedding"]) }
        #expect(vectors[0] == vectors[2] && vectors[0] != vectors[1])
        for vector in vectors {
            let length = vector.reduce(0) { $0 + Double($1) * Double($1) }
            #expect(abs(length - 1) < 1e-5)
        }
        let usage = answer["usage"]
        #expect(usage?["prompt_tokens"]?.intValue ?? 0 > 6 && usage?["total_tokens"] == usage?["prompt_tokens"])

        let coded = try await TestService.ask(
            "/v1/embeddings", ["input": "a fox", "encoding_format": "base64"]
        ).json["data"]?[0]?["embedding"]
        #expect(try Self.decoded(coded) == vectors[0])

        let ids = try #require(
            try await TestService.ask("/tokenize", ["content": "a fox", "add_special": true]).json["tokens"])
        for input: JSONValue in [ids, [ids]] {
            let byIDs = try await TestService.ask("/v1/embeddings", ["input": input]).json["data"]?[0]?["embedding"]
            #expect(Self.vector(byIDs) == vectors[0])
        }
        let short = try await TestService.ask("/v1/embeddings", ["input": "a fox", "dimensions": 8]).json
        #expect(Self.vector(short["data"]?[0]?["embedding"]).count == 8)

        let ollama = try await TestService.ask("/api/embed", ["model": "fable", "input": texts]).json
        #expect(ollama["embeddings"]?.arrayValue?.map { Self.vector($0) } == vectors)
        let old = try await TestService.ask("/api/embeddings", ["model": "fable", "prompt": "a fox"]).json
        #expect(Self.vector(old["embedding"]) == vectors[0])
    }

    @Test(arguments: [
        #"{}"#, #"{"input": ""}"#, #"{"input": []}"#, #"{"input": ["a", ""]}"#, #"{"input": {"a": 1}}"#,
        #"{"input": [[1, "a"]]}"#, #"{"input": [99999]}"#, #"{"input": "a", "encoding_format": "hex"}"#,
        #"{"input": "a", "dimensions": 0}"#, #"{"input": "a", "dimensions": 99999}"#,
    ])
    func refuses(_ body: String) async throws {
        let answer = try await TestService.ask("/v1/embeddings", text: body)
        #expect(answer.status == 400, "\(answer.text)")
        #expect(answer.json["error"]?["type"] == "invalid_request_error")
    }

    /// An encoder beside a language model: it makes the same vectors as the library, and says that it cannot write.
    @Test(.enabled(if: SharedData.goldens != nil)) func encoder() async throws {
        let folder = try #require(SharedData.goldens).appending(path: "bert")
        let path = try #require(SharedData.ggufFiles(in: folder).first).path
        let service = try TestService.make { $0.models.append(ModelEntry(argument: "bert=\(path)")) }
        let library = try GGUFEmbeddingModel(path: path)
        for text in ["a fox", "the quick brown fox and the lazy dog"] {
            let answer = try await TestService.ask(
                "/v1/embeddings", ["model": "bert", "input": .string(text), "encoding_format": "base64"], of: service
            ).json
            #expect(try Self.decoded(answer["data"]?[0]?["embedding"]) == (try await library.embed(text)).vector)
            #expect(answer["model"] == "bert")
        }
        let shown = try await TestService.ask("/api/show", ["model": "bert"], of: service).json
        #expect(shown["capabilities"] == ["embedding"])
        // The page offers no model that cannot chat.
        let listed = try await TestService.ask("/v1/models", of: service).json["data"]?.arrayValue ?? []
        #expect(listed.contains { $0["capabilities"] == ["embedding"] })
        let bodies: [(String, JSONValue)] = [
            ("/v1/completions", ["model": "bert", "prompt": "a fox"]),
            ("/v1/chat/completions", ["model": "bert", "messages": question]),
            ("/api/generate", ["model": "bert", "prompt": "a fox", "stream": false]),
        ]
        for (route, body) in bodies {
            let refused = try await TestService.ask(route, body, of: service)
            #expect(refused.status == 501 && refused.text.contains("only makes embeddings"), "\(refused.text)")
        }
        let long = JSONValue.string(String(repeating: "fox ", count: 2000))
        let tooLong = try await TestService.ask("/v1/embeddings", ["model": "bert", "input": long], of: service)
        #expect(tooLong.status == 400, "\(tooLong.text)")
        let fable = try await TestService.ask(
            "/v1/completions", ["model": "fable", "prompt": "Once", "max_tokens": 2], of: service)
        #expect(fable.status == 200)
    }

    /// The server and the library make the same vectors, however the caches of conversations are stored.
    @Test(arguments: [GGUFLanguageModel.CacheType.f32, .f16])
    func oneTextHasOneVector(cache: GGUFLanguageModel.CacheType) async throws {
        let directory = try TemporaryDirectory()
        let path = try ToyModel.llama.write(to: directory)
        let service = try TestService.make {
            $0.models = [ModelEntry(argument: "toy=\(path)")]
            ($0.model.keyCache, $0.model.valueCache) = (cache, .f16)
        }
        let texts = ["a fox", "hello world and all the foxes of the world", "x"]
        var configuration = GGUFLanguageModel.Configuration()
        configuration.keyCache = cache
        configuration.batchSize = 3
        let library = try GGUFEmbeddingModel(path: path, configuration: configuration)
        let expected = try await library.embed(texts).map(\.vector)
        let input = JSONValue.array(texts.map { .string($0) })
        let data = try await TestService.ask(
            "/v1/embeddings", ["input": input, "encoding_format": "base64"], of: service
        ).json["data"]?.arrayValue
        #expect(try data?.map { try Self.decoded($0["embedding"]) } == expected)
        for (text, vector) in zip(texts, expected) {
            let alone = try await TestService.ask("/api/embed", ["input": .string(text)], of: service).json
            #expect(Self.vector(alone["embeddings"]?[0]) == vector)
        }
    }

    /// What is cut keeps the token that the model wants at the end of a text.
    @Test(.enabled(if: SharedData.goldens != nil)) func longTextsAreCutBeforeTheirEnd() async throws {
        let folder = try #require(SharedData.goldens).appending(path: "bert")
        let path = try #require(SharedData.ggufFiles(in: folder).first).path
        let service = try TestService.make {
            $0.models = [ModelEntry(argument: "bert=\(path)")]
            $0.model.contextLength = 16
        }
        let long = JSONValue.string(String(repeating: "fox ", count: 40))
        let ids = try #require(
            try await TestService.ask("/tokenize", ["content": long, "add_special": true], of: service)
                .json["tokens"]?.arrayValue)
        let cut = JSONValue.array(ids.prefix(15) + [try #require(ids.last)])
        let expected = try await TestService.ask("/v1/embeddings", ["input": cut], of: service).json
        let vector = Self.vector(expected["data"]?[0]?["embedding"])
        #expect(!vector.isEmpty)
        for body: JSONValue in [["input": long], ["input": [long], "truncate": true]] {
            let answer = try await TestService.ask("/api/embed", body, of: service).json
            #expect(Self.vector(answer["embeddings"]?[0]) == vector)
            #expect(answer["prompt_eval_count"] == 16)
        }
        let old = try await TestService.ask("/api/embeddings", ["prompt": long], of: service).json
        #expect(Self.vector(old["embedding"]) == vector)
        let refused = try await TestService.ask("/api/embed", ["input": long, "truncate": false], of: service)
        #expect(refused.status == 400 && refused.text.contains("\(ids.count)") && refused.text.contains("16"))
        let strict = try await TestService.ask("/v1/embeddings", ["input": ["fox", long]], of: service)
        #expect(strict.status == 400 && strict.json["error"]?["code"] == "context_length_exceeded")
        #expect(strict.text.contains("input[1]"))
    }

    @Test(arguments: [
        (#"["a", ""]"#, "input[1] is empty"), (#"["a", null]"#, "input[1] is null"),
        ("[[5], [-1]]", "input[1] holds token id -1"), ("[[5], [999999999]]", "input[1] holds token id 999999999"),
        (#"[[1, 2], [3, "a"]]"#, "input[1] is a string"), ("[999999999999]", "input holds token id 999999999999"),
    ])
    func theTextAtFaultIsNamed(input: String, message: String) async throws {
        let answer = try await TestService.ask("/v1/embeddings", text: #"{"input": \#(input)}"#)
        #expect(answer.status == 400 && answer.text.contains(message), "\(answer.text)")
    }

    @Test func nothingToEmbedIsNoErrorForOllama() async throws {
        for body in [#"{"input": ""}"#, #"{"input": []}"#, "{}"] {
            let answer = try await TestService.ask("/api/embed", text: body)
            #expect(answer.status == 200 && answer.json["embeddings"] == [], "\(answer.text)")
        }
        #expect(try await TestService.ask("/api/embeddings", text: #"{"prompt": ""}"#).json["embedding"] == [])
    }

    /// Control words in a text are words.
    @Test func controlWordsAreText() async throws {
        let answer = try await TestService.ask("/v1/embeddings", ["input": "<|im_end|>"]).json
        #expect(answer["usage"]?["prompt_tokens"]?.intValue ?? 0 > 1)
    }
}
