#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file that appears under its name only when it is complete.
///
/// Until `commit()` the data is in a temporary file in the same folder; when the object goes away without it, that file
/// is removed, unless it was asked for by name to go on with later.
package final class AtomicFile {
    private let path: String
    private let temporaryPath: String
    private let descriptor: Int32
    private let isKept: Bool
    private var buffer: [UInt8] = []
    private var isOpen = true
    /// Bytes in the file; `buffer` comes behind them.
    private var position = 0
    private var isCommitted = false

    /// Pieces are gathered up to the next multiple of this in the file. Linux then keeps what was written in pages of
    /// 2 MiB, where the file system can (ext4, XFS), and who maps the file soon after needs a 32nd of the page faults.
    private static let chunk = 2 << 20

    /// - Throws: `.notARegularFile` where another kind of file, such as a device, would lose its place, `.io`.
    package init(path: String) throws(GGUFError) {
        try Self.refuseSpecial(path)
        self.path = path
        temporaryPath = "\(path).\(getpid())-\(UInt32.random(in: 0...UInt32.max)).part"
        descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        isKept = false
        guard descriptor >= 0 else { throw .io(path: temporaryPath, operation: "create", code: errno) }
    }

    /// Goes on with `partialPath` where it exists. Without `commit()` it stays, so that a later run can go on.
    /// - Throws: as `init(path:)`, also while another run writes that file.
    init(path: String, partialPath: String) throws(GGUFError) {
        try Self.refuseSpecial(path)
        self.path = path
        temporaryPath = partialPath
        isKept = true
        descriptor = open(partialPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw .io(path: partialPath, operation: "create", code: errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw .io(path: partialPath, operation: "lock", code: errno)
        }
    }

    private static func refuseSpecial(_ path: String) throws(GGUFError) {
        var status = stat()
        guard stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile(path: path) }
    }

    /// What a kept file already holds.
    func existingBytes() throws(GGUFError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .io(path: temporaryPath, operation: "look at", code: errno)
        }
        return Int(status.st_size)
    }

    /// True when the file begins with these bytes.
    func begins(with bytes: [UInt8]) -> Bool {
        var found = [UInt8](repeating: 0, count: bytes.count)
        var done = 0
        while done < found.count {
            let part = found.withUnsafeMutableBytes { bytes in
                bytes.baseAddress.map { pread(descriptor, $0 + done, bytes.count - done, off_t(done)) } ?? 0
            }
            guard part > 0 else { return false }
            done += part
        }
        return found == bytes
    }

    /// Cuts a kept file to its first `length` bytes; what is written next comes behind them.
    func truncate(to length: Int) throws(GGUFError) {
        guard ftruncate(descriptor, off_t(length)) == 0, lseek(descriptor, off_t(length), SEEK_SET) >= 0 else {
            throw .io(path: temporaryPath, operation: "cut", code: errno)
        }
        position = length
    }

    package func write(_ bytes: UnsafeRawBufferPointer) throws(GGUFError) {
        var rest = bytes
        while !rest.isEmpty {
            let room = Self.chunk - (position + buffer.count) % Self.chunk
            var taken = min(room, rest.count)
            if room == Self.chunk && rest.count >= room {
                taken = rest.count / room * room
                try writeAll(UnsafeRawBufferPointer(rebasing: rest[..<taken]))
            } else {
                buffer.append(contentsOf: rest[..<taken])
                if taken == room { try flush() }
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
        }
    }

    /// Makes the data durable. Nothing can be written any more; `commit()` is all that is left to do.
    func finish() throws(GGUFError) {
        guard isOpen else { return }
        try flush()
        guard fsync(descriptor) == 0 else { throw .io(path: temporaryPath, operation: "sync", code: errno) }
        close(descriptor)
        isOpen = false
    }

    /// Makes the data durable and gives the file its name.
    package func commit() throws(GGUFError) {
        try finish()
        guard rename(temporaryPath, path) == 0 else { throw .io(path: path, operation: "rename to", code: errno) }
        isCommitted = true
    }

    /// Takes a file away that has its name already, because another one that belongs to it could not get its own.
    func withdraw() {
        if isCommitted { unlink(path) }
    }

    private func flush() throws(GGUFError) {
        let pending = buffer
        buffer.removeAll(keepingCapacity: true)
        // A closure cannot rethrow a typed error here, so the outcome travels as a value.
        let outcome = pending.withUnsafeBytes { bytes in
            Result<Void, GGUFError> { () throws(GGUFError) in try writeAll(bytes) }
        }
        try outcome.get()
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer) throws(GGUFError) {
        var rest = bytes
        while let start = rest.baseAddress, rest.count > 0 {
            let written = Self.systemWrite(descriptor, start, rest.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw .io(path: temporaryPath, operation: "write", code: errno)
            }
            position += written
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// The system's `write`, which the method of that name hides.
    private static func systemWrite(_ descriptor: Int32, _ start: UnsafeRawPointer, _ count: Int) -> Int {
        #if canImport(Glibc)
            Glibc.write(descriptor, start, count)
        #elseif canImport(Musl)
            Musl.write(descriptor, start, count)
        #else
            Darwin.write(descriptor, start, count)
        #endif
    }

    deinit {
        // What a kept file lacks has to be made again.
        if isKept, isOpen { try? flush() }
        if isOpen { close(descriptor) }
        if !isCommitted, !isKept { unlink(temporaryPath) }
    }
}
