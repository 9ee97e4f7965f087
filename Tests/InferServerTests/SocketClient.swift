import Foundation

/// A connection on which a test writes and reads bytes as it likes: half requests, early ends, several requests.
final class SocketClient {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private(set) var isClosed = false

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Reply {
        var status = 0
        var headers: [String: String] = [:]
        var body = ""
    }

    /// - Parameter receiveBuffer: bytes that the system takes in before they are read; nil: as many as it likes.
    init(port: Int, receiveBuffer: Int32? = nil) throws {
        #if canImport(Glibc)
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        // A test that waits for ever says nothing.
        var limit = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        if var receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
        }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "cannot connect to port \(port): \(errno)") }
    }

    deinit { close() }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        #if canImport(Glibc)
            _ = Glibc.close(descriptor)
        #else
            _ = Darwin.close(descriptor)
        #endif
    }

    /// Says that nothing more will be sent; replies are still read.
    func closeSending() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// All that comes until the connection ends, in whatever way.
    func readToEnd() throws -> String {
        while (try? readMore()) ?? false {}
        return String(decoding: buffer, as: UTF8.self)
    }

    func write(_ text: String) throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            #if canImport(Glibc)
                let flags = Int32(MSG_NOSIGNAL)
            #else
                let flags: Int32 = 0
            #endif
            let sent = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, flags) }
            guard sent > 0 else { throw Failure(description: "cannot send: \(errno)") }
            rest = rest.dropFirst(sent)
        }
    }

    func writeRequest(_ method: String, _ path: String, body: String = "", headers: [String] = []) throws {
        let lines = ["\(method) \(path) HTTP/1.1", "Host: localhost", "Content-Length: \(body.utf8.count)"] + headers
        try write(lines.joined(separator: "\r\n") + "\r\n\r\n" + body)
    }

    /// More bytes; false at the end of the connection.
    private func readMore() throws -> Bool {
        var piece = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &piece, piece.count, 0)
        guard count >= 0 else { throw Failure(description: "cannot receive: \(errno)") }
        buffer += piece[..<count]
        return count > 0
    }

    /// Reads until `text` has come.
    func wait(for text: String) throws {
        while !String(decoding: buffer, as: UTF8.self).contains(text) {
            guard try readMore() else { throw Failure(description: "the connection ended before '\(text)' came") }
        }
    }

    private func line() throws -> String {
        while true {
            if let end = buffer.firstRange(of: [0x0D, 0x0A]) {
                let line = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
                buffer.removeFirst(end.upperBound)
                return line
            }
            guard try readMore() else { throw Failure(description: "the connection ended within a line") }
        }
    }

    private func bytes(_ count: Int) throws -> [UInt8] {
        while buffer.count < count {
            guard try readMore() else { throw Failure(description: "the connection ended within a body") }
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    /// One whole reply.
    func readReply() throws -> Reply {
        var reply = Reply()
        reply.status = Int(try line().split(separator: " ").dropFirst().first ?? "") ?? 0
        while true {
            let header = try line()
            if header.isEmpty { break }
            let parts = header.split(separator: ":", maxSplits: 1)
            reply.headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        if reply.headers["transfer-encoding"] == "chunked" {
            var body: [UInt8] = []
            while true {
                let size = Int(try line(), radix: 16) ?? 0
                body += try bytes(size)
                _ = try line()
                if size == 0 { break }
            }
            reply.body = String(decoding: body, as: UTF8.self)
        } else if let length = reply.headers["content-length"].flatMap({ Int($0) }) {
            reply.body = String(decoding: try bytes(length), as: UTF8.self)
        }
        return reply
    }
}
