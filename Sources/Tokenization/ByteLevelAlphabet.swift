/// The printable stand-ins for bytes in byte-level vocabularies: bytes that print as themselves in Latin-1 stand for
/// themselves, the others in rising order for U+0100 and up (GPT-2's `encoder.py`, `bytes_to_unicode`).
package enum ByteLevelAlphabet {
    /// The scalar of each byte; all below U+0144, so one or two bytes in UTF-8.
    static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (0...255).map { (byte: UInt32) in
            let isPrintable = (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || byte >= 0xae
            defer { if !isPrintable { next += 1 } }
            return Unicode.Scalar(isPrintable ? byte : next) ?? "\u{fffd}"
        }
    }()

    /// The byte of each scalar value, -1 where the scalar is not in the alphabet.
    private static let bytes: [Int16] = {
        var bytes = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar.value)] = Int16(byte) }
        return bytes
    }()

    /// The stand-ins of a token's bytes.
    package static func text(of bytes: some Sequence<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        for byte in bytes { text.append(scalars[Int(byte)]) }
        return String(text)
    }

    /// Appends the UTF-8 of the stand-ins of `bytes`.
    static func encode(_ bytes: UnsafeRawBufferPointer, into result: inout [UInt8]) {
        for byte in bytes {
            let value = scalars[Int(byte)].value
            if value < 0x80 {
                result.append(UInt8(value))
            } else {
                result.append(UInt8(0xc0 | value >> 6))
                result.append(UInt8(0x80 | value & 0x3f))
            }
        }
    }

    /// The bytes that a token's text stands for. Text outside the alphabet stands for itself, as a whole.
    static func decode(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            var scalar = Int(text[index])
            index += 1
            if scalar >= 0x80 {
                guard scalar & 0xe0 == 0xc0, index < text.endIndex, text[index] & 0xc0 == 0x80 else {
                    return Array(text)
                }
                scalar = (scalar & 0x1f) << 6 | Int(text[index] & 0x3f)
                index += 1
            }
            guard scalar < bytes.count, bytes[scalar] >= 0 else { return Array(text) }
            result.append(UInt8(bytes[scalar]))
        }
        return result
    }
}
