#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A view of `count` floats: a norm weight, a bias. The bytes belong to the mapped file or to a ``FloatBuffer``.
package struct FloatVector: @unchecked Sendable {
    package let pointer: UnsafePointer<Float>
    package let count: Int

    package init(_ pointer: UnsafePointer<Float>, count: Int) {
        self.pointer = pointer
        self.count = count
    }
}

/// Floats owned by the engine, aligned to 64 bytes: small tensors that are not stored as aligned F32 in the file,
/// or whose layout is changed at load.
package final class FloatBuffer: @unchecked Sendable {
    package let pointer: UnsafeMutablePointer<Float>
    package let count: Int

    /// `count` zeros.
    package init(count: Int) {
        precondition(count >= 0)
        let raw = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * 4, alignment: 64)
        pointer = raw.bindMemory(to: Float.self, capacity: max(count, 1))
        pointer.initialize(repeating: 0, count: max(count, 1))
        self.count = count
    }

    package convenience init(_ values: some Collection<Float>) {
        self.init(count: values.count)
        for (index, value) in values.enumerated() { pointer[index] = value }
    }

    deinit { UnsafeMutableRawPointer(pointer).deallocate() }

    /// A view; the buffer must outlive it.
    package var vector: FloatVector { FloatVector(pointer, count: count) }
}
