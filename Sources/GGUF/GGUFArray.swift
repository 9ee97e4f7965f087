/// A metadata array, left in the file and decoded when asked for.
///
/// A vocabulary of a quarter of a million strings costs one offset per string at load time; nothing is copied.
/// The bytes stay valid as long as the array (or its file) exists.
package struct GGUFArray: Sendable {
    package let elementType: GGUFValueType
    package let count: Int

    private let storage: ByteStorage
    /// The encoded elements within `storage`, without the array's own type and count.
    private let range: Range<Int>
    /// For strings: where each one's length stands, and the end of the last one. Kept so that lengths, once checked,
    /// are not read again.
    private let stringOffsets: [Int]
    /// For arrays of arrays.
    private let children: [GGUFArray]

    init(
        elementType: GGUFValueType, count: Int, storage: ByteStorage, range: Range<Int>, stringOffsets: [Int] = [],
        children: [GGUFArray] = []
    ) {
        self.elementType = elementType
        self.count = count
        self.storage = storage
        self.range = range
        self.stringOffsets = stringOffsets
        self.children = children
    }

    /// The elements as they stand in the file.
    var encodedBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage.bytes[range]) }

    /// Element `index`. Strings with invalid UTF-8 are repaired; see `stringBytes(at:)` for the bytes.
    package subscript(index: Int) -> GGUFValue {
        precondition(index >= 0 && index < count, "array index out of range")
        switch elementType {
        case .uint8: return .uint8(scalar(index))
        case .int8: return .int8(scalar(index))
        case .uint16: return .uint16(scalar(index))
        case .int16: return .int16(scalar(index))
        case .uint32: return .uint32(scalar(index))
        case .int32: return .int32(scalar(index))
        case .uint64: return .uint64(scalar(index))
        case .int64: return .int64(scalar(index))
        case .float32: return .float32(Float(bitPattern: scalar(index)))
        case .float64: return .float64(Double(bitPattern: scalar(index)))
        case .bool: return .bool(scalar(index, as: UInt8.self) != 0)
        case .string: return .string(string(at: index))
        case .array: return .array(children[index])
        }
    }

    // MARK: Strings

    /// The bytes of string `index`, not necessarily UTF-8. Valid as long as this array exists.
    /// The array must hold strings.
    package func stringBytes(at index: Int) -> UnsafeRawBufferPointer {
        precondition(elementType == .string && index >= 0 && index < count, "no such string")
        return UnsafeRawBufferPointer(rebasing: storage.bytes[(stringOffsets[index] + 8)..<stringOffsets[index + 1]])
    }

    /// String `index` with invalid UTF-8 replaced by U+FFFD. The array must hold strings.
    package func string(at index: Int) -> String {
        String(decoding: stringBytes(at: index), as: UTF8.self)
    }

    func fileOffset(ofStringAt index: Int) -> Int { stringOffsets[index] + 8 }

    /// All strings, invalid UTF-8 replaced by U+FFFD; nil when the elements are not strings.
    package func strings() -> [String]? {
        guard elementType == .string else { return nil }
        return (0..<count).map { string(at: $0) }
    }

    // MARK: Numbers

    /// All elements of an integer array; nil for other types and when a value exceeds `Int.max`.
    package func ints() -> [Int]? { integers(Int.self) }

    /// All elements of an integer array; nil for other types and when a value does not fit.
    package func int32s() -> [Int32]? { integers(Int32.self) }

    /// All elements of a float array; nil for other types.
    package func floats() -> [Float]? {
        switch elementType {
        case .float32: scalars(UInt32.self).map { Float(bitPattern: $0) }
        case .float64: scalars(UInt64.self).map { Float(Double(bitPattern: $0)) }
        default: nil
        }
    }

    /// All elements of a bool array; nil for other types.
    package func bools() -> [Bool]? {
        elementType == .bool ? scalars(UInt8.self).map { $0 != 0 } : nil
    }

    private func integers<Wanted: FixedWidthInteger>(_: Wanted.Type) -> [Wanted]? {
        switch elementType {
        case .uint8: exactly(UInt8.self)
        case .int8: exactly(Int8.self)
        case .uint16: exactly(UInt16.self)
        case .int16: exactly(Int16.self)
        case .uint32: exactly(UInt32.self)
        case .int32: exactly(Int32.self)
        case .uint64: exactly(UInt64.self)
        case .int64: exactly(Int64.self)
        default: nil
        }
    }

    private func exactly<Stored: FixedWidthInteger, Wanted: FixedWidthInteger>(_: Stored.Type) -> [Wanted]? {
        var values: [Wanted] = []
        values.reserveCapacity(count)
        for index in 0..<count {
            guard let value = Wanted(exactly: scalar(index, as: Stored.self)) else { return nil }
            values.append(value)
        }
        return values
    }

    private func scalars<Stored: FixedWidthInteger>(_: Stored.Type) -> [Stored] {
        (0..<count).map { scalar($0, as: Stored.self) }
    }

    private func scalar<Stored: FixedWidthInteger>(_ index: Int, as _: Stored.Type = Stored.self) -> Stored {
        let offset = range.lowerBound + index * MemoryLayout<Stored>.size
        return Stored(littleEndian: storage.bytes.loadUnaligned(fromByteOffset: offset, as: Stored.self))
    }
}

