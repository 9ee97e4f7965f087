package import GGUF

// Malformed files written by hand, one idea each: header, metadata, tensor table, splits.

extension MalformedCorpus {
    /// The sample after a change.
    private static func changed(
        _ name: String, _ expected: Set<String>, _ change: (inout RawFile) -> Void
    ) -> MalformedCase {
        var file = RawFile.sample
        change(&file)
        return MalformedCase(name, expected, bytes: file.bytes)
    }

    // MARK: Header

    static let header: [MalformedCase] = [
        MalformedCase("empty file", ["truncated"], bytes: []),
        MalformedCase("one byte", ["truncated"], bytes: [0x47]),
        MalformedCase("text file", ["notGGUF"], bytes: Array("# A model card\n".utf8)),
        MalformedCase("zeros", ["notGGUF"], bytes: [UInt8](repeating: 0, count: 4096)),
        MalformedCase("older format GGML", ["notGGUF"], bytes: Array("lmgg".utf8) + [UInt8](repeating: 1, count: 60)),
        changed("magic of the other byte order", ["notGGUF"]) { $0.magic.reverse() },
        changed("version 0", ["unsupportedVersion"]) { $0.version = 0 },
        changed("version 1", ["unsupportedVersion"]) { $0.version = 1 },
        changed("version 4", ["unsupportedVersion"]) { $0.version = 4 },
        changed("big-endian version 2", ["bigEndian"]) { $0.version = UInt32(2).byteSwapped },
        changed("big-endian version 3", ["bigEndian"]) { $0.version = UInt32(3).byteSwapped },
        changed("one entry too many", ["truncated", "keyLength", "unknownValueType", "tensorNameLength"]) {
            $0.entryCount = UInt64($0.entries.count + 1)
        },
        changed("one entry too few", ["dimensionCount", "truncated", "tensorNameLength", "unknownTensorType"]) {
            $0.entryCount = UInt64($0.entries.count - 1)
        },
        changed("one tensor too many", ["tensorNameLength", "truncated"]) {
            $0.tensorCount = UInt64($0.tensors.count + 1)
        },
        changed("more entries than any file has", ["tooMany"]) {
            $0.entryCount = UInt64(GGUFLimits.metadataEntries) + 1
            $0.data = [UInt8](repeating: 0, count: 1 << 20)
        },
        changed("more tensors than any file has", ["tooMany"]) {
            $0.tensorCount = UInt64(GGUFLimits.tensors) + 1
            $0.data = [UInt8](repeating: 0, count: 34 * GGUFLimits.tensors)
        },
    ]

    // MARK: Metadata

