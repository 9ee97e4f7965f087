#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Immutable bytes with one owner: a mapped file, or a copy on the heap for files made in memory.
///
/// The mapping is private and read-only. Deleting or replacing the file by `rename` while it is mapped is harmless,
/// the mapping keeps the old contents. *Shrinking* it in place is not: POSIX delivers SIGBUS for pages beyond the new
/// end, and no check at load time can prevent that. Whoever updates a model file must write a new one and rename it,
/// as `GGUFWriter.write` does. Changing bytes in place may show through; for that reason nothing that was checked
/// once (counts, lengths, offsets) is read from the mapping a second time.
///
/// `@unchecked Sendable`: the bytes are never written and live until `deinit`.
final class ByteStorage: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool

    /// Maps a whole file.
    init(mapping path: String) throws(GGUFError) {
        // O_NONBLOCK: opening a pipe must not wait for a writer; it has no effect on regular files.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .io(path: path, operation: "open", code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .io(path: path, operation: "look at", code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile(path: path) }
        let size = Int(status.st_size)
        isMapped = size > 0
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw .io(path: path, operation: "map", code: errno)
        }
        #if os(Linux)
            // Pages that are still to be read come in pieces of 2 MiB, where the file system can, and are mapped as such.
            _ = madvise(address, size, MADV_HUGEPAGE)
        #endif
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    /// Copies bytes that are already in memory.
    init(copying source: [UInt8]) {
        isMapped = false
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 64)
        copy.copyBytes(from: source)
        bytes = UnsafeRawBufferPointer(copy)
    }

    deinit {
        if isMapped {
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        } else {
            bytes.deallocate()
        }
    }
}
