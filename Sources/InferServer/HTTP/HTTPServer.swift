#if Server
    import Foundation
    import HTTPTypes
    import Hummingbird
    import HummingbirdCore
    import InferKit
    import Logging
    import NIOCore
    import NIOHTTPTypes
    import ServiceLifecycle
    import Synchronization
    import UnixSignals

    /// Carries an ``InferService`` over HTTP/1.1, with Hummingbird.
    package struct HTTPServer: Sendable {
        let service: InferService

        package init(_ service: InferService) { self.service = service }

        /// Serves until a signal (SIGINT, SIGTERM) comes; running answers may then come to their end.
        /// - Parameters:
        ///   - stop: the server ends in order when this ends.
        ///   - started: receives the port once connections are taken.
        /// - Throws: ``StartError`` when it cannot listen there.
        package func run(
            signals: Bool = true, until stop: AsyncStream<Void>? = nil, started: @escaping @Sendable (Int) -> Void
        ) async throws {
            let configuration = service.configuration
            let service = service
            var logger = Logger(label: "http", factory: { _ in SwiftLogNoOpLogHandler() })
            logger.logLevel = .critical
            let application = Application(
                responder: CallbackResponder { request, context in await respond(request, context) },
                server: .http1(
                    configuration: .init(
                        additionalChannelHandlers: [
                            OldClientsInstaller(),
                            DisconnectWatch(stallLimit: TimeAmount(configuration.stallLimit), log: service.log),
                            ContinueHandler(bodyLimit: configuration.bodyLimit),
                        ], idleTimeout: .seconds(600))),
                configuration: ApplicationConfiguration(
                    address: .hostname(configuration.host, port: configuration.port), serverName: "infer"),
                onServerRunning: { channel in started(channel.localAddress?.port ?? configuration.port) },
                logger: logger)
            // It ends before the web server does, so that answers still reach their clients.
            let group = ServiceGroup(
                configuration: .init(
                    services: [
                        .init(service: application),
                        .init(service: ShutdownService(service: service)),
                    ], gracefulShutdownSignals: signals ? [.sigint, .sigterm] : [],
                    logger: logger))
            let stopper = Task {
                guard let stop else { return }
                for await _ in stop {}
                await group.triggerGracefulShutdown()
            }
            let running = Task { try await group.run() }
            let impatience = Task { if signals { await endAtSecondSignal(running) } }
            defer {
                stopper.cancel()
                impatience.cancel()
            }
            do {
                try await withTaskCancellationHandler {
                    try await running.value
                } onCancel: {
                    running.cancel()
                }
            } catch let error as IOError {
                let place = "\(configuration.host), port \(configuration.port)"
                guard error.errnoCode == EADDRINUSE else {
                    throw StartError("cannot listen at \(place): \(String(cString: strerror(error.errnoCode)))")
                }
                throw StartError("cannot listen at \(place): another program does; choose another port with --port")
            } catch let error as SocketAddressError.UnknownHost {
                throw StartError("cannot listen at '\(error.host)': there is no such host")
            }
        }

        /// Whoever asks twice does not want to wait for answers that may go on: they end with what there is, and after a
        /// moment for their last words to arrive nobody is waited for.
        private func endAtSecondSignal(_ running: Task<Void, any Error>) async {
            var count = 0
            for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) {
                count += 1
                guard count == 2 else { continue }
                await service.abandon()
                try? await Task.sleep(for: .seconds(1))
                running.cancel()
            }
        }

        private func respond(_ request: Request, _ context: ConnectionContext) async -> Response {
            let id = "req-" + Identifiers.random(12)
            var message = ServerRequest(
                id: id, method: request.method.rawValue,
                path: request.uri.path.removingPercentEncoding ?? request.uri.path,
                headers: [:])
            for field in request.headers { message.headers[field.name.canonicalName] = field.value }
            let limit = service.configuration.bodyLimit
            let length = message.headers["content-length"].flatMap { Int($0) }
            do {
                if let length, length > limit { throw APIError.tooLarge(length, limit: limit) }
                for try await piece in request.body {
                    guard message.body.count + piece.readableBytes <= limit else {
                        throw APIError.tooLarge(nil, limit: limit)
                    }
                    message.body += piece.readableBytesView
                }
            } catch let error as APIError {
                // What the client still sends is not read: the connection cannot be used again.
                var reply = error.reply(path: message.path)
                reply.headers += [("connection", "close"), ("x-request-id", id)]
                return response(reply, message)
            } catch {
                return response(APIError.invalid("the request body cannot be read").reply(path: message.path), message)
            }
            let watch = try? await context.channel.pipeline.handler(type: DisconnectWatch.self).get()
            watch?.follow(message.disconnected)
            let reply = await service.reply(to: message)
            // Part of an answer looks whole to a client that has only closed its own side: it gets none.
            if message.wasCut.isSet { context.channel.close(promise: nil) }
            return response(reply, message, isGone: { watch?.isGone ?? false })
        }

        private func response(
            _ reply: ServerReply, _ request: ServerRequest, isGone: @escaping @Sendable () -> Bool = { false }
        ) -> Response {
            var headers = HTTPFields()
            for (name, value) in reply.headers {
                if let name = HTTPField.Name(name) { headers.append(HTTPField(name: name, value: value)) }
            }
            let status = HTTPResponse.Status(code: reply.status)
            switch reply.body {
            case .bytes(let bytes):
                // The length is that of the reply to GET (RFC 9110, 8.6).
                let body =
                    request.method == "HEAD"
                    ? ResponseBody(contentLength: bytes.count) { try await $0.finish(nil) }
                    : ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
                return Response(status: status, headers: headers, body: body)
            case .stream(let stream):
                return Response(
                    status: status, headers: headers,
                    body: ResponseBody { writer in
                        // Leaving this loop by an error ends the stream, and that the job.
                        for await piece in stream {
                            // What comes now is cut, and must not look whole: the connection ends in the middle.
                            if isGone() { throw ChannelError.inputClosed }
                            try await writer.write(ByteBuffer(bytes: piece))
                        }
                        if request.wasCut.isSet { throw ChannelError.inputClosed }
                        try await writer.finish(nil)
                    })
            }
        }
    }

    /// What a request knows of its connection.
    private struct ConnectionContext: InitializableFromSource {
        let channel: any Channel

        init(source: ApplicationRequestContextSource) { channel = source.channel }
    }

    /// Notices that the other side has gone, also while nothing is sent, and closes the connection to one that takes
    /// nothing of what is sent: what waits for it would stay in memory for ever.
    private final class DisconnectWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
        typealias InboundIn = Never

        private struct State {
            var flag: StopFlag?
            var isGone = false
            /// Closes the connection, unless it is cancelled.
            var end: Scheduled<Void>?
        }
        private let state = Mutex(State())
        private let stallLimit: TimeAmount
        private let log: @Sendable (String) -> Void

        init(stallLimit: TimeAmount, log: @escaping @Sendable (String) -> Void) {
            self.stallLimit = stallLimit
            self.log = log
        }

        /// The flag of the request that is being answered.
        func follow(_ flag: StopFlag) {
            let isGone = state.withLock { state in
                state.flag = flag
                return state.isGone
            }
            if isGone { flag.set() }
        }

        var isGone: Bool { state.withLock { $0.isGone } }

        private func tell() {
            state.withLock { state in
                state.isGone = true
                return state.flag
            }?.set()
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .inputClosed? = event as? ChannelEvent { tell() }
            context.fireUserInboundEventTriggered(event)
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            if context.channel.isWritable {
                replaceEnd(with: nil)
            } else {
                let (channel, log) = (context.channel, log)
                replaceEnd(
                    with: channel.eventLoop.scheduleTask(in: stallLimit) {
                        log("a connection is closed: the client takes nothing")
                        channel.close(promise: nil)
                    })
            }
            context.fireChannelWritabilityChanged()
        }

        private func replaceEnd(with end: Scheduled<Void>?) {
            state.withLock { state in
                defer { state.end = end }
                return state.end
            }?.cancel()
        }

        func channelInactive(context: ChannelHandlerContext) {
            replaceEnd(with: nil)
            tell()
            context.fireChannelInactive()
        }
    }

    /// Tells clients that wait for it before they send a long body (`Expect: 100-continue`; RFC 9110, 10.1.1) to go on.
    private final class ContinueHandler: ChannelInboundHandler, RemovableChannelHandler, Sendable {
        typealias InboundIn = HTTPRequestPart
        typealias OutboundOut = HTTPResponsePart

        private let bodyLimit: Int

        init(bodyLimit: Int) { self.bodyLimit = bodyLimit }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if case .head(let request) = unwrapInboundIn(data),
                request.headerFields[.expect]?.lowercased() == "100-continue",
                // A body that is too long is refused unread.
                request.headerFields[.contentLength].flatMap({ Int($0) }) ?? 0 <= bodyLimit
            {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
            context.fireChannelRead(data)
        }
    }

    /// Ends the models' work when the server is told to end.
    private struct ShutdownService: Service {
        let service: InferService

        func run() async throws {
            try? await gracefulShutdown()
            await service.shutDown()
        }
    }
#endif
