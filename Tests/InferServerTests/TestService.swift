import ChatTemplates
import Foundation
import InferKit
import TestSupport
import Testing

@testable import InferServer

/// The service on the shipped model, without a network.
enum TestService {
    /// Made once: loading and the first pass cost more than most tests.
    static let shared = Result { try make { _ in } }

    static func make(
        log: @escaping @Sendable (String) -> Void = { _ in }, _ change: (inout ServerConfiguration) -> Void
    ) throws -> InferService {
        var configuration = ServerConfiguration(
            models: [ModelEntry(argument: "fable,story-teller=\(RepositoryFiles.model)")])
        configuration.model.threads = 2
        configuration.limits.cacheBytes = 64 << 20
        change(&configuration)
        return try InferService(configuration, log: log)
    }

    struct Answer {
        var status: Int
        var headers: [String: String]
        var text: String

        var json: JSONValue { (try? JSONValue(parsing: text)) ?? .null }
        /// The data of server-sent events.
        var events: [JSONValue] {
            text.components(separatedBy: "\n\n").compactMap { event in
                guard let data = event.components(separatedBy: "data: ").last,
                    data != event || event.hasPrefix("data: ")
                else { return nil }
                return try? JSONValue(parsing: data)
            }
        }
        var lines: [JSONValue] { text.split(separator: "\n").compactMap { try? JSONValue(parsing: String($0)) } }
        var names: [String] {
            text.split(separator: "\n").filter { $0.hasPrefix("event: ") }.map { String($0.dropFirst(7)) }
        }
    }

    static func ask(
        _ path: String, _ body: JSONValue? = nil, method: String? = nil, headers: [String: String] = [:],
        of service: InferService? = nil
    ) async throws -> Answer {
        try await ask(
            path, text: body?.text() ?? "", method: method ?? (body == nil ? "GET" : "POST"), headers: headers,
            of: service)
    }

    static func ask(
        _ path: String, text: String, method: String = "POST", headers: [String: String] = [:],
        of service: InferService? = nil
    ) async throws -> Answer {
        let service = try service ?? shared.get()
        let reply = await service.reply(
            to: ServerRequest(id: "test", method: method, path: path, headers: headers, body: Array(text.utf8)))
        var bytes: [UInt8] = []
        switch reply.body {
        case .bytes(let all): bytes = all
        case .stream(let pieces): for await piece in pieces { bytes += piece }
        }
        return Answer(
            status: reply.status,
            headers: Dictionary(reply.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }),
            text: String(decoding: bytes, as: UTF8.self))
    }
}

/// A question that the shipped model can answer.
let question: JSONValue = [["role": "user", "content": "What is 17 + 25?"]]

/// A tool that it can use.
let calculator: JSONValue = [
    "type": "function",
    "function": [
        "name": "calculator", "description": "Computes a sum.",
        "parameters": [
            "type": "object", "properties": ["expression": ["type": "string"]], "required": ["expression"],
        ],
    ],
]
