import ChatTemplates
import InferKit

/// One HTTP request, read to its end.
struct ServerRequest: Sendable {
    var id: String
    var method: String
    /// Without the query.
    var path: String
    /// Keys in lower case.
    var headers: [String: String]
    var body: [UInt8] = []
    /// Set when the client has gone.
    var disconnected = StopFlag()
}

/// What is answered.
struct ServerReply: Sendable {
    enum Body: Sendable {
        case bytes([UInt8])
        /// Each piece is sent at once.
        case stream(AsyncStream<[UInt8]>)
    }

    var status = 200
    var headers: [(name: String, value: String)] = []
    var body = Body.bytes([])

    static func json(_ value: JSONValue, status: Int = 200) -> ServerReply {
        ServerReply(
            status: status, headers: [("content-type", "application/json")],
            body: .bytes(value.utf8OfOneLine() + [0x0A]))
    }

    static func text(_ text: String, type: String = "text/plain; charset=utf-8", status: Int = 200) -> ServerReply {
        ServerReply(status: status, headers: [("content-type", type)], body: .bytes(Array(text.utf8)))
    }

    /// Server-sent events (WHATWG HTML, "Server-sent events").
    static func events(_ stream: AsyncStream<[UInt8]>) -> ServerReply {
        ServerReply(
            headers: [
                ("content-type", "text/event-stream"), ("cache-control", "no-cache"), ("x-accel-buffering", "no"),
            ],
            body: .stream(stream))
    }

    /// One JSON value per line.
    static func lines(_ stream: AsyncStream<[UInt8]>) -> ServerReply {
        ServerReply(
            headers: [("content-type", "application/x-ndjson"), ("cache-control", "no-cache")], body: .stream(stream))
    }
}

/// Writes a reply piece by piece.
struct EventWriter: Sendable {
    private let continuation: AsyncStream<[UInt8]>.Continuation

    /// Starts `body`, which writes until it returns. When the client stops listening, `disconnected` is set.
    static func stream(
        disconnected: StopFlag, _ body: @escaping @Sendable (EventWriter) async -> Void
    ) -> AsyncStream<[UInt8]> {
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        continuation.onTermination = { if case .cancelled = $0 { disconnected.set() } }
        Task {
            await body(EventWriter(continuation: continuation))
            continuation.finish()
        }
        return stream
    }

    /// An event, with its name where the API has names.
    func send(_ value: JSONValue, event: String? = nil) {
        let name = event.map { "event: \($0)\n" } ?? ""
        continuation.yield(Array(name.utf8) + Array("data: ".utf8) + value.utf8OfOneLine() + [0x0A, 0x0A])
    }

    /// The end of a stream in OpenAI's APIs.
    func sendDone() { continuation.yield(Array("data: [DONE]\n\n".utf8)) }

    /// A line of its own.
    func sendLine(_ value: JSONValue) { continuation.yield(value.utf8OfOneLine() + [0x0A]) }
}

extension JSONValue {
    /// As JSON text that is one line for every reader: some take U+2028 and U+2029 for the end of one. They can only
    /// stand in strings.
    func utf8OfOneLine() -> [UInt8] {
        let bytes = utf8()
        guard bytes.contains(0xE2) else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + 16)
        var place = 0
        while place < bytes.count {
            if bytes[place] == 0xE2, place + 2 < bytes.count, bytes[place + 1] == 0x80, bytes[place + 2] & 0xFE == 0xA8
            {
                result += (bytes[place + 2] == 0xA8 ? "\\u2028" : "\\u2029").utf8
                place += 3
            } else {
                result.append(bytes[place])
                place += 1
            }
        }
        return result
    }
}
