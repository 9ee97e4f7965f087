import Foundation
import InferKit

/// `/`: the page to chat with, for who asks for a page, and a sign of life for everybody else.
struct Pages {
    let service: InferService

    func front(_ request: ServerRequest) -> ServerReply {
        guard service.configuration.servesPage, request.headers["accept"]?.contains("text/html") ?? false else {
            // What Ollama's clients look for.
            return .text("Ollama is running")
        }
        var reply = ServerReply(
            headers: [("content-type", "text/html; charset=utf-8")], body: .bytes(PackageResources.chat_html))
        // The page holds everything that it needs.
        reply.headers.append(
            (
                "content-security-policy",
                "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
                    + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ))
        reply.headers.append(("cache-control", "no-cache"))
        return reply
    }
}
