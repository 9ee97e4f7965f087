/// Reads one file (or one part of a split file) and checks everything in it.
///
/// Nothing in the file is trusted: a count is compared with the bytes that are left before memory is reserved for it,
/// every product and sum is checked for overflow, and every offset is checked against the end of the file. Work and
/// memory are therefore proportional to the file's metadata, and `GGUFLimits` bounds both for files of any size.
struct GGUFParser {
    /// What one file contains.
    struct Part {
        var version: Int
        var metadata: GGUFMetadata
        var tensors: [GGUFTensor]
        var storage: ByteStorage
    }

    private let storage: ByteStorage
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    /// What is left of `GGUFLimits.arrayElements` and `GGUFLimits.textBytes`.
    private var elementsLeft = GGUFLimits.arrayElements
    private var textLeft = GGUFLimits.textBytes

    static func parse(_ storage: ByteStorage) throws(GGUFError) -> Part {
        var parser = GGUFParser(storage)
        return try parser.part()
    }

    private init(_ storage: ByteStorage) {
        self.storage = storage
        bytes = storage.bytes
    }

    private var remaining: Int { bytes.count - offset }

    // MARK: File

    private mutating func part() throws(GGUFError) -> Part {
        let version = try header()
        let tensorCount = try count("tensor count", minimumBytes: Self.minimumTensorBytes, limit: GGUFLimits.tensors)
        let entryCount = try count(
            "metadata count", minimumBytes: Self.minimumEntryBytes, limit: GGUFLimits.metadataEntries)
        let metadata = try self.metadata(count: entryCount)
        let alignment = try self.alignment(metadata)
        let tensors = try self.tensors(count: tensorCount, alignment: alignment)
        return Part(version: version, metadata: metadata, tensors: tensors, storage: storage)
    }

    /// A key of one byte with a one-byte value.
    private static let minimumEntryBytes = 8 + 1 + 4 + 1
    /// A name of one byte, the number of dimensions, one dimension, type, offset.
    private static let minimumTensorBytes = 8 + 1 + 4 + 8 + 4 + 8

    /// - Returns: the version.
    private mutating func header() throws(GGUFError) -> Int {
        let magic = try take(4, "magic")
        guard magic.elementsEqual(GGUFFormat.magic) else { throw .notGGUF(found: Array(magic)) }
        let version = try integer(UInt32.self, "version")
        // Versions are small numbers, so a file of the other byte order has its low half zero.
        if version != 0, version & 0xffff == 0 { throw .bigEndian(version: Int(version.byteSwapped)) }
        guard GGUFFormat.readableVersions.contains(Int(version)) else { throw .unsupportedVersion(found: Int(version)) }
        return Int(version)
    }

    // MARK: Metadata

    private mutating func metadata(count: Int) throws(GGUFError) -> GGUFMetadata {
        var metadata = GGUFMetadata()
        metadata.reserveCapacity(count)
        for _ in 0..<count {
            let key = try text("metadata key", limit: GGUFLimits.keyBytes) { .keyLength(found: $0, limit: $1) }
            try metadata.append(key, value(key))
        }
        return metadata
    }

    private mutating func value(_ key: String) throws(GGUFError) -> GGUFValue {
        switch try valueType(key) {
        case .uint8: return .uint8(try integer(key))
        case .int8: return .int8(try integer(key))
        case .uint16: return .uint16(try integer(key))
        case .int16: return .int16(try integer(key))
        case .uint32: return .uint32(try integer(key))
        case .int32: return .int32(try integer(key))
        case .uint64: return .uint64(try integer(key))
        case .int64: return .int64(try integer(key))
        case .float32: return .float32(Float(bitPattern: try integer(key)))
        case .float64: return .float64(Double(bitPattern: try integer(key)))
        case .bool: return .bool(try bool(key))
        case .string:
            let range = try lengthAndBytes(key)
            guard let string = String(validating: bytes[range], as: UTF8.self) else {
                throw .invalidUTF8(field: key, offset: range.lowerBound)
            }
            return .string(string)
        case .array:
            return .array(try array(key, depth: 1))
        }
    }

    private mutating func valueType(_ key: String) throws(GGUFError) -> GGUFValueType {
        let number = try integer(UInt32.self, key)
        guard let type = GGUFValueType(rawValue: number) else { throw .unknownValueType(key: key, found: number) }
        return type
    }

    private mutating func bool(_ key: String) throws(GGUFError) -> Bool {
        let byte = try integer(UInt8.self, key)
        guard byte <= 1 else { throw .invalidBool(key: key, found: byte) }
        return byte == 1
    }

