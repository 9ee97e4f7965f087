#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Zeroed private pages from the system: address space that costs nothing until it is written.
package final class MappedMemory: @unchecked Sendable {
    package let pointer: UnsafeMutableRawPointer
    package let count: Int

    /// nil when the system refuses that much address space.
    ///
    /// - Parameter hugePages: asks for 2 MiB pages, for memory that will be used from end to end.
    package init?(trying bytes: Int, hugePages: Bool) {
        let length = max(bytes, 1)
        #if canImport(Glibc)
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        #else
            let flags = MAP_PRIVATE | MAP_ANON
        #endif
        guard let mapped = mmap(nil, length, PROT_READ | PROT_WRITE, flags, -1, 0), mapped != MAP_FAILED else {
            return nil
        }
        pointer = mapped
        count = length
        #if canImport(Glibc)
            if hugePages && length >= 4 << 20 { _ = madvise(mapped, length, MADV_HUGEPAGE) }
        #endif
    }

    /// For sizes that the engine itself has chosen.
    package static func reserve(_ bytes: Int) -> MappedMemory {
        guard let memory = MappedMemory(trying: bytes, hugePages: true) else {
            preconditionFailure("no address space for \(bytes) bytes")
        }
        return memory
    }

    deinit { munmap(pointer, count) }

    func zero() { memset(pointer, 0, count) }

    func copy() -> MappedMemory {
        let other = MappedMemory.reserve(count)
        memcpy(other.pointer, pointer, count)
        return other
    }

    func fill(from other: MappedMemory) {
        precondition(other.count == count)
        memcpy(pointer, other.pointer, count)
    }
}
