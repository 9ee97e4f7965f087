import ChatTemplates
import Foundation
import InferKit
import Synchronization

/// Answers requests, whatever carries them here: routes, keys, limits, errors.
package final class InferService: Sendable {
    let catalog: ModelCatalog
    let configuration: ServerConfiguration
    let startTime = ContinuousClock.now
    private let counters = Mutex<[String: Int]>([:])
    private let isLoading = Mutex(false)
    private let logLine: @Sendable (String) -> Void

    /// - Throws: what is wrong with a model file or the configuration, or that the memory does not suffice.
    package init(_ configuration: ServerConfiguration, log: @escaping @Sendable (String) -> Void) throws {
        self.configuration = configuration
        logLine = log
        catalog = try ModelCatalog(
            configuration.models, configuration: configuration.model, limits: configuration.limits,
            budget: configuration.memoryBudget, log: log)
    }

    /// Loads the first model ahead of the first request. Until it is there `/health` says so; other requests wait.
    package func prepare() async throws {
        isLoading.withLock { $0 = true }
        _ = try await catalog.model(named: nil)
        isLoading.withLock { $0 = false }
    }

    func health() throws(APIError) -> ServerReply {
        if isLoading.withLock({ $0 }) { throw .unavailable("Loading model") }
        return .json(["status": "ok"])
    }

    package func shutDown() async { await catalog.shutDown(grace: configuration.shutdownGrace) }

    /// Ends all answers within one step, with what there is.
    package func abandon() async { await catalog.abandon() }

    // MARK: Routing

    func reply(to request: ServerRequest) async -> ServerReply {
        let start = ContinuousClock.now
        var reply: ServerReply
        do {
            try checkAccess(request)
            reply = try await route(request)
        } catch {
            reply = APIError.wrapping(error).reply(path: request.path)
        }
        reply.headers.append(("x-request-id", request.id))
        if let origin = allowedOrigin(request) {
            reply.headers.append(("access-control-allow-origin", origin))
            reply.headers.append(("vary", "origin"))
        }
        counters.withLock { $0["\(reply.status)", default: 0] += 1 }
        let milliseconds = Int((ContinuousClock.now - start) / .milliseconds(1))
        logLine("\(request.id) \(request.method) \(Self.printable(request.path)) \(reply.status) \(milliseconds) ms")
        return reply
    }

    /// A path is the client's: nothing in it may look like another line of the log.
    private static func printable(_ path: String) -> String {
        String(path.prefix(200).map { $0.isASCII && !$0.isWhitespace && $0.asciiValue ?? 0 > 0x20 ? $0 : "?" })
    }

    /// Replies by status code since the start.
    var statusCounts: [(status: String, count: Int)] {
        counters.withLock { $0.sorted { $0.key < $1.key }.map { (status: $0.key, count: $0.value) } }
    }

    private func route(_ request: ServerRequest) async throws -> ServerReply {
        if request.method == "OPTIONS" { return preflight(request) }
        // The same routes without /v1 are accepted, as by several other servers.
        let path =
            request.path.count > 1 && request.path.hasSuffix("/") ? String(request.path.dropLast()) : request.path
        let method = request.method == "HEAD" ? "GET" : request.method
        guard let route = Routes.find(path) else {
            throw APIError.notFound("there is nothing at \(Self.printable(path))")
        }
        guard route.method == method else {
            throw APIError(
                status: 405, type: "invalid_request_error",
                message: "\(Self.printable(path)) takes \(route.method), not \(Self.printable(request.method))")
        }
        return try await route.handle(self, request, path)
    }

    private func preflight(_ request: ServerRequest) -> ServerReply {
        guard allowedOrigin(request) != nil else { return ServerReply(status: 204) }
        return ServerReply(
            status: 204,
            headers: [
                ("access-control-allow-methods", "GET, POST, OPTIONS"),
                ("access-control-allow-headers", allowedHeaders(request)),
                ("access-control-max-age", "86400"),
            ])
    }

    /// What the page asks for: official clients send headers of their own, and all are harmless here.
    private func allowedHeaders(_ request: ServerRequest) -> String {
        let wanted = request.headers["access-control-request-headers"] ?? ""
        let isList = wanted.utf8.allSatisfy { 0x21...0x7E ~= $0 || $0 == 0x20 }
        guard !wanted.isEmpty, wanted.utf8.count <= 2000, isList else {
            return "authorization, content-type, x-api-key, anthropic-version"
        }
        return wanted
    }

    private func allowedOrigin(_ request: ServerRequest) -> String? {
        guard let origin = request.headers["origin"] else { return nil }
        if configuration.corsOrigins.contains("*") { return "*" }
        return configuration.corsOrigins.contains(origin) ? origin : nil
    }

    // MARK: Access

    private func checkAccess(_ request: ServerRequest) throws(APIError) {
        guard !configuration.apiKeys.isEmpty, !Routes.isOpen(request.path), request.method != "OPTIONS" else { return }
        var given = request.headers["x-api-key"]
        if let header = request.headers["authorization"], header.lowercased().hasPrefix("bearer ") {
            given = String(header.dropFirst(7)).trimmingCharacters(in: .whitespaces)
        }
        guard let given, isKey(given) else {
            throw APIError(
                status: 401, type: "authentication_error",
                message: given == nil ? "an API key is needed" : "the API key is wrong", code: "invalid_api_key")
        }
    }

    /// Every key is looked at, also behind the right one.
    private func isKey(_ given: String) -> Bool {
        configuration.apiKeys.reduce(false) { isFound, key in isSameKey(Array(key.utf8), Array(given.utf8)) || isFound }
    }

    // MARK: Jobs

    func deadline() -> ContinuousClock.Instant? { configuration.timeout.map { .now + $0 } }

    /// Starts jobs of plain text.
    func answer(
        _ jobs: [ServingJob], _ model: ServedModel, _ request: ServerRequest
    ) throws(APIError) -> Answering {
        try Answering(
            jobs.map { job in
                var job = job
                job.deadline = deadline()
                job.id = request.id
                return job
            }, model: model, request: request)
    }

    /// Writes a conversation's prompt and starts its answers.
    /// - Parameter streamsCalls: whether calls are of use before they are complete.
    func answer(
        _ turn: ChatTurn, _ model: ServedModel, _ request: ServerRequest, streamsCalls: Bool
    ) throws(APIError) -> Answering {
        var turn = turn
        let prompt = try turn.fit(model)
        let checkpoints = model.checkpoints(of: prompt, turn)
        let jobs = (0..<turn.settings.choices).map { choice in
            var job = turn.settings.job(prompt.tokens, choice: choice)
            job.checkpoints = checkpoints
            job.format = prompt.answer
            job.deadline = deadline()
            job.id = request.id
            job.streamsCalls = streamsCalls
            return job
        }
        var answering = try Answering(
            jobs, model: model, request: request, wantsOneCall: !turn.request.isParallel)
        answering.droppedMessages = turn.droppedMessages
        logPrompt(prompt.text, request)
        return answering
    }

    /// A prompt as a JSON string, so that it is one line whatever it holds; only where the operator wants it.
    func logPrompt(_ text: String, _ request: ServerRequest) {
        if configuration.logsPrompts { logLine("\(request.id) text=\(JSONValue.string(text).text())") }
    }

    /// A line for the operator.
    func log(_ line: String) { logLine(line) }

    /// A line about what was done, without any text of it.
    func log(_ request: ServerRequest, _ model: ServedModel, _ results: [ServingResult]) {
        let prompt = results.first?.promptTokens ?? 0
        let cached = results.first?.cachedTokens ?? 0
        let generated = results.reduce(0) { $0 + $1.generatedTokens }
        let first = results.compactMap(\.timing.firstToken).min().map { "\(Int($0 / .milliseconds(1)))" } ?? "-"
        let seconds = results.map { $0.timing.generation / .seconds(1) }.max() ?? 0
        let speed = seconds > 0 ? String(format: "%.1f", Double(generated) / seconds) : "-"
        let reasons = Set(results.map { "\($0.reason)".prefix { $0 != "(" } }).sorted().joined(separator: ",")
        logLine(
            "\(request.id) model=\(model.name) prompt=\(prompt) cached=\(cached) generated=\(generated) "
                + "first_token_ms=\(first) tokens_per_second=\(speed) end=\(reasons)")
    }
}