    /// Elements stay where they are; strings get an index of their offsets.
    private mutating func array(_ key: String, depth: Int) throws(GGUFError) -> GGUFArray {
        guard depth <= GGUFLimits.arrayDepth else { throw .arrayTooDeep(key: key, limit: GGUFLimits.arrayDepth) }
        let type = try valueType(key)
        let weight = type == .array ? GGUFLimits.weightOfArray : 1
        let count = try self.count(key, minimumBytes: type.minimumByteCount, limit: elementsLeft / weight)
        elementsLeft -= count * weight
        let start = offset
        var stringOffsets: [Int] = []
        var children: [GGUFArray] = []
        switch type {
        case .string:
            stringOffsets.reserveCapacity(count + 1)
            for _ in 0..<count {
                stringOffsets.append(offset)
                _ = try lengthAndBytes(key)
            }
            stringOffsets.append(offset)
        case .array:
            children.reserveCapacity(count)
            for _ in 0..<count { children.append(try array(key, depth: depth + 1)) }
        case .bool:
            for _ in 0..<count { _ = try bool(key) }
        default:
            // The count was checked against the bytes that are left, so the product fits.
            _ = try take(count * type.minimumByteCount, key)
        }
        return GGUFArray(
            elementType: type, count: count, storage: storage, range: start..<offset, stringOffsets: stringOffsets,
            children: children)
    }

    private func alignment(_ metadata: GGUFMetadata) throws(GGUFError) -> Int {
        let alignment = try metadata.int(GGUFFormat.alignmentKey, default: GGUFFormat.defaultAlignment)
        guard GGUFLimits.minimumAlignment...GGUFLimits.maximumAlignment ~= alignment,
            alignment & (alignment - 1) == 0
        else { throw .alignment(found: alignment) }
        return alignment
    }

    // MARK: Tensors

    /// A tensor's entry in the table, before its place in the file is known to be valid.
    private struct Entry {
        let name: String
        let dimensions: [Int]
        let type: GGUFTensorType
        let byteCount: Int
        /// From the start of the data section.
        let offset: UInt64
    }

    private mutating func tensors(count: Int, alignment: Int) throws(GGUFError) -> [GGUFTensor] {
        guard count > 0 else { return [] }
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        for _ in 0..<count { entries.append(try entry()) }

        var names = Set<String>(minimumCapacity: count)
        for entry in entries where !names.insert(entry.name).inserted { throw .duplicateTensor(entry.name) }

        // The data section begins at the next multiple of the alignment.
        guard let dataStart = offset.rounded(upTo: alignment), dataStart <= bytes.count else {
            throw .truncated(
                field: "tensor data", offset: offset, needed: UInt64(alignment - offset % alignment),
                available: remaining)
        }
        let available = bytes.count - dataStart
        var tensors: [GGUFTensor] = []
        tensors.reserveCapacity(count)
        for entry in entries {
            guard entry.offset % UInt64(alignment) == 0 else {
                throw .misalignedTensor(tensor: entry.name, offset: entry.offset, alignment: alignment)
            }
            guard entry.offset <= UInt64(available), entry.byteCount <= available - Int(entry.offset) else {
                if entry.offset <= UInt64(available) {
                    try checkGroups(entry.name, entry.type, entry.byteCount, room: available - Int(entry.offset))
                }
                throw .tensorOutOfFile(
                    tensor: entry.name, offset: entry.offset, byteCount: entry.byteCount, available: available)
            }
            let start = dataStart + Int(entry.offset)
            tensors.append(
                GGUFTensor(
                    name: entry.name, dimensions: entry.dimensions, type: entry.type, storage: storage,
                    range: start..<(start + entry.byteCount)))
        }
        try checkOverlap(tensors)
        return tensors
    }

    private mutating func entry() throws(GGUFError) -> Entry {
        let name = try text("tensor name", limit: GGUFLimits.tensorNameBytes) {
            .tensorNameLength(found: $0, limit: $1)
        }
        let dimensionCount = try integer(UInt32.self, name)
        guard dimensionCount >= 1, dimensionCount <= GGUFLimits.dimensions else {
            throw .dimensionCount(tensor: name, found: Int(dimensionCount), limit: GGUFLimits.dimensions)
        }
        var dimensions: [Int] = []
        for index in 0..<Int(dimensionCount) {
            let size = try integer(UInt64.self, name)
            guard size >= 1, let size = Int(exactly: size) else {
                throw .dimension(tensor: name, index: index, found: size)
            }
            dimensions.append(size)
        }
        let number = try integer(UInt32.self, name)
        guard let type = GGUFTensorType(rawValue: number) else {
            throw .unknownTensorType(tensor: name, found: number)
        }
        let byteCount = try type.byteCount(ofTensor: name, dimensions: dimensions)
        return Entry(
            name: name, dimensions: dimensions, type: type, byteCount: byteCount, offset: try integer(name))
    }

