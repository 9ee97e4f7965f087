import ChatTemplates
import InferKit

/// What is served where.
struct Route: Sendable {
    var method: String
    var handle: @Sendable (InferService, ServerRequest, String) async throws -> ServerReply
}

enum Routes {
    /// Paths that need no key.
    static func isOpen(_ path: String) -> Bool { ["/", "/health", "/v1/health"].contains(path) }

    static func find(_ path: String) -> Route? {
        if let route = table[path] { return route }
        for prefix in ["/v1/models/", "/models/"] where path.hasPrefix(prefix) && path.count > prefix.count {
            return Route(method: "GET") { service, _, path in
                try await ModelLists(service: service).one(named: String(path.dropFirst(prefix.count)))
            }
        }
        return nil
    }

    private static func post(
        _ handle: @escaping @Sendable (InferService, ServerRequest) async throws -> ServerReply
    ) -> Route {
        Route(method: "POST") { service, request, _ in try await handle(service, request) }
    }

    private static func get(
        _ handle: @escaping @Sendable (InferService, ServerRequest) async throws -> ServerReply
    ) -> Route {
        Route(method: "GET") { service, request, _ in try await handle(service, request) }
    }

    private static let table: [String: Route] = {
        let openAI: [String: Route] = [
            "/chat/completions": post { try await ChatCompletions(service: $0).reply(to: $1) },
            "/completions": post { try await Completions(service: $0).reply(to: $1) },
            "/responses": post { try await Responses(service: $0).reply(to: $1) },
            "/embeddings": post { try await Embeddings(service: $0).reply(to: $1) },
            "/models": get { service, _ in await ModelLists(service: service).all() },
            "/health": get { service, _ in try service.health() },
        ]
        var table: [String: Route] = [
            "/": get { Pages(service: $0).front($1) },
            "/metrics": get { service, _ in await Metrics(service: service).reply() },
            "/props": get { try await ModelLists(service: $0).properties($1) },
            "/tokenize": post { try await TokenRoutes(service: $0).tokenize($1) },
            "/detokenize": post { try await TokenRoutes(service: $0).detokenize($1) },
            "/tokenizer_info": get { try await TokenRoutes(service: $0).information($1) },
            "/apply-template": post { try await TokenRoutes(service: $0).applyTemplate($1) },
            "/v1/messages": post { try await AnthropicMessages(service: $0).reply(to: $1) },
            "/v1/messages/count_tokens": post { try await AnthropicMessages(service: $0).count($1) },
            "/api/version": get { _, _ in .json(["version": .string(OllamaModels.version)]) },
            "/api/tags": get { service, _ in await OllamaModels(service: service).tags() },
            "/api/ps": get { service, _ in await OllamaModels(service: service).running() },
            "/api/show": post { try await OllamaModels(service: $0).show($1) },
            "/api/chat": post { try await OllamaChat(service: $0).chat($1) },
            "/api/generate": post { try await OllamaChat(service: $0).generate($1) },
            "/api/embed": post { try await Embeddings(service: $0).ollama($1) },
            "/api/embeddings": post { try await Embeddings(service: $0).ollamaOld($1) },
        ]
        for (path, route) in openAI {
            table[path] = route
            table["/v1" + path] = route
        }
        return table
    }()
}
