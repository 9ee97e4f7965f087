#if Server
    import HTTPTypes
    import NIOCore
    import NIOHTTP1
    import NIOHTTPTypesHTTP1

    /// Speaks HTTP/1.0 with clients that do: a body whose length is not known ends with the connection, since they know
    /// no chunks (RFC 9112, 6.1), and the connection ends with every reply (9.3). Clients of HTTP/1.1 that close theirs
    /// are told that it closes (9.6).
    final class OldClients: ChannelDuplexHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundIn = HTTPServerResponsePart
        typealias OutboundOut = HTTPServerResponsePart

        private var isOld = false
        private var isLast = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .head(var head) = unwrapInboundIn(data) else { return context.fireChannelRead(data) }
            isOld = head.version.major == 1 && head.version.minor == 0
            isLast = !head.isKeepAlive || isOld
            // Whoever answers asks the request's fields.
            if isLast { head.headers.replaceOrAdd(name: "connection", value: "close") }
            context.fireChannelRead(NIOAny(InboundIn.head(head)))
        }

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            guard case .head(var head) = unwrapOutboundIn(data) else { return context.write(data, promise: promise) }
            if isOld {
                // They know no interim replies either.
                if 100..<200 ~= head.status.code {
                    promise?.succeed()
                    return
                }
                head.version = .http1_0
            }
            if isLast, head.status.code >= 200 { head.headers.replaceOrAdd(name: "connection", value: "close") }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        }
    }

    /// Puts ``OldClients`` where versions are still seen: before the parts of HTTP become those without one.
    final class OldClientsInstaller: ChannelInboundHandler, RemovableChannelHandler, Sendable {
        typealias InboundIn = Never

        func handlerAdded(context: ChannelHandlerContext) {
            let pipeline = context.pipeline.syncOperations
            guard let codec = try? pipeline.handler(type: HTTP1ToHTTPServerCodec.self) else { return }
            try? pipeline.addHandler(OldClients(), position: .before(codec))
        }
    }
#endif