    private func checkOverlap(_ tensors: [GGUFTensor]) throws(GGUFError) {
        let sorted = tensors.sorted { $0.fileOffset < $1.fileOffset }
        for (first, second) in zip(sorted, sorted.dropFirst())
        where first.fileOffset + first.byteCount > second.fileOffset {
            try checkGroups(first.name, first.type, first.byteCount, room: second.fileOffset - first.fileOffset)
            throw .overlappingTensors(first.name, second.name)
        }
    }

    /// A tensor has too little room: does it fit in the older layout of its type?
    private func checkGroups(
        _ name: String, _ type: GGUFTensorType, _ byteCount: Int, room: Int
    ) throws(GGUFError) {
        // 17 bytes instead of 18 for 64 values.
        guard type == .q2_0, byteCount % 36 == 0, byteCount / 18 * 17 <= room else { return }
        throw .groupsOf128(tensor: name)
    }

    // MARK: Primitives

    /// The next `length` bytes, which need not exist.
    private mutating func take(_ length: Int, _ field: @autoclosure () -> String) throws(GGUFError)
        -> UnsafeRawBufferPointer
    {
        guard length <= remaining else {
            throw .truncated(field: field(), offset: offset, needed: UInt64(length), available: remaining)
        }
        defer { offset += length }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + length)])
    }

    private mutating func integer<Value: FixedWidthInteger>(
        _: Value.Type, _ field: @autoclosure () -> String
    ) throws(GGUFError) -> Value {
        let raw = try take(MemoryLayout<Value>.size, field())
        return Value(littleEndian: raw.loadUnaligned(as: Value.self))
    }

    private mutating func integer<Value: FixedWidthInteger>(_ field: String) throws(GGUFError) -> Value {
        try integer(Value.self, field)
    }

    /// A 64-bit count of things that take at least `minimumBytes` each.
    private mutating func count(
        _ field: @autoclosure () -> String, minimumBytes: Int, limit: Int
    ) throws(GGUFError) -> Int {
        let found = try integer(UInt64.self, field())
        let possible = min(limit, remaining / minimumBytes)
        guard found <= UInt64(possible) else { throw .tooMany(field: field(), found: found, limit: possible) }
        return Int(found)
    }

    /// A 64-bit length and as many bytes. The result is where the bytes are.
    private mutating func lengthAndBytes(_ field: @autoclosure () -> String) throws(GGUFError) -> Range<Int> {
        let length = try integer(UInt64.self, field())
        guard length <= UInt64(remaining) else {
            throw .truncated(field: field(), offset: offset, needed: length, available: remaining)
        }
        guard length <= UInt64(textLeft) else { throw .tooMany(field: field(), found: length, limit: textLeft) }
        textLeft -= Int(length)
        let start = offset
        offset += Int(length)
        return start..<offset
    }

    /// A name: not empty, not longer than the limit, UTF-8.
    private mutating func text(
        _ field: String, limit: Int, lengthError: (UInt64, Int) -> GGUFError
    ) throws(GGUFError) -> String {
        let length = try integer(UInt64.self, field)
        guard length >= 1, length <= UInt64(limit) else { throw lengthError(length, limit) }
        let start = offset
        let raw = try take(Int(length), field)
        guard let text = String(validating: raw, as: UTF8.self) else { throw .invalidUTF8(field: field, offset: start) }
        return text
    }
}

extension GGUFTensorType {
    /// Bytes of a tensor's data. `dimensions` must not be empty.
    /// - Throws: `.partialBlock` when a row is not a whole number of blocks, `.sizeOverflow`.
    func byteCount(ofTensor name: String, dimensions: [Int]) throws(GGUFError) -> Int {
        guard dimensions[0] % blockSize == 0 else {
            throw .partialBlock(tensor: name, type: self, rowLength: dimensions[0])
        }
        var elements = 1
        for size in dimensions {
            let (product, overflow) = elements.multipliedReportingOverflow(by: size)
            guard !overflow else { throw .sizeOverflow(tensor: name, dimensions: dimensions) }
            elements = product
        }
        guard let bytes = byteCount(of: elements) else { throw .sizeOverflow(tensor: name, dimensions: dimensions) }
        return bytes
    }
}
