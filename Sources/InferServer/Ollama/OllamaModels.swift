import ChatTemplates
import Foundation
import InferKit

/// What Ollama's API tells about models.
struct OllamaModels {
    let service: InferService

    func tags() async -> ServerReply {
        let listings = await service.catalog.listings
        return .json(["models": .array(listings.map { .object(entry($0)) })])
    }

    func running() async -> ServerReply {
        let listings = await service.catalog.listings.filter(\.isLoaded)
        return .json([
            "models": .array(
                listings.map { listing in
                    var object = entry(listing)
                    object["expires_at"] = .string(Date.now.addingTimeInterval(86400).formatted(.iso8601))
                    object["size_vram"] = 0
                    return .object(object)
                })
        ])
    }

    func show(_ request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let name = try fields.string("model") ?? fields.string("name") ?? ""
        guard let listing = await service.catalog.listing(named: name) else {
            throw APIError.notFound("model '\(name)' not found")
        }
        let information = listing.information
        let template = information.chatTemplate ?? ""
        return .json([
            "modelfile": .string("FROM \(listing.entry.name)\n"), "parameters": "", "template": .string(template),
            "details": details(information),
            "model_info": .object(
                JSONObject([
                    ("general.architecture", .string(information.architecture)),
                    ("general.parameter_count", .int(information.parameters)),
                    ("\(information.architecture).context_length", .int(information.contextLength)),
                ])),
            "capabilities": .array(listing.capabilities.map { .string($0) }),
        ])
    }

    private func entry(_ listing: ModelCatalog.Listing) -> JSONObject {
        let name = listing.entry.name
        let attributes = try? FileManager.default.attributesOfItem(atPath: listing.entry.path)
        let date = attributes?[.modificationDate] as? Date ?? Date(timeIntervalSince1970: 0)
        return JSONObject([
            ("name", .string(name)), ("model", .string(name)), ("modified_at", .string(date.formatted(.iso8601))),
            ("size", .int(listing.fileSize)), ("digest", .string(digest(listing))),
            ("details", details(listing.information)),
        ])
    }

    /// Clients only compare it: name and size stand for the content.
    private func digest(_ listing: ModelCatalog.Listing) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in "\(listing.entry.path) \(listing.fileSize)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 64 - digits.count) + digits
    }

    private func details(_ information: ModelInformation) -> JSONValue {
        let millions = Double(information.parameters) / 1e6
        let size = millions >= 1000 ? String(format: "%.1fB", millions / 1000) : String(format: "%.1fM", millions)
        let bits = information.parameters > 0 ? Double(information.weightBytes) * 8 / Double(information.parameters) : 0
        return [
            "format": "gguf", "family": .string(information.architecture),
            "families": [.string(information.architecture)],
            "parameter_size": .string(size), "quantization_level": .string(String(format: "%.1f bits", bits)),
        ]
    }
}
