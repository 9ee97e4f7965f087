import ChatTemplates
import Engine
import InferKit

/// A request that cannot be served, as clients of the different APIs are told.
struct APIError: Error {
    var status: Int
    var type: String
    var message: String
    var param: String?
    var code: String?
    /// More members of the error object.
    var details = JSONObject()
    /// What clients of Anthropic's API look for in the message, where it is something else.
    var anthropicMessage: String?
    /// Seconds after which to try again.
    var retryAfter: Int?

    static func invalid(_ message: String, param: String? = nil, code: String? = nil) -> APIError {
        APIError(status: 400, type: "invalid_request_error", message: message, param: param, code: code)
    }

    static func notFound(_ message: String, code: String? = nil) -> APIError {
        APIError(status: 404, type: "not_found_error", message: message, code: code)
    }

    static func tooLarge(_ bytes: Int?, limit: Int) -> APIError {
        let found = bytes.map { "has \($0) bytes" } ?? "is longer"
        return APIError(
            status: 413, type: "invalid_request_error", message: "the request body \(found), allowed are \(limit) bytes"
        )
    }

    static func unavailable(_ message: String, retryAfter: Int = 1) -> APIError {
        APIError(status: 503, type: "unavailable_error", message: message, retryAfter: retryAfter)
    }

    static func unsupported(_ message: String) -> APIError {
        APIError(status: 501, type: "not_supported_error", message: message)
    }

    static func failed(_ message: String) -> APIError { APIError(status: 500, type: "server_error", message: message) }

    init(
        status: Int, type: String, message: String, param: String? = nil, code: String? = nil, retryAfter: Int? = nil
    ) {
        self.status = status
        self.type = type
        self.message = message
        self.param = param
        self.code = code
        self.retryAfter = retryAfter
    }

    init(_ error: ServingError) {
        switch error {
        case .queueFull: self = .unavailable(error.description)
        case .encoderOnly: self = .unsupported(error.description)
        case .closed: self = .unavailable(error.description, retryAfter: 5)
        case .promptTooLong(let tokens, let length):
            self = .invalid(error.description, param: "messages", code: "context_length_exceeded")
            type = "exceed_context_size_error"
            details["n_prompt_tokens"] = .int(tokens)
            details["n_ctx"] = .int(length)
            anthropicMessage = "prompt is too long: \(tokens) tokens > \(length - 1) maximum"
        case .emptyPrompt, .tokenOutOfRange, .invalidOption, .refused: self = .invalid(error.description)
        }
    }

    init(_ error: LanguageModelSession.GenerationError) {
        switch error {
        case .conversationRefused, .unsupportedGuide, .invalidOption, .invalidPrompt, .exceededContextWindowSize,
            .unsupportedChatTemplate:
            self = .invalid(error.description)
        default: self = .failed(error.description)
        }
    }

    /// Any error as what clients may know of it.
    static func wrapping(_ error: any Error) -> APIError {
        switch error {
        case let error as APIError: error
        case let error as ServingError: APIError(error)
        case let error as LanguageModelSession.GenerationError: APIError(error)
        case let error as EngineError: .invalid(error.description)
        case is CancellationError: .unavailable("the client has gone")
        default: .failed("\(error)")
        }
    }

    /// OpenAI's error object.
    var openAI: JSONValue {
        var object: JSONObject = JSONObject([
            ("message", .string(message)), ("type", .string(type)), ("param", param.map { .string($0) } ?? .null),
            ("code", code.map { .string($0) } ?? .null),
        ])
        for (key, value) in details.members { object[key] = value }
        return ["error": .object(object)]
    }

    var anthropic: JSONValue {
        let name: String =
            switch status {
            case 401: "authentication_error"
            case 404: "not_found_error"
            case 413: "request_too_large"
            case 429: "rate_limit_error"
            case 503: "overloaded_error"
            case 400..<500: "invalid_request_error"
            default: "api_error"
            }
        return ["type": "error", "error": ["type": .string(name), "message": .string(anthropicMessage ?? message)]]
    }

    var ollama: JSONValue { ["error": .string(message)] }

    /// - Parameter path: of the request, which tells the API.
    func reply(path: String) -> ServerReply {
        let body = path.hasPrefix("/api/") ? ollama : path.hasPrefix("/v1/messages") ? anthropic : openAI
        var reply = ServerReply.json(body, status: status)
        if let retryAfter { reply.headers.append(("retry-after", "\(retryAfter)")) }
        if status == 401 { reply.headers.append(("www-authenticate", "Bearer")) }
        return reply
    }
}
