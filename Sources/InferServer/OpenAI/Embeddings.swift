import ChatTemplates
import Foundation
import InferKit
import Tokenization

/// `/v1/embeddings` and Ollama's calls of the same kind: vectors of length 1.
struct Embeddings {
    let service: InferService

    static let mostTexts = 2048

    func reply(to request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let model = try await service.catalog.model(named: fields.string("model"))
        let format = try fields.string("encoding_format") ?? "float"
        guard ["float", "base64"].contains(format) else {
            throw APIError.invalid("encoding_format is '\(format)', expected float or base64", param: "encoding_format")
        }
        let texts = try texts(try fields.required("input"), fields, model)
        try checkLengths(texts, model)
        let vectors = try await vectors(texts, fields, model, request)
        let count = texts.reduce(0) { $0 + $1.count }
        let data = vectors.enumerated().map { index, vector -> JSONValue in
            [
                "object": "embedding", "index": .int(index),
                "embedding": format == "float" ? numbers(vector) : base64(vector),
            ]
        }
        return .json([
            "object": "list", "data": .array(data), "model": .string(try fields.string("model") ?? model.name),
            "usage": ["prompt_tokens": .int(count), "total_tokens": .int(count)],
        ])
    }

    func ollama(_ request: ServerRequest) async throws -> ServerReply {
        let start = ContinuousClock.now
        let fields = try Fields(body: request.body)
        let model = try await service.catalog.model(named: fields.string("model"))
        var texts: [[Int32]] = []
        // As Ollama has it: nothing to embed is no error.
        if let input = fields["input"], input != "", input != [] {
            texts = try self.texts(input, fields, model)
        }
        if try fields.bool("truncate") ?? true { texts = texts.map { shortened($0, model) } }
        try checkLengths(texts, model)
        let vectors = try await vectors(texts, fields, model, request)
        return .json([
            "model": .string(try fields.string("model") ?? model.name), "embeddings": .array(vectors.map(numbers)),
            "total_duration": .int(Int((ContinuousClock.now - start) / .nanoseconds(1))), "load_duration": 0,
            "prompt_eval_count": .int(texts.reduce(0) { $0 + $1.count }),
        ])
    }

    func ollamaOld(_ request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let model = try await service.catalog.model(named: fields.string("model"))
        guard let prompt = try fields.string("prompt") else { throw APIError.invalid("prompt is missing") }
        guard !prompt.isEmpty else { return .json(["embedding": []]) }
        let tokens = shortened(tokens(prompt, model), model)
        guard !tokens.isEmpty else { throw APIError.invalid("prompt has no tokens", param: "prompt") }
        let vectors = try await vectors([tokens], fields, model, request)
        return .json(["embedding": numbers(vectors[0])])
    }

    // MARK: Pieces

    /// A text, token ids, or several of either.
    private func texts(_ input: JSONValue, _ fields: Fields, _ model: ServedModel) throws -> [[Int32]] {
        /// - Parameter name: of the text, with its place in a list.
        func text(_ value: JSONValue, _ name: String) throws -> [Int32] {
            let tokens: [Int32]
            if let text = value.stringValue {
                tokens = self.tokens(text, model)
            } else if let ids = value.arrayValue {
                tokens = try ids.map { id in
                    guard let number = id.intValue else { throw fields.wrong(name, id, "a text or token ids") }
                    guard let token = Int32(exactly: number), 0..<model.information.vocabularySize ~= number else {
                        throw APIError.invalid(
                            "\(name) holds token id \(number), expected 0 to \(model.information.vocabularySize - 1)",
                            param: "input")
                    }
                    return token
                }
            } else {
                throw fields.wrong(name, value, "a text, token ids, or an array of these")
            }
            guard !tokens.isEmpty else { throw APIError.invalid("\(name) is empty: it has no tokens", param: "input") }
            return tokens
        }
        guard let list = input.arrayValue, list.first?.intValue == nil else { return [try text(input, "input")] }
        guard !list.isEmpty, list.count <= Self.mostTexts else {
            throw APIError.invalid("input has \(list.count) texts, expected 1 to \(Self.mostTexts)", param: "input")
        }
        return try list.enumerated().map { try text($1, "input[\($0)]") }
    }

    /// With all special tokens: encoders want one at the end as well.
    private func tokens(_ text: String, _ model: ServedModel) -> [Int32] {
        model.model.tokenize(text, addSpecial: true, parseSpecial: false)
    }

    /// Cut to the model's context; the special token that the model wants at the end of a text stays there.
    private func shortened(_ tokens: [Int32], _ model: ServedModel) -> [Int32] {
        let length = model.contextLength
        guard tokens.count > length else { return tokens }
        let tokenizer = model.tokenizer
        let end = tokenizer.addSeparator ? tokenizer.separator : tokenizer.addEOS ? tokenizer.eos : nil
        guard let last = tokens.last, last == end else { return Array(tokens.prefix(length)) }
        return tokens.prefix(length - 1) + [last]
    }

    private func checkLengths(_ texts: [[Int32]], _ model: ServedModel) throws {
        for (index, text) in texts.enumerated() where text.count > model.contextLength {
            throw APIError.invalid(
                "input[\(index)] has \(text.count) tokens, but the context holds \(model.contextLength)",
                param: "input", code: "context_length_exceeded")
        }
    }

    private func vectors(
        _ texts: [[Int32]], _ fields: Fields, _ model: ServedModel, _ request: ServerRequest
    ) async throws -> [[Float]] {
        let vectors = try await model.scheduler.embed(texts, until: request.disconnected)
        let width = vectors.first?.count ?? 0
        guard let wanted = try fields.int("dimensions"), wanted != width else { return vectors }
        guard (1...max(width, 1)).contains(wanted) else {
            throw APIError.invalid("dimensions is \(wanted), expected 1 to \(width)", param: "dimensions")
        }
        return vectors.map { vector in
            let part = vector.prefix(wanted)
            let length = part.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            return part.map { length > 0 ? Float(Double($0) / length) : $0 }
        }
    }

    private func numbers(_ vector: [Float]) -> JSONValue { .array(vector.map { .double(Double($0)) }) }

    /// Little-endian floats, what OpenAI's Python client asks for.
    private func base64(_ vector: [Float]) -> JSONValue {
        let bytes = vector.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
        return .string(Data(bytes).base64EncodedString())
    }
}
