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
            headers: [("content-type", "text/html; charset=utf-8")], body: .bytes(Self.page))
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

    /// One page without anything from elsewhere. A script uses only what stands in those before it.
    static let page: [UInt8] = {
        let scripts = [
            PackageResources.dom_js, PackageResources.highlight_js, PackageResources.symbols_js,
            PackageResources.math_js, PackageResources.inline_js, PackageResources.markdown_js,
            PackageResources.store_js, PackageResources.answer_js, PackageResources.view_js, PackageResources.app_js,
        ]
        return joined(
            PackageResources.chat_html,
            ["/* chat.css */": PackageResources.chat_css, "/* scripts */": Array(scripts.joined(separator: [0x0a]))])
    }()

    /// - Parameter parts: what takes the place of a mark.
    private static func joined(_ frame: [UInt8], _ parts: [String: [UInt8]]) -> [UInt8] {
        var page = frame
        for (mark, part) in parts {
            if let place = page.firstRange(of: Array(mark.utf8)) { page.replaceSubrange(place, with: part) }
        }
        return page
    }
}
