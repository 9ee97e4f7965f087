#if Server
    import ChatTemplates
    import Foundation
    import InferKit
    import Synchronization
    import TestSupport
    import Testing

    @testable import InferServer

    /// A server on a port of its own, as long as `body` runs.
    private func withServer<Result: Sendable>(
        log: @escaping @Sendable (String) -> Void = { _ in },
        _ change: (inout ServerConfiguration) -> Void = { _ in },
        _ body: @Sendable @escaping (Int, InferService) async throws -> Result
    ) async throws -> Result {
        let service = try TestService.make(log: log) {
            $0.port = 0
            $0.shutdownGrace = .seconds(20)
            change(&$0)
        }
        let (stop, stopper) = AsyncStream.makeStream(of: Void.self)
        let (ports, portSource) = AsyncStream.makeStream(of: Int.self)
        let server = Task {
            try await HTTPServer(service).run(signals: false, until: stop) { portSource.yield($0) }
        }
        var iterator = ports.makeAsyncIterator()
        let port = try #require(await iterator.next())
        // What blocks must not hold up the threads that the server runs on.
        let result = try await body(port, service)
        stopper.finish()
        try await server.value
        return result
    }

    /// Runs blocking calls on a thread of their own.
    private func blocking<Result: Sendable>(_ body: @Sendable @escaping () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
        }
    }

    private func metrics(_ service: InferService) async throws -> ServingMetrics {
        try await service.catalog.model(named: nil).scheduler.metrics
    }

    private let endless = #"{"prompt": "Once upon a time", "max_tokens": 900, "ignore_eos": true, "stream": true}"#

    @Suite(.serialized) struct HTTPTests {
        @Test func keepsConnectionsAndStreams() async throws {
            try await withServer { port, _ in
                try await blocking {
                    let client = try SocketClient(port: port)
                    try client.writeRequest("GET", "/health")
                    #expect(try client.readReply().body.contains("ok"))
                    let body =
                        #"{"messages": [{"role": "user", "content": "What is 1 + 2?"}], "seed": 0, "stream": true}"#
                    for _ in 0..<2 {
                        try client.writeRequest(
                            "POST", "/v1/chat/completions", body: body,
                            headers: ["Content-Type: application/json; charset=utf-8"])
                        let reply = try client.readReply()
                        #expect(reply.status == 200 && reply.headers["content-type"] == "text/event-stream")
                        #expect(reply.headers["x-request-id"] != nil)
                        #expect(reply.body.hasSuffix("data: [DONE]\n\n"))
                    }
                    try client.writeRequest("HEAD", "/", headers: [])
                    try client.writeRequest("GET", "/nothing")
                    try client.wait(for: "404")
                }
            }
        }

        /// A client that closes its own side is taken for gone: it gets no part of an answer that looks whole.
        @Test(arguments: [
            ("/v1/completions", false), ("/v1/completions", true), ("/v1/chat/completions", false),
            ("/v1/chat/completions", true), ("/api/generate", true),
        ])
        func aHalfClosedConnectionGetsNoCutAnswer(path: String, streams: Bool) async throws {
            let log = Mutex<[String]>([])
            try await withServer(log: { line in log.withLock { $0.append(line) } }) { port, _ in
                let text = try await blocking {
                    let client = try SocketClient(port: port)
                    let prompt =
                        path.contains("chat")
                        ? #""messages": [{"role": "user", "content": "hi"}]"# : #""prompt": "Once", "raw": true"#
                    try client.writeRequest(
                        "POST", path,
                        body: #"{\#(prompt), "max_tokens": 700, "ignore_eos": true, "stream": \#(streams)}"#)
                    client.closeSending()
                    return try client.readToEnd()
                }
                #expect(!text.contains("finish_reason\":\"stop") && !text.contains("[DONE]"), "\(text)")
                #expect(!text.contains("\"done\":true") && !text.contains("\r\n0\r\n"), "\(text)")
            }
            let lines = log.withLock { $0 }
            #expect(lines.filter { $0.contains("end=cancelled") }.count == 1, "\(lines)")
        }

        /// What is answered at once is answered whole.
        @Test func aHalfClosedConnectionGetsShortReplies() async throws {
            try await withServer { port, _ in
                let text = try await blocking {
                    let client = try SocketClient(port: port)
                    try client.writeRequest("GET", "/api/version", headers: ["Connection: close"])
                    client.closeSending()
                    return try client.readToEnd()
                }
                #expect(text.hasPrefix("HTTP/1.1 200") && text.contains("version"), "\(text)")
            }
        }

        @Test func everyAnswerHasALineInTheLog() async throws {
            let log = Mutex<[String]>([])
            try await withServer(log: { line in log.withLock { $0.append(line) } }) { port, _ in
                try await blocking {
                    let client = try SocketClient(port: port)
                    for (path, body) in [
                        ("/v1/completions", #"{"prompt": "Once", "max_tokens": 2, "stream": true}"#),
                        ("/v1/completions", #"{"prompt": "Once", "max_tokens": 2}"#),
                        ("/api/generate", #"{"prompt": "Once", "raw": true, "options": {"num_predict": 2}}"#),
                        ("/api/generate", #"{"prompt": "Once", "options": {"num_predict": 2}}"#),
                    ] {
                        try client.writeRequest("POST", path, body: body)
                        #expect(try client.readReply().status == 200)
                    }
                }
            }
            #expect(log.withLock { $0.filter { $0.contains(" end=") }.count } == 4)
        }

        /// Old clients know no chunks, and wait for the end of the connection.
        @Test(arguments: [true, false])
        func oldClientsGetWhatTheyKnow(streams: Bool) async throws {
            try await withServer { port, _ in
                let text = try await blocking {
                    let client = try SocketClient(port: port)
                    let body = #"{"prompt": "Once", "max_tokens": 3, "stream": \#(streams)}"#
                    try client.write(
                        "POST /v1/completions HTTP/1.0\r\nContent-Length: \(body.utf8.count)\r\n"
                            + "Expect: 100-continue\r\n\r\n" + body)
                    return try client.readToEnd()
                }
                let parts = text.components(separatedBy: "\r\n\r\n")
                #expect(parts[0].hasPrefix("HTTP/1.0 200"), "\(text)")
                #expect(parts[0].lowercased().contains("connection: close"))
                #expect(!parts[0].lowercased().contains("transfer-encoding"))
                #expect(parts.count == 2 && parts[1].hasPrefix(streams ? "data: {" : "{"))
                #expect(parts[1].hasSuffix(streams ? "data: [DONE]\n\n" : "}\n"))
            }
        }

        @Test func aLastReplySaysSo() async throws {
            try await withServer { port, _ in
                try await blocking {
                    let client = try SocketClient(port: port)
                    try client.writeRequest("GET", "/health", headers: ["Connection: close"])
                    #expect(try client.readToEnd().lowercased().contains("connection: close"))
                }
            }
        }

        @Test(arguments: ["/", "/api/version", "/v1/models", "/health", "/nothing"])
        func headHasTheFieldsOfGet(path: String) async throws {
            try await withServer { port, _ in
                try await blocking {
                    func head(_ method: String) throws -> [String: String] {
                        let client = try SocketClient(port: port)
                        try client.writeRequest(method, path, headers: ["Connection: close"])
                        let text = try client.readToEnd()
                        let end = try #require(text.range(of: "\r\n\r\n"))
                        #expect(text[end.upperBound...].isEmpty == (method == "HEAD"))
                        var fields: [String: String] = [:]
                        for line in text[..<end.lowerBound].components(separatedBy: "\r\n") {
                            let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
                            if parts.count == 2 { fields[parts[0].lowercased()] = parts[1] } else { fields[""] = line }
                        }
                        fields["x-request-id"] = nil
                        fields["date"] = nil
                        return fields
                    }
                    let (found, expected) = (try head("HEAD"), try head("GET"))
                    #expect(found == expected)
                }
            }
        }

        @Test func otherMethodsAreNamed() async throws {
            try await withServer { port, _ in
                try await blocking {
                    let client = try SocketClient(port: port)
                    for (method, path, allowed) in [
                        ("GET", "/v1/completions", "POST, OPTIONS"), ("DELETE", "/v1/models", "GET, HEAD, OPTIONS"),
                    ] {
                        try client.writeRequest(method, path)
                        let reply = try client.readReply()
                        #expect(reply.status == 405 && reply.headers["allow"] == allowed)
                    }
                }
            }
        }

        @Test func aByteOrderMarkIsNoPartOfABody() async throws {
            let body = "\u{FEFF}{\"content\": \"hello\"}\r\n"
            #expect(try await TestService.ask("/tokenize", text: body).status == 200)
        }

        @Test func bodyLimit() async throws {
            try await withServer({ $0.bodyLimit = 2000 }) { port, _ in
                try await blocking {
                    let long = String(repeating: "x", count: 3000)
                    let told = try SocketClient(port: port)
                    try told.writeRequest("POST", "/v1/completions", body: long)
                    let reply = try told.readReply()
                    #expect(reply.status == 413 && reply.body.contains("3000") && reply.body.contains("2000"))
                    // A length that is not told beforehand.
                    let chunked = try SocketClient(port: port)
                    try chunked.write("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                    try chunked.write("BB8\r\n\(long)\r\n0\r\n\r\n")
                    #expect(try chunked.readReply().status == 413)
                    let next = try SocketClient(port: port)
                    try next.writeRequest("GET", "/health")
                    #expect(try next.readReply().status == 200)
                }
            }
        }

        /// Clients that go away, in the middle of an answer, before its first token, in the middle of their own
        /// request.
        @Test func disconnects() async throws {
            try await withServer({ $0.limits.parallel = 2 }) { port, service in
                for round in 0..<6 {
                    try await blocking {
                        let client = try SocketClient(port: port)
                        if round % 3 == 2 {
                            try client.write("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
                        } else {
                            let body =
                                round % 3 == 0
                                ? endless : endless.replacingOccurrences(of: "\"stream\": true", with: "\"n\": 2")
                            try client.writeRequest("POST", "/v1/completions", body: body)
                            if round % 3 == 0 { try client.wait(for: "data: ") }
                        }
                        client.close()
                    }
                }
                // Nothing of it goes on.
                while true {
                    let now = try await metrics(service)
                    if now.running + now.waiting == 0 { break }
                    try await Task.sleep(for: .milliseconds(5))
                }
                let all = try await metrics(service)
                #expect(all.generatedTokens < 4 * 900)
            }
        }

        /// Told to end, the server lets an answer come to its end and takes no further ones.
        @Test func endsInOrder() async throws {
            let service = try TestService.make { $0.port = 0 }
            let (stop, stopper) = AsyncStream.makeStream(of: Void.self)
            let (ports, portSource) = AsyncStream.makeStream(of: Int.self)
            let server = Task {
                try await HTTPServer(service).run(signals: false, until: stop) { portSource.yield($0) }
            }
            var iterator = ports.makeAsyncIterator()
            let port = try #require(await iterator.next())
            let client = try SocketClient(port: port)
            try await blocking { [client = Transfer(client)] in
                try client.value.writeRequest("POST", "/v1/completions", body: endless)
                try client.value.wait(for: "data: ")
            }
            stopper.finish()
            let reply = try await blocking { [client = Transfer(client)] in try client.value.readReply() }
            #expect(reply.body.contains(#""finish_reason":"length""#) && reply.body.hasSuffix("data: [DONE]\n\n"))
            try await server.value
            #expect(throws: SocketClient.Failure.self) { try SocketClient(port: port) }
        }

        /// Answers that take longer than the grace end with what there is.
        @Test func endsAfterItsGrace() async throws {
            let service = try TestService.make {
                $0.port = 0
                $0.shutdownGrace = .milliseconds(30)
                $0.model.contextLength = 1024
            }
            let (stop, stopper) = AsyncStream.makeStream(of: Void.self)
            let (ports, portSource) = AsyncStream.makeStream(of: Int.self)
            let server = Task {
                try await HTTPServer(service).run(signals: false, until: stop) { portSource.yield($0) }
            }
            var iterator = ports.makeAsyncIterator()
            let port = try #require(await iterator.next())
            let clients = try await blocking {
                // Together they take much longer than the grace.
                try (0..<16).map { number in
                    let client = try SocketClient(port: port)
                    try client.writeRequest("POST", "/v1/completions", body: endless)
                    if number < 8 { try client.wait(for: "data: ") }
                    return Transfer(client)
                }
            }
            stopper.finish()
            for client in clients {
                let reply = try await blocking { try client.value.readReply() }
                // Those that never began are told so.
                let isEnded = reply.body.contains(#""finish_reason":"length""#) && reply.body.hasSuffix("[DONE]\n\n")
                #expect(isEnded || reply.body.contains("shutting down"), "\(reply.body.suffix(300))")
            }
            try await server.value
        }

        /// Clients that ask first whether a long body is welcome need not wait for nothing.
        @Test func longBodiesAreWaitedFor() async throws {
            try await withServer({ $0.bodyLimit = 5000 }) { port, _ in
                try await blocking {
                    let body = #"{"content": "\#(String(repeating: "fox ", count: 500))"}"#
                    let client = try SocketClient(port: port)
                    try client.write(
                        "POST /tokenize HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
                    )
                    #expect(try client.readReply().status == 100)
                    try client.write(body)
                    #expect(try client.readReply().status == 200)
                    let refused = try SocketClient(port: port)
                    try refused.write(
                        "POST /tokenize HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5001\r\n\r\n")
                    #expect(try refused.readReply().status == 413)
                }
            }
        }

        /// Many clients, some of which go away: the others get what they would have got alone.
        @Test func eightClients() async throws {
            try await withServer { port, service in
                let body = #"{"prompt": "One day, a little", "max_tokens": 40, "temperature": 1, "seed": 3}"#
                @Sendable func text() throws -> String {
                    let client = try SocketClient(port: port)
                    try client.writeRequest("POST", "/v1/completions", body: body)
                    let json = try JSONValue(parsing: try client.readReply().body)
                    return json["choices"]?[0]?["text"]?.stringValue ?? "nothing"
                }
                let alone = try await blocking { try text() }
                #expect(alone.utf8.count > 20)
                let together = try await withThrowingTaskGroup(of: String?.self) { group in
                    for number in 0..<24 {
                        group.addTask {
                            try await blocking {
                                guard number % 3 == 0 else { return try text() }
                                let client = try SocketClient(port: port)
                                try client.writeRequest("POST", "/v1/completions", body: endless)
                                try client.wait(for: "data: ")
                                client.close()
                                return nil
                            }
                        }
                    }
                    return try await group.reduce(into: [String?]()) { $0.append($1) }
                }
                #expect(together.compactMap { $0 }.allSatisfy { $0 == alone })
                #expect(together.compactMap { $0 }.count == 16)
            }
        }

        private static let wide = """
            {"messages": [{"role": "user", "content": "Tell me a story."}], "n": 8, "stream": true, "logprobs": true,
             "top_logprobs": 20, "ignore_eos": true, "max_tokens":
            """

        /// Nobody waits for a client that takes nothing of its answer, and what it was to get is let go.
        @Test func aClientThatTakesNothingIsLetGo() async throws {
            let (lines, source) = AsyncStream.makeStream(of: String.self)
            try await withServer(log: { source.yield($0) }, { $0.stallLimit = .milliseconds(1) }) { port, _ in
                let client = try await blocking {
                    let client = try SocketClient(port: port, receiveBuffer: 4096)
                    // The answer is more than what the system holds for it.
                    let text = String(repeating: "a ", count: 400_000)
                    try client.writeRequest(
                        "POST", "/tokenize", body: #"{"content": "\#(text)", "with_pieces": true}"#)
                    return Transfer(client)
                }
                for await line in lines where line.hasSuffix("is closed: the client takes nothing") { break }
                let error = await #expect(throws: SocketClient.Failure.self) {
                    try await blocking { try client.value.readReply() }
                }
                #expect(error?.description == "the connection ended within a body")
            }
        }

        /// One that reads late gets all of it.
        @Test func aClientThatReadsLateGetsItsAnswer() async throws {
            try await withServer { port, service in
                let client = try await blocking {
                    let client = try SocketClient(port: port, receiveBuffer: 4096)
                    try client.writeRequest("POST", "/v1/chat/completions", body: Self.wide + "40}")
                    return Transfer(client)
                }
                while try await metrics(service).generatedTokens < 8 * 40 {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let reply = try await blocking { try client.value.readReply() }
                #expect(reply.body.components(separatedBy: #""finish_reason":"length""#).count == 9)
                #expect(reply.body.hasSuffix("data: [DONE]\n\n"))
            }
        }

        /// A head without an end is not kept for ever.
        @Test func endlessHeadersAreRefused() async throws {
            try await withServer { port, _ in
                try await blocking {
                    let client = try SocketClient(port: port)
                    // The connection may end while it is still sending.
                    try? client.write("GET /health HTTP/1.1\r\n")
                    for number in 0..<4000 {
                        guard (try? client.write("x-\(number): \(String(repeating: "a", count: 100))\r\n")) != nil
                        else { break }
                    }
                    try? client.write("\r\n")
                    let reply = try? client.readReply()
                    #expect(reply == nil || reply?.status ?? 0 >= 400)
                    let other = try SocketClient(port: port)
                    try other.writeRequest("GET", "/health")
                    #expect(try other.readReply().status == 200)
                }
            }
        }

        /// Requests that are sent without waiting are answered in their order.
        @Test func requestsInOneGo() async throws {
            try await withServer { port, _ in
                try await blocking {
                    let client = try SocketClient(port: port)
                    for number in 1...5 {
                        let body = #"{"prompt": "One", "max_tokens": \#(number), "ignore_eos": true}"#
                        try client.writeRequest("POST", "/v1/completions", body: body)
                    }
                    for number in 1...5 {
                        let reply = try client.readReply()
                        #expect(reply.status == 200 && reply.body.contains(#""completion_tokens":\#(number)"#))
                    }
                }
            }
        }

        @Test func garbageIsNoRequest() async throws {
            try await withServer { port, _ in
                try await blocking {
                    for text in [
                        "\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "POST / HTTP/9.9\r\n\r\n",
                        "GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                    ] {
                        let client = try SocketClient(port: port)
                        try client.write(text)
                        if let reply = try? client.readReply() { #expect(reply.status >= 400, "\(text)") }
                    }
                    let client = try SocketClient(port: port)
                    try client.writeRequest("GET", "/health")
                    #expect(try client.readReply().status == 200)
                }
            }
        }
    }

    /// Hands a value to another thread, which alone uses it then.
    private struct Transfer<Value>: @unchecked Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }
#endif
