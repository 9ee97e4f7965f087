public import ArgumentParser
import Foundation
public import InferKit

/// `infer embed`: turns texts into vectors.
struct Embed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turn texts into vectors.",
        discussion: """
            The texts are the arguments or, without any, the lines of standard input. Encoders such as BERT and \
            ordinary language models will do; the file says how the tokens of a text become one vector, and \
            --pooling says otherwise. A vector is a line of numbers, or with --json part of an array of objects with \
            index, tokens and embedding.

              infer embed -m gte-small.gguf "a fox" "a lorry"
              infer embed -m gte-small.gguf --json < sentences.txt
            """)

    @OptionGroup var modelPath: ModelPathOption

    @Argument(help: "The texts.")
    var texts: [String] = []

    @Option(help: "How tokens become one vector: mean, cls or last (default: as the file says).")
    var pooling: GGUFEmbeddingModel.Pooling?

    @Flag(inversion: .prefixedNo, help: "Give vectors a length of 1.")
    var normalize = true

    @Flag(help: "Print a JSON array.")
    var json = false

    @OptionGroup var size: SizeOptions

    private struct Row: Encodable {
        var index: Int
        var tokens: Int
        var embedding: [Float]
    }

    func run() async throws {
        let model = try GGUFEmbeddingModel(
            path: modelPath.model,
            configuration: .init(threads: size.threads, contextLength: size.ctxSize, keyCache: .f32, valueCache: .f32),
            pooling: pooling, normalizes: normalize)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var index = 0
        // Each vector is printed when it is there.
        func show(_ text: String) async throws {
            let result = try await embed(text, index, model)
            if json {
                let row = Row(index: index, tokens: result.tokenCount, embedding: result.vector)
                let object = String(decoding: try encoder.encode(row), as: UTF8.self)
                try StandardOutput.write((index == 0 ? "[" : ",") + object)
            } else {
                try StandardOutput.line(result.vector.map { "\($0)" }.joined(separator: " "))
            }
            index += 1
        }
        if texts.isEmpty {
            while let line = readLine() { try await show(line) }
        } else {
            for text in texts { try await show(text) }
        }
        if json { try StandardOutput.line(index == 0 ? "[]" : "]") }
    }

    private func embed(
        _ text: String, _ index: Int, _ model: GGUFEmbeddingModel
    ) async throws -> GGUFEmbeddingModel.Embedding {
        do {
            return try await model.embed(text)
        } catch let error as LanguageModelSession.GenerationError {
            let isEmpty = text.allSatisfy(\.isWhitespace)
            throw CommandError("text \(index + 1)" + (isEmpty ? " is empty" : ": \(error)"))
        }
    }
}

extension GGUFEmbeddingModel.Pooling: ExpressibleByArgument {}
