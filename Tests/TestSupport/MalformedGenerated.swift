// Variants made by rule from one valid file: cut at every field, and every field overwritten.

extension MalformedCorpus {
    /// The sample cut before, within and after every field.
    static let truncations: [MalformedCase] = {
        let bytes = RawFile.sample.bytes
        var lengths: [Int: String] = [:]
        for field in RawFile.sample.fields {
            for length in [field.offset, field.offset + 1, field.offset + field.bytes.count - 1]
            where 0..<bytes.count ~= length {
                lengths[length] = "\(field.kind) of '\(field.owner)'"
            }
        }
        return lengths.sorted { $0.key < $1.key }.map { length, place in
            MalformedCase(
                "cut to \(length) bytes, at \(place)", ["truncated", "tooMany", "tensorOutOfFile"],
                bytes: Array(bytes[..<length]))
        }
    }()

    /// Every count, length, size, type and offset of the sample with values it cannot have.
    static let overwrittenFields: [MalformedCase] = {
        let bytes = RawFile.sample.bytes
        return RawFile.sample.fields.flatMap { field in
            field.impossibleValues.map { value in
                var copy = bytes
                let width = field.bytes.count
                withUnsafeBytes(of: value.littleEndian) {
                    copy.replaceSubrange(field.offset..<(field.offset + width), with: $0[..<width])
                }
                return MalformedCase("\(field.kind) of '\(field.owner)' at \(field.offset) = \(value)", bytes: copy)
            }
        }
    }()

    /// Around the borders of signed, unsigned, 32-bit and 64-bit numbers, and where products wrap.
    private static let huge: [UInt64] = [
        1 << 31, 1 << 32 - 1, 1 << 32, 1 << 40 + 1, 1 << 60, 1 << 61, 1 << 62, 1 << 63 - 1, 1 << 63, .max - 31, .max,
    ]

    fileprivate static func impossibleValues(_ kind: RawFile.Kind) -> [UInt64] {
        switch kind {
        case .tensorCount, .entryCount, .stringLength, .arrayCount: huge
        case .keyLength: [0, 65_536] + huge
        case .nameLength: [0, 65, 128] + huge
        case .dimension: [0] + huge
        case .tensorOffset: [1, 8, 31, 4096] + huge
        case .dimensionCount: [0, 5, 8, 255, 1 << 16, 1 << 31, 1 << 32 - 1]
        case .valueType, .elementType: [13, 14, 255, 256, 1 << 16, 1 << 31, 1 << 32 - 1]
        case .tensorType: [4, 5, 31, 32, 33, 36, 37, 38, 43, 255, 1 << 16, 1 << 31 - 1, 1 << 31, 1 << 32 - 1]
        case .version: [0, 1, 4, 5, 255, 1 << 16, 1 << 24, 2 << 24, 3 << 24, 1 << 32 - 1]
        case .magic: [0, 0x4655_4746, 0x4c4d_4747, 0x4655_4767, 0x4747_5546, 1 << 32 - 1]
        case .key, .name, .scalar, .string, .padding, .data: []
        }
    }
}

extension RawFile.Field {
    fileprivate var impossibleValues: [UInt64] { MalformedCorpus.impossibleValues(kind) }
}
