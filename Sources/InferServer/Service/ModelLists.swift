import ChatTemplates
import Foundation
import InferKit

/// `/v1/models` and what else tells about models.
struct ModelLists {
    let service: InferService

    func all() async -> ServerReply {
        let listings = await service.catalog.listings
        return .json(["object": "list", "data": .array(listings.map(Self.object))])
    }

    func one(named name: String) async throws -> ServerReply {
        let decoded = name.removingPercentEncoding ?? name
        guard let listing = await service.catalog.listing(named: decoded) else {
            throw APIError.notFound("there is no model '\(decoded)'", code: "model_not_found")
        }
        return .json(Self.object(listing))
    }

    static func object(_ listing: ModelCatalog.Listing) -> JSONValue {
        let information = listing.information
        return [
            "id": .string(listing.entry.name), "object": "model", "created": 0, "owned_by": "infer",
            "max_model_len": .int(information.contextLength), "context_length": .int(information.contextLength),
            "capabilities": .array(listing.capabilities.map { .string($0) }),
            "aliases": .array(listing.entry.aliases.map { .string($0) }),
            "meta": [
                "architecture": .string(information.architecture), "n_params": .int(information.parameters),
                "n_params_active": .int(information.activeParameters), "size": .int(listing.fileSize),
                "n_vocab": .int(information.vocabularySize), "n_ctx_train": .int(information.trainedContextLength),
                "loaded": .bool(listing.isLoaded),
            ],
        ]
    }

    /// `/props`, as in llama.cpp.
    func properties(_ request: ServerRequest) async throws -> ServerReply {
        let model = try await service.catalog.model(named: nil)
        let defaults = AnswerSettings().options.samplers
        return .json([
            "model_path": .string(model.path), "chat_template": JSONValue(model.information.chatTemplate),
            "total_slots": .int(service.configuration.limits.parallel),
            "modalities": ["vision": false, "audio": false],
            "default_generation_settings": [
                "n_ctx": .int(model.contextLength),
                "params": [
                    "temperature": .double(defaults.temperature), "top_k": .int(defaults.topK),
                    "top_p": .double(defaults.topP), "min_p": .double(defaults.minP),
                ],
            ],
        ])
    }
}

extension ModelCatalog.Listing {
    /// What the model is for, in Ollama's words: "completion", "tools" and "thinking", or "embedding" alone.
    var capabilities: [String] {
        if isEncoder { return ["embedding"] }
        let template = information.chatTemplate ?? ""
        var capabilities = ["completion"]
        if template.contains("tools") { capabilities.append("tools") }
        if OutputSyntax(template: template).reasoning != nil { capabilities.append("thinking") }
        return capabilities
    }
}
