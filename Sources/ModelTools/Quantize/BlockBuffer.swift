import Engine

/// Bytes of one block as they are put together; everything little-endian.
struct BlockBuffer {
    let bytes: UnsafeMutablePointer<UInt8>

    subscript(_ offset: Int) -> UInt8 {
        get { bytes[offset] }
        nonmutating set { bytes[offset] = newValue }
    }

    func storeHalf(_ value: Float, at offset: Int) {
        let bits = value.halfBits
        bytes[offset] = UInt8(truncatingIfNeeded: bits)
        bytes[offset + 1] = UInt8(truncatingIfNeeded: bits >> 8)
    }
}

extension Float {
    /// The nearest binary16, ties to even; beyond its range infinity.
    var halfBits: UInt16 {
        let sign = UInt16(truncatingIfNeeded: bitPattern >> 16) & 0x8000
        let magnitude = bitPattern & 0x7fff_ffff
        if magnitude > 0x7f80_0000 { return sign | 0x7e00 }
        // From half a unit above 65504 on.
        if magnitude >= 0x477f_f000 { return sign | 0x7c00 }
        // Below 2^-14 the unit is 2^-24: the addition rounds at that place.
        if magnitude < 0x3880_0000 {
            return sign | UInt16(truncatingIfNeeded: (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3f00_0000)
        }
        let rounded = magnitude + 0xfff + (magnitude >> 13 & 1)
        return sign | UInt16(truncatingIfNeeded: (rounded - 0x3800_0000) >> 13)
    }

    /// The nearest bfloat16, ties to even.
    var bfloat16Bits: UInt16 {
        if isNaN { return UInt16(truncatingIfNeeded: bitPattern >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bitPattern &+ 0x7fff &+ (bitPattern >> 16 & 1)) >> 16)
    }

    /// The value as binary16 keeps it; beyond its range the largest finite one, because a scale must stay a number.
    var roundedToHalf: Float { Float(halfBits: Swift.min(Swift.max(self, -65504), 65504).halfBits) }
}
