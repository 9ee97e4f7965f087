/// The definition of a weight format: what floats a block's bytes stand for.
///
/// These functions are written to be read and to be tested against, not to be fast; the kernels in C do the work.
/// Layouts are those of ggml's `ggml-common.h`, values those of its `ggml-quants.c`.
package protocol BlockFormat: Sendable {
    /// The block's values, in order.
    static func dequantize(_ block: BlockBytes) -> [Float]
}

/// Little-endian fields of one block.
package struct BlockBytes {
    private let bytes: ArraySlice<UInt8>

    package init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    package subscript(_ offset: Int) -> Int { Int(bytes[bytes.startIndex + offset]) }

    package func int8(_ offset: Int) -> Int { Int(Int8(truncatingIfNeeded: self[offset])) }

    package func uint16(_ offset: Int) -> UInt16 { UInt16(self[offset]) | UInt16(self[offset + 1]) << 8 }

    package func uint32(_ offset: Int) -> UInt32 { UInt32(uint16(offset)) | UInt32(uint16(offset + 2)) << 16 }

    /// Values of four bits from `count` bytes: all low halves, then all high halves.
    package func nibbles(at offset: Int, count: Int) -> [Int] {
        let bytes = (0..<count).map { self[offset + $0] }
        return bytes.map { $0 & 15 } + bytes.map { $0 >> 4 }
    }

    /// Value i of 256 values of two bits: byte 32 h + l holds values 128 h + 32 s + l in its bits 2 s.
    package func bitPair(at offset: Int, of i: Int) -> Int {
        self[offset + 32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4)) & 3
    }

    /// A binary16 value, exactly.
    package func float16(_ offset: Int) -> Float { Float(halfBits: uint16(offset)) }
}

extension Float {
    /// The binary16 value with these bits, exactly; a signalling NaN becomes quiet.
    ///
    /// Not `Float16`, which Swift does not offer on every x86-64 system.
    package init(halfBits bits: UInt16) {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10) & 0x1f
        let fraction = Float(bits & 0x3ff)
        switch exponent {
        case 0: self = sign * fraction * 0x1p-24
        case 31 where fraction == 0: self = sign * .infinity
        case 31:
            self.init(bitPattern: UInt32(bits & 0x8000) << 16 | 0x7fc0_0000 | UInt32(bits & 0x3ff) << 13)
        default: self = sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
        }
    }
}
