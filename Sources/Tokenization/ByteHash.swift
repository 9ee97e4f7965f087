/// Hashing of short byte strings and of pairs of ids, for the tables of this module.
///
/// The seed differs from run to run, so that no vocabulary and no text can be made to collide on purpose.
enum ByteHash {
    static let seed = UInt64.random(in: .min ... .max)

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
        return product.high ^ product.low
    }

    @inline(__always)
    static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
        var state = seed ^ UInt64(truncatingIfNeeded: bytes.count)
        var offset = 0
        while bytes.count - offset >= 8 {
            state = mix(state ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        return mix(state ^ tail(bytes, offset)) ^ state
    }

    /// The last, at most seven, bytes from `offset` on as one number.
    @inline(__always)
    private static func tail(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        let count = bytes.count - offset
        if count >= 4 {
            let low = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            let high = bytes.loadUnaligned(fromByteOffset: bytes.count - 4, as: UInt32.self)
            return UInt64(low) | UInt64(high) << 32
        }
        guard count > 0 else { return 0 }
        return UInt64(bytes[offset]) | UInt64(bytes[offset + count / 2]) << 8 | UInt64(bytes[bytes.count - 1]) << 16
    }
}

/// Capacity of an open-addressing table for `count` entries: a power of two, at most half full.
func tableCapacity(_ count: Int) -> Int {
    var capacity = 16
    while capacity < 2 * count { capacity *= 2 }
    return capacity
}
