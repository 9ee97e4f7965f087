// How values are laid out in a file; the reverse of `GGUFParser`.

extension [UInt8] {
    mutating func append<Value: FixedWidthInteger>(littleEndian value: Value) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    mutating func append(encoding string: String) {
        append(littleEndian: UInt64(string.utf8.count))
        append(contentsOf: string.utf8)
    }

    mutating func append(encoding array: GGUFArray) {
        append(littleEndian: array.elementType.rawValue)
        append(littleEndian: UInt64(array.count))
        append(contentsOf: array.encodedBytes)
    }

    /// The value without its type.
    mutating func append(encoding value: GGUFValue) {
        switch value {
        case .uint8(let value): append(littleEndian: value)
        case .int8(let value): append(littleEndian: value)
        case .uint16(let value): append(littleEndian: value)
        case .int16(let value): append(littleEndian: value)
        case .uint32(let value): append(littleEndian: value)
        case .int32(let value): append(littleEndian: value)
        case .uint64(let value): append(littleEndian: value)
        case .int64(let value): append(littleEndian: value)
        case .float32(let value): append(littleEndian: value.bitPattern)
        case .float64(let value): append(littleEndian: value.bitPattern)
        case .bool(let value): append(value ? 1 : 0)
        case .string(let value): append(encoding: value)
        case .array(let value): append(encoding: value)
        }
    }
}

extension Int {
    /// The next multiple of `alignment`, a power of two, or nil when it does not fit.
    func rounded(upTo alignment: Int) -> Int? {
        let (sum, overflow) = addingReportingOverflow(alignment - 1)
        return overflow ? nil : sum & ~(alignment - 1)
    }
}
