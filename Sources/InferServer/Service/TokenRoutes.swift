import ChatTemplates
import InferKit
import Tokenization

/// `/tokenize`, `/detokenize`, `/tokenizer_info`, `/apply-template`: in the spelling of llama.cpp and, where it differs, of vLLM.
struct TokenRoutes {
    let service: InferService

    func tokenize(_ request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let model = try await service.catalog.model(named: fields.string("model"))
        let tokens: [Int32]
        if fields["messages"] != nil {
            tokens = try model.prompt(for: ChatTurn(fields)).tokens
        } else {
            let text = try fields.string("content") ?? fields.string("prompt")
            guard let text else { throw APIError.invalid("content is missing", param: "content") }
            // vLLM's spelling adds special tokens by default, llama.cpp's does not.
            let adds = try fields.bool("add_special") ?? fields.bool("add_special_tokens") ?? (fields["content"] == nil)
            tokens = model.tokenizer.encode(
                text, addSpecial: adds, parseSpecial: try fields.bool("parse_special") ?? true)
        }
        let list: [JSONValue]
        if try fields.bool("with_pieces") ?? false {
            list = tokens.map { token in
                let bytes = model.bytes(of: token)
                let text = String(validating: bytes, as: UTF8.self)
                return [
                    "id": .int(Int(token)), "piece": text.map { .string($0) } ?? .array(bytes.map { .int(Int($0)) }),
                ]
            }
        } else {
            list = tokens.map { .int(Int($0)) }
        }
        return .json([
            "tokens": .array(list), "count": .int(tokens.count), "max_model_len": .int(model.contextLength),
        ])
    }

    func detokenize(_ request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let model = try await service.catalog.model(named: fields.string("model"))
        let tokens = try (fields.array("tokens") ?? []).map { value in
            guard let token = value.intValue.flatMap({ Int32(exactly: $0) }), token >= 0,
                Int(token) < model.information.vocabularySize
            else {
                throw APIError.invalid(
                    "tokens holds \(value.text()), expected ids from 0 to \(model.information.vocabularySize - 1)",
                    param: "tokens")
            }
            return token
        }
        let text = model.tokenizer.decode(tokens, renderSpecial: true)
        return .json(["content": .string(text), "prompt": .string(text)])
    }

    /// What evaluation harnesses want to know before they leave tokenizing to the server.
    func information(_: ServerRequest) async throws -> ServerReply {
        let model = try await service.catalog.model(named: nil)
        func text(_ token: Int32?) -> JSONValue { JSONValue(token.map { model.tokenizer.text(of: $0) }) }
        return .json([
            "bos_token": text(model.tokenizer.bos), "eos_token": text(model.tokenizer.eos),
            "pad_token": text(model.tokenizer.padding), "unk_token": text(model.tokenizer.unknown),
            "model_max_length": .int(model.contextLength), "chat_template": JSONValue(model.information.chatTemplate),
        ])
    }

    func applyTemplate(_ request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let model = try await service.catalog.model(named: fields.string("model"))
        return .json(["prompt": .string(try model.prompt(for: ChatTurn(fields)).text)])
    }
}
