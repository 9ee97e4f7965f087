/// A number format of tensor data, by ggml's number.
///
/// The table holds every type that ggml defines, also those the engine cannot compute with: a file that contains them
/// can still be inspected. A number outside the table cannot be represented, because without a block size nothing
/// about the tensor could be checked.
///
/// Source: `ggml.h` (`enum ggml_type`) and `ggml-common.h` (block structs); `GGML_QUANT_SIZES` of the `gguf` Python
/// package 0.19. Numbers 4, 5, 31–33 and 36–38 belonged to formats that were removed from ggml.
package struct GGUFTensorType: RawRepresentable, Sendable, Hashable {
    /// ggml's number, as it stands in the file.
    package let rawValue: UInt32

    /// - Returns: nil when ggml has no such type.
    package init?(rawValue: UInt32) {
        guard rawValue < Self.table.count, Self.table[Int(rawValue)] != nil else { return nil }
        self.rawValue = rawValue
    }

    /// The type with ggml's spelling of its name ("Q4_K"), letter case ignored.
    package init?(name: String) {
        let wanted = name.uppercased()
        guard let found = Self.all.first(where: { $0.name.uppercased() == wanted }) else { return nil }
        self = found
    }

    private init(known rawValue: UInt32) { self.rawValue = rawValue }

    private var row: Row { Self.table[Int(rawValue)] ?? Row("?", 1, 1) }

    /// ggml's name, for example "Q4_K".
    package var name: String { row.name }
    /// Values in one block; a row's length must be a multiple of it.
    package var blockSize: Int { row.blockSize }
    /// Bytes of one block.
    package var blockBytes: Int { row.blockBytes }
    /// True where a block holds several values.
    package var isQuantized: Bool { blockSize > 1 }

    /// Bytes of `count` values, or nil when that is not a whole number of blocks or does not fit an `Int`.
    package func byteCount(of count: Int) -> Int? {
        guard count >= 0, count % blockSize == 0 else { return nil }
        let (bytes, overflow) = (count / blockSize).multipliedReportingOverflow(by: blockBytes)
        return overflow ? nil : bytes
    }

    /// Every known type in the order of ggml's numbers.
    package static let all: [GGUFTensorType] = table.indices.compactMap { GGUFTensorType(rawValue: UInt32($0)) }

    package static let f32 = GGUFTensorType(known: 0)
    package static let f16 = GGUFTensorType(known: 1)
    package static let q4_0 = GGUFTensorType(known: 2)
    package static let q4_1 = GGUFTensorType(known: 3)
    package static let q5_0 = GGUFTensorType(known: 6)
    package static let q5_1 = GGUFTensorType(known: 7)
    package static let q8_0 = GGUFTensorType(known: 8)
    package static let q2_K = GGUFTensorType(known: 10)
    package static let q3_K = GGUFTensorType(known: 11)
    package static let q4_K = GGUFTensorType(known: 12)
    package static let q5_K = GGUFTensorType(known: 13)
    package static let q6_K = GGUFTensorType(known: 14)
    package static let iq2_XXS = GGUFTensorType(known: 16)
    package static let iq2_XS = GGUFTensorType(known: 17)
    package static let iq3_XXS = GGUFTensorType(known: 18)
    package static let iq1_S = GGUFTensorType(known: 19)
    package static let iq4_NL = GGUFTensorType(known: 20)
    package static let iq3_S = GGUFTensorType(known: 21)
    package static let iq2_S = GGUFTensorType(known: 22)
    package static let iq4_XS = GGUFTensorType(known: 23)
    package static let i8 = GGUFTensorType(known: 24)
    package static let i32 = GGUFTensorType(known: 26)
    package static let iq1_M = GGUFTensorType(known: 29)
    package static let bf16 = GGUFTensorType(known: 30)
    package static let tq1_0 = GGUFTensorType(known: 34)
    package static let tq2_0 = GGUFTensorType(known: 35)
    package static let mxfp4 = GGUFTensorType(known: 39)
    package static let nvfp4 = GGUFTensorType(known: 40)
    package static let q1_0 = GGUFTensorType(known: 41)
    package static let q2_0 = GGUFTensorType(known: 42)

    private struct Row {
        let name: String
        let blockSize: Int
        let blockBytes: Int

        init(_ name: String, _ blockSize: Int, _ blockBytes: Int) {
            self.name = name
            self.blockSize = blockSize
            self.blockBytes = blockBytes
        }
    }

    /// The position is ggml's number.
    private static let table: [Row?] = [
        Row("F32", 1, 4), Row("F16", 1, 2), Row("Q4_0", 32, 18), Row("Q4_1", 32, 20),
        nil, nil, Row("Q5_0", 32, 22), Row("Q5_1", 32, 24),
        Row("Q8_0", 32, 34), Row("Q8_1", 32, 40), Row("Q2_K", 256, 84), Row("Q3_K", 256, 110),
        Row("Q4_K", 256, 144), Row("Q5_K", 256, 176), Row("Q6_K", 256, 210), Row("Q8_K", 256, 292),
        Row("IQ2_XXS", 256, 66), Row("IQ2_XS", 256, 74), Row("IQ3_XXS", 256, 98), Row("IQ1_S", 256, 50),
        Row("IQ4_NL", 32, 18), Row("IQ3_S", 256, 110), Row("IQ2_S", 256, 82), Row("IQ4_XS", 256, 136),
        Row("I8", 1, 1), Row("I16", 1, 2), Row("I32", 1, 4), Row("I64", 1, 8),
        Row("F64", 1, 8), Row("IQ1_M", 256, 56), Row("BF16", 1, 2), nil,
        nil, nil, Row("TQ1_0", 256, 54), Row("TQ2_0", 256, 66),
        nil, nil, nil, Row("MXFP4", 32, 17),
        Row("NVFP4", 64, 36), Row("Q1_0", 128, 18), Row("Q2_0", 64, 18),
    ]
}

extension GGUFTensorType: CustomStringConvertible {
    package var description: String { name }
}
