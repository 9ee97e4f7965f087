package import GGUF

/// A GGUF file as its fields, any of which can lie.
///
/// `GGUFWriter` refuses to write nonsense, so malformed files are made with this. Every field of the result is listed
/// with its place, so that a test can truncate or overwrite the file there.
package struct RawFile: Sendable {
    package struct Entry: Sendable {
        package var key: [UInt8]
        /// Written instead of the key's real length.
        package var keyLength: UInt64?
        package var type: UInt32
        package var payload: [Field]

        package init(_ key: String, _ value: GGUFValue) {
            self.key = Array(key.utf8)
            type = value.type.rawValue
            payload = Field.encoding(value)
        }

        /// A value of a type that need not exist.
        package init(_ key: String, type: UInt32, payload: [UInt8]) {
            self.key = Array(key.utf8)
            self.type = type
            self.payload = [Field(kind: .scalar, bytes: payload)]
        }
    }

    package struct Tensor: Sendable {
        package var name: [UInt8]
        /// Written instead of the name's real length.
        package var nameLength: UInt64?
        /// Written instead of the real number of dimensions.
        package var dimensionCount: UInt32?
        package var dimensions: [UInt64]
        package var type: UInt32
        package var offset: UInt64

        package init(_ name: String, _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
            self.name = Array(name.utf8)
            self.dimensions = dimensions
            self.type = type
            self.offset = offset
        }
    }

    package enum Kind: Sendable {
        case magic, version, tensorCount, entryCount
        case keyLength, key, valueType, scalar, stringLength, string, elementType, arrayCount
        case nameLength, name, dimensionCount, dimension, tensorType, tensorOffset
        case padding, data
    }

    /// One field of the file and, in a serialized file, its place.
    package struct Field: Sendable {
        package var kind: Kind
        package var bytes: [UInt8]
        package var offset = 0
        /// The metadata key or the tensor the field belongs to.
        package var owner = ""

        package init(kind: Kind, bytes: [UInt8]) {
            self.kind = kind
            self.bytes = bytes
        }

        static func integer<Value: FixedWidthInteger>(_ kind: Kind, _ value: Value) -> Field {
            Field(kind: kind, bytes: withUnsafeBytes(of: value.littleEndian, Array.init))
        }

        static func encoding(_ value: GGUFValue) -> [Field] {
            switch value {
            case .uint8(let value): [integer(.scalar, value)]
            case .int8(let value): [integer(.scalar, value)]
            case .uint16(let value): [integer(.scalar, value)]
            case .int16(let value): [integer(.scalar, value)]
            case .uint32(let value): [integer(.scalar, value)]
            case .int32(let value): [integer(.scalar, value)]
            case .uint64(let value): [integer(.scalar, value)]
            case .int64(let value): [integer(.scalar, value)]
            case .float32(let value): [integer(.scalar, value.bitPattern)]
            case .float64(let value): [integer(.scalar, value.bitPattern)]
            case .bool(let value): [Field(kind: .scalar, bytes: [value ? 1 : 0])]
            case .string(let value): string(Array(value.utf8))
            case .array(let array):
                [integer(.elementType, array.elementType.rawValue), integer(.arrayCount, UInt64(array.count))]
                    + (0..<array.count).flatMap { index in
                        array.elementType == .string
                            ? string(Array(array.stringBytes(at: index))) : encoding(array[index])
                    }
            }
        }

        static func string(_ bytes: [UInt8]) -> [Field] {
            [integer(.stringLength, UInt64(bytes.count)), Field(kind: .string, bytes: bytes)]
        }
    }

    package var magic = Array("GGUF".utf8)
    package var version: UInt32 = 3
    /// Written instead of the real counts.
    package var tensorCount: UInt64?
    package var entryCount: UInt64?
    package var entries: [Entry] = []
    package var tensors: [Tensor] = []
    /// Padding before the data; does not write `general.alignment`.
    package var alignment = 32
    package var data: [UInt8] = []

    package init(entries: [Entry] = [], tensors: [Tensor] = [], data: [UInt8] = []) {
        self.entries = entries
        self.tensors = tensors
        self.data = data
    }

    package var bytes: [UInt8] { fields.flatMap { $0.bytes } }

    /// The fields in file order.
    package var fields: [Field] {
        var list = [
            Field(kind: .magic, bytes: magic), .integer(.version, version),
            .integer(.tensorCount, tensorCount ?? UInt64(tensors.count)),
            .integer(.entryCount, entryCount ?? UInt64(entries.count)),
        ]
        for entry in entries {
            var fields: [Field] = [
                .integer(.keyLength, entry.keyLength ?? UInt64(entry.key.count)),
                Field(kind: .key, bytes: entry.key), .integer(.valueType, entry.type),
            ]
            fields += entry.payload
            list += fields.map { $0.owned(by: entry.key) }
        }
        for tensor in tensors {
            var fields: [Field] = [
                .integer(.nameLength, tensor.nameLength ?? UInt64(tensor.name.count)),
                Field(kind: .name, bytes: tensor.name),
                .integer(.dimensionCount, tensor.dimensionCount ?? UInt32(tensor.dimensions.count)),
            ]
            fields += tensor.dimensions.map { .integer(.dimension, $0) }
            fields += [.integer(.tensorType, tensor.type), .integer(.tensorOffset, tensor.offset)]
            list += fields.map { $0.owned(by: tensor.name) }
        }
        let head = list.reduce(0) { $0 + $1.bytes.count }
        if !data.isEmpty {
            let padding = (alignment - head % alignment) % alignment
            list.append(Field(kind: .padding, bytes: [UInt8](repeating: 0, count: padding)))
            list.append(Field(kind: .data, bytes: data))
        }
        var offset = 0
        for index in list.indices {
            list[index].offset = offset
            offset += list[index].bytes.count
        }
        return list
    }
}

extension RawFile.Field {
    fileprivate func owned(by name: [UInt8]) -> Self {
        var copy = self
        copy.owner = String(decoding: name, as: UTF8.self)
        return copy
    }
}

extension RawFile {
    /// A small valid file with every value type and several tensor types; its last byte is tensor data, so that no
    /// proper prefix of it is valid.
    package static let sample: RawFile = {
        let entries: [Entry] = [
            Entry("general.architecture", .string("llama")), Entry("a.uint8", .uint8(1)), Entry("a.int8", .int8(-1)),
            Entry("a.uint16", .uint16(2)), Entry("a.int16", .int16(-2)), Entry("a.uint32", .uint32(3)),
            Entry("a.int32", .int32(-3)), Entry("a.uint64", .uint64(4)), Entry("a.int64", .int64(-4)),
            Entry("a.float32", .float32(0.5)), Entry("a.float64", .float64(0.25)), Entry("a.bool", .bool(true)),
            Entry("b.strings", .array(GGUFArray(["one", "", "three"]))),
            Entry("b.bools", .array(GGUFArray([true, false]))), Entry("b.int32", .array(GGUFArray([Int32(5), 6]))),
            Entry("b.float64", .array(GGUFArray([0.5]))),
            Entry(
                "b.nested",
                .array(GGUFArray([GGUFArray([GGUFArray(["deep"])]), GGUFArray([UInt64(7)])]))),
        ]
        let tensors = [
            Tensor("token_embd.weight", [4, 3], type: 0, offset: 0),
            Tensor("blk.0.a", [32, 1, 2], type: 8, offset: 64),
            Tensor("blk.0.b", [2, 1, 1, 2], type: 1, offset: 160),
        ]
        return RawFile(entries: entries, tensors: tensors, data: (0..<168).map { UInt8($0) })
    }()
}
