import ArgumentParser
import Foundation

/// The one way to standard output: what cannot be written ends the program with a message.
///
/// Nothing is buffered: a word appears when it is there, also in a pipe.
enum StandardOutput {
    /// - Throws: `CommandError` where there is no room, for example.
    static func write(_ text: String) throws {
        let code = write(text, to: STDOUT_FILENO)
        guard code != 0 else { return }
        if code == EPIPE { Terminal.endLikeBrokenPipe() }
        throw CommandError("cannot write to standard output: \(String(cString: strerror(code)).lowercased())")
    }

    /// A line of its own.
    static func line(_ text: String = "") throws { try write(text + "\n") }

    /// - Returns: the error number, 0 when all was written.
    static func write(_ text: String, to descriptor: Int32) -> Int32 {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
                if count > 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } else if count < 0, errno == EAGAIN {
                    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&wait, 1, -1)
                } else if count == 0 || errno != EINTR {
                    return count == 0 ? EIO : errno
                }
            }
            return 0
        }
    }
}

/// The one way to read standard input.
enum StandardInput {
    /// Bytes as they come: empty at the end. - Throws: `CommandError`.
    static func chunk() throws -> Data {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(STDIN_FILENO, &bytes, bytes.count)
            if count >= 0 { return Data(bytes.prefix(count)) }
            if errno == EAGAIN {
                var wait = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
                poll(&wait, 1, -1)
            } else if errno != EINTR {
                throw CommandError("cannot read standard input: \(String(cString: strerror(errno)).lowercased())")
            }
        }
    }

    /// Everything up to the end. - Throws: `CommandError`.
    static func all() throws -> Data {
        var data = Data()
        while true {
            let next = try chunk()
            guard !next.isEmpty else { return data }
            data += next
        }
    }
}