extension GGUFArray: Equatable {
    package static func == (left: GGUFArray, right: GGUFArray) -> Bool {
        left.elementType == right.elementType && left.count == right.count
            && left.encodedBytes.elementsEqual(right.encodedBytes)
    }
}

// MARK: Arrays made in memory

extension GGUFArray {
    package init(_ values: [String]) { self.init(stringBytes: values.map { Array($0.utf8) }) }

    /// Strings given as bytes, which need not be UTF-8.
    package init(stringBytes values: [[UInt8]]) {
        var bytes: [UInt8] = []
        var offsets: [Int] = []
        for value in values {
            offsets.append(bytes.count)
            bytes.append(littleEndian: UInt64(value.count))
            bytes += value
        }
        offsets.append(bytes.count)
        self.init(
            elementType: .string, count: values.count, storage: ByteStorage(copying: bytes), range: 0..<bytes.count,
            stringOffsets: offsets)
    }

    package init(_ values: [UInt8]) { self.init(.uint8, values) }
    package init(_ values: [UInt32]) { self.init(.uint32, values) }
    package init(_ values: [Int32]) { self.init(.int32, values) }
    package init(_ values: [UInt64]) { self.init(.uint64, values) }
    package init(_ values: [Int64]) { self.init(.int64, values) }
    package init(_ values: [Float]) { self.init(.float32, values.map { $0.bitPattern }) }
    package init(_ values: [Double]) { self.init(.float64, values.map { $0.bitPattern }) }
    package init(_ values: [Bool]) { self.init(.bool, values.map { UInt8($0 ? 1 : 0) }) }

    package init(_ values: [GGUFArray]) {
        var bytes: [UInt8] = []
        for value in values { bytes.append(encoding: value) }
        self.init(
            elementType: .array, count: values.count, storage: ByteStorage(copying: bytes), range: 0..<bytes.count,
            children: values)
    }

    /// Numbers or flags, all of the type `element`; nil where one is not.
    package init?(_ values: [GGUFValue], of element: GGUFValueType) {
        guard element.fixedByteCount != nil, values.allSatisfy({ $0.type == element }) else { return nil }
        var bytes: [UInt8] = []
        for value in values { bytes.append(encoding: value) }
        self.init(
            elementType: element, count: values.count, storage: ByteStorage(copying: bytes), range: 0..<bytes.count)
    }

    private init<Stored: FixedWidthInteger>(_ type: GGUFValueType, _ values: [Stored]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count * MemoryLayout<Stored>.size)
        for value in values { bytes.append(littleEndian: value) }
        self.init(
            elementType: type, count: values.count, storage: ByteStorage(copying: bytes), range: 0..<bytes.count)
    }
}