    static let metadata: [MalformedCase] =
        [
            changed("duplicate key", ["duplicateKey"]) { $0.entries.append($0.entries[3]) },
            changed("duplicate key with another type", ["duplicateKey"]) {
                $0.entries.append(RawFile.Entry("a.uint8", .string("again")))
            },
            changed("duplicate architecture", ["duplicateKey"]) { $0.entries.append($0.entries[0]) },
            changed("empty key", ["keyLength"]) { $0.entries[1].key = [] },
            changed("key of 65536 bytes", ["keyLength"]) {
                $0.entries[1].key = [UInt8](repeating: 0x61, count: 65_536)
            },
            changed("key is not UTF-8", ["invalidUTF8"]) { $0.entries[1].key = [0x61, 0xff, 0x62] },
            changed("key is cut UTF-8", ["invalidUTF8"]) { $0.entries[1].key = [0x61, 0xe2, 0x82] },
            changed("key is overlong UTF-8", ["invalidUTF8"]) { $0.entries[1].key = [0xc0, 0xaf] },
            changed("key is a surrogate", ["invalidUTF8"]) { $0.entries[1].key = [0xed, 0xa0, 0x80] },
            changed("string is not UTF-8", ["invalidUTF8"]) {
                $0.entries[0].payload = RawFile.Field.string([0x6c, 0xfe, 0x6c])
            },
            changed("bool of value 2", ["invalidBool"]) { $0.entries.append(.init("x", type: 7, payload: [2])) },
            changed("bool of value 255 in an array", ["invalidBool"]) {
                $0.entries.append(.init("x", type: 9, payload: [7, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 255]))
            },
            changed("array of unknown type with no elements", ["unknownValueType"]) {
                $0.entries.append(.init("x", type: 9, payload: [13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
            },
            changed("split count is a string", ["wrongType"]) { $0.entries[0] = .init("split.count", .string("2")) },
        ]
        + [9, 10, 64, 1000, 100_000].map { depth in
            changed("arrays nested \(depth) deep", ["arrayTooDeep"]) {
                let opening: [UInt8] = [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
                let inner: [UInt8] = [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
                let payload = (1..<depth).flatMap { _ in opening } + inner
                $0.entries.append(.init("deep", type: 9, payload: payload))
            }
        }
        + alignments

    private static let alignments: [MalformedCase] = {
        let numbers: [GGUFValue] = [
            .uint32(0), .uint32(1), .uint32(2), .uint32(4), .uint32(3), .uint32(7), .uint32(24), .uint32(33),
            .uint32(48), .uint32(96), .uint32(1000), .uint32(1 << 22), .uint32(1 << 31), .uint32(.max), .int32(-32),
            .int32(.min), .uint64(1 << 32), .uint64(1 << 62), .int64(-1), .uint64(1 << 63), .uint64(.max), .uint8(0),
        ]
        let others: [GGUFValue] = [
            .string("32"), .float32(32), .float64(32), .bool(true), .array(GGUFArray([UInt32(32)])),
        ]
        return numbers.map { value in
            changed("alignment \(value)", ["alignment", "outOfRange"]) {
                $0.entries.append(.init("general.alignment", value))
            }
        }
            + others.map { value in
                changed("alignment of type \(value.typeDescription)", ["wrongType"]) {
                    $0.entries.append(.init("general.alignment", value))
                }
            }
    }()

    // MARK: Tensors

    static let tensors: [MalformedCase] =
        [
            changed("duplicate tensor", ["duplicateTensor"]) { $0.tensors[2].name = $0.tensors[0].name },
            changed("empty tensor name", ["tensorNameLength"]) { $0.tensors[1].name = [] },
            changed("tensor name of 65 bytes", ["tensorNameLength"]) {
                $0.tensors[1].name = [UInt8](repeating: 0x61, count: 65)
            },
            changed("tensor name is not UTF-8", ["invalidUTF8"]) { $0.tensors[1].name = [0x62, 0x80] },
            changed("no dimensions", ["dimensionCount"]) { $0.tensors[0].dimensions = [] },
            changed("five dimensions", ["dimensionCount"]) { $0.tensors[0].dimensions = [1, 1, 1, 1, 1] },
            changed("row is no whole block", ["partialBlock"]) { $0.tensors[1].dimensions = [31, 2] },
            changed("whole blocks only in total", ["partialBlock"]) { $0.tensors[1].dimensions = [16, 4] },
            changed("offset not aligned", ["misalignedTensor"]) { $0.tensors[1].offset = 65 },
            changed("offset at the end", ["tensorOutOfFile"]) { $0.tensors[2].offset = 192 },
            changed("offset beyond the end", ["tensorOutOfFile"]) { $0.tensors[2].offset = 1 << 20 },
            changed("offset + size wraps", ["tensorOutOfFile"]) { $0.tensors[2].offset = .max - 31 },
            changed("offset + data start wraps", ["tensorOutOfFile"]) { $0.tensors[2].offset = 1 << 63 },
            changed("last byte missing", ["tensorOutOfFile"]) { $0.data.removeLast() },
            changed("no data section", ["truncated", "tensorOutOfFile"]) { $0.data = [] },
            changed("same bytes twice", ["overlappingTensors"]) { $0.tensors[2].offset = 0 },
            changed("last row shared", ["overlappingTensors"]) { $0.tensors[0].dimensions = [4, 5] },
            changed("one tensor around all others", ["overlappingTensors"]) { $0.tensors[0].dimensions = [42] },
            changed("Q2_0 with groups of 128", ["groupsOf128"]) {
                // 544 bytes, where groups of 64 would take 576.
                $0.tensors[0].type = GGUFTensorType.q2_0.rawValue
                $0.tensors[0].dimensions = [128, 16]
                $0.data.insert(contentsOf: [UInt8](repeating: 0, count: 480), at: 0)
                for index in 1..<$0.tensors.count { $0.tensors[index].offset += 480 }
            },
            changed("data section starts beyond the file", ["truncated"]) {
                $0.entries.append(.init("general.alignment", .uint32(1 << 20)))
            },
        ] + zeroDimensions + wrappedProducts

    private static let zeroDimensions: [MalformedCase] = (0..<4).map { index in
        changed("dimension \(index) is zero", ["dimension"]) {
            var sizes: [UInt64] = [4, 1, 1, 1]
            sizes[index] = 0
            $0.tensors[0].dimensions = sizes
        }
    }

    /// Sizes whose product is small only because it wraps around 2⁶⁴ (or 2⁶³, or 2³²).
    private static let wrappedProducts: [MalformedCase] = {
        let shapes: [[UInt64]] = [
            [1 << 32, 1 << 32], [1 << 62, 4], [1 << 62, 2, 2], [1 << 61, 1], [1 << 61, 8], [1 << 21, 1 << 21, 1 << 22],
            [1 << 16, 1 << 16, 1 << 16, 1 << 16], [1 << 62, 1], [(1 << 62) + 4, 1], [4, (1 << 61) + 1],
            [(1 << 63) - 1, 2], [(1 << 63) - 1, 1], [4, 1_073_741_823, 1_073_741_825, 1], [4, 1 << 62, 1, 1],
            [1 << 31, 2], [(1 << 32) + 4], [1 << 30, 1 << 30], [1 << 33, 1 << 30, 2, 1],
        ]
        return shapes.flatMap { shape in
            [(UInt32(0), "F32"), (1, "F16"), (24, "I8"), (27, "I64")].map { type, name in
                changed("\(name) tensor of \(shape)", ["sizeOverflow", "tensorOutOfFile"]) {
                    $0.tensors[0].dimensions = shape
                    $0.tensors[0].type = type
                }
            }
        }
            + GGUFTensorType.all.filter(\.isQuantized).map { type in
                changed("\(type) rows whose bytes wrap", ["sizeOverflow", "tensorOutOfFile"]) {
                    let rows = (UInt64(1) << 62) / UInt64(type.blockSize)
                    $0.tensors[0].dimensions = [UInt64(type.blockSize), rows, 2]
                    $0.tensors[0].type = type.rawValue
                }
            }
    }()

    // MARK: Splits

    private static func part(_ entries: [(String, GGUFValue)], tensor: String) -> RawFile {
        RawFile(
            entries: entries.map { RawFile.Entry($0.0, $0.1) }, tensors: [.init(tensor, [4])],
            data: [UInt8](repeating: 0, count: 16))
    }

    /// Two parts; the change gets both.
    private static func split(
        _ name: String, _ expected: Set<String>, open: Int = 0, _ change: (inout [String: RawFile]) -> Void
    ) -> MalformedCase {
        let names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
        var parts: [String: RawFile] = [:]
        for (number, name) in names.enumerated() {
            parts[name] = part(
                [
                    ("split.no", .uint16(UInt16(number))), ("split.count", .uint16(2)),
                    ("split.tensors.count", .int32(2)),
                ], tensor: "t\(number)")
        }
        change(&parts)
        let opened = names[open]
        let files = parts.sorted { ($0.key == opened ? 0 : 1, $0.key) < ($1.key == opened ? 0 : 1, $1.key) }
        return MalformedCase("split: " + name, .parse, expected) {
            files.map { MalformedCase.File(name: $0.key, bytes: $0.value.bytes) }
        }
    }

    private static let first = "m-00001-of-00002.gguf"
    private static let second = "m-00002-of-00002.gguf"

    static let splits: [MalformedCase] = [
        split("second part missing", ["io"]) { $0[second] = nil },
        split("first part missing", ["io"], open: 1) { $0[first] = nil },
        split("second part is the first again (cycle)", ["split"]) { $0[second] = $0[first] },
        split("first part is the second again (cycle)", ["split"], open: 1) { $0[first] = $0[second] },
        split("second part claims another count", ["split"]) { $0[second]?.set("split.count", .uint16(3)) },
        split("second part claims to be alone", ["split"]) { $0[second]?.set("split.count", .uint16(1)) },
        split("second part has no number", ["missingKey"]) { $0[second]?.set("split.no", nil) },
        split("second part has no count", ["missingKey"]) { $0[second]?.set("split.count", nil) },
        split("second part is not GGUF", ["notGGUF"]) { $0[second]?.magic = [0, 1, 2, 3] },
        split("second part cut", ["tensorOutOfFile"]) { $0[second]?.data.removeLast() },
        split("second part empty of data", ["truncated"]) { $0[second]?.data = [] },
        split("tensor in both parts", ["duplicateTensor"]) { $0[second]?.tensors[0].name = Array("t0".utf8) },
        split("total of tensors too high", ["split"]) { $0[first]?.set("split.tensors.count", .int32(3)) },
        split("total of tensors negative", ["split"]) { $0[first]?.set("split.tensors.count", .int32(-1)) },
        split("totals of tensors differ", ["split"]) { $0[second]?.set("split.tensors.count", .int32(1)) },
        split("total of tensors is a string", ["wrongType"]) { $0[first]?.set("split.tensors.count", .string("2")) },
        split("number is a string", ["wrongType"]) { $0[first]?.set("split.no", .string("0")) },
        split("number missing", ["missingKey"]) { $0[first]?.set("split.no", nil) },
        split("number is the count", ["split"]) { $0[first]?.set("split.no", .uint16(2)) },
        split("number negative", ["split"]) { $0[first]?.set("split.no", .int32(-1)) },
        split("number contradicts the name", ["splitName"]) { $0[first]?.set("split.no", .uint16(1)) },
        split("count contradicts the name", ["splitName"]) { $0[first]?.set("split.count", .uint16(9)) },
        split("count huge", ["split"]) { $0[first]?.set("split.count", .uint32(.max)) },
        split("count 65535 and no such files", ["splitName"]) { $0[first]?.set("split.count", .uint16(.max)) },
        split("count wraps", ["outOfRange"]) { $0[first]?.set("split.count", .uint64(.max)) },
        split("count negative", ["split"]) { $0[first]?.set("split.count", .int32(-2)) },
        split("count is an array", ["wrongType"]) { $0[first]?.set("split.count", .array(GGUFArray([Int32(2)]))) },
        MalformedCase("split: part under another name", .parse, ["splitName"]) {
            let entries: [(String, GGUFValue)] = [("split.no", .uint16(0)), ("split.count", .uint16(2))]
            return [MalformedCase.File(name: "model.gguf", bytes: part(entries, tensor: "t").bytes)]
        },
    ]
}

extension RawFile {
    /// Replaces, appends or (nil) removes a key.
    package mutating func set(_ key: String, _ value: GGUFValue?) {
        let position = entries.firstIndex { $0.key == Array(key.utf8) }
        if let position { entries.remove(at: position) }
        if let value { entries.insert(Entry(key, value), at: position ?? entries.count) }
    }
}
