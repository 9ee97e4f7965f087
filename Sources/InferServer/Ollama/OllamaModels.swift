import ChatTemplates
import Foundation
import InferKit

/// What Ollama's API tells about models.
struct OllamaModels {
    let service: InferService

    /// Whose API this is: editors refuse servers before 0.6.4, thoughts came with 0.9.
    static let version = "0.9.0"

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
                    object["context_length"] = .int(listing.information.contextLength)
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
            "details": details(listing), "modified_at": .string(date(listing).formatted(.iso8601)),
            "model_info": .object(modelInfo(listing)),
            "capabilities": .array(listing.capabilities.map { .string($0) }),
        ])
    }

    /// What the file says of the model's form. The context is what there is room for here.
    private func modelInfo(_ listing: ModelCatalog.Listing) -> JSONObject {
        let information = listing.information
        let architecture = information.architecture
        var info = listing.fileFacts
        info["general.architecture"] = .string(architecture)
        if info["general.basename"] == nil {
            info["general.basename"] = .string(information.name ?? listing.entry.name)
        }
        info["general.parameter_count"] = .int(information.parameters)
        info["\(architecture).context_length"] = .int(information.contextLength)
        return info
    }

    private func date(_ listing: ModelCatalog.Listing) -> Date {
        let attributes = try? FileManager.default.attributesOfItem(atPath: listing.entry.path)
        return attributes?[.modificationDate] as? Date ?? Date(timeIntervalSince1970: 0)
    }

    private func entry(_ listing: ModelCatalog.Listing) -> JSONObject {
        let name = listing.entry.name
        return JSONObject([
            ("name", .string(name)), ("model", .string(name)),
            ("modified_at", .string(date(listing).formatted(.iso8601))),
            ("size", .int(listing.fileSize)), ("digest", .string(digest(listing))), ("details", details(listing)),
        ])
    }

    /// Clients only compare it: name, size and date stand for the content, which would take long to read.
    private func digest(_ listing: ModelCatalog.Listing) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in "\(listing.entry.path) \(listing.fileSize) \(date(listing).timeIntervalSince1970)".utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        // Four words by SplitMix64 (Steele, Lea and Flood).
        return (0..<4).map { _ in
            hash &+= 0x9E37_79B9_7F4A_7C15
            var word = hash
            word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
            let digits = String(word ^ word >> 31, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    private func details(_ listing: ModelCatalog.Listing) -> JSONValue {
        let information = listing.information
        let millions = Double(information.parameters) / 1e6
        let size = millions >= 1000 ? String(format: "%.1fB", millions / 1000) : String(format: "%.1fM", millions)
        return [
            "format": "gguf", "family": .string(information.architecture),
            "families": [.string(information.architecture)],
            "parameter_size": .string(size), "quantization_level": .string(listing.quantization),
        ]
    }
}
