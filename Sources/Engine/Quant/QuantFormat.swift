package import CKernels
package import GGUF

/// A weight format the engine can multiply with: the C kernels' description plus the readable Swift reference.
///
/// `@unchecked Sendable`: the pointer leads to an immutable constant of the C library that is never freed.
package struct QuantFormat: @unchecked Sendable, Hashable, CustomStringConvertible {
    package let type: GGUFTensorType
    /// The C library's description; what `ck_matmul` and its companions take.
    package let kernel: UnsafePointer<ck_format>
    /// The definition of the format in plain Swift.
    package let reference: any BlockFormat.Type

    /// Every format the engine computes, in rising order of the ggml type number.
    package static let all: [QuantFormat] = references.compactMap { type, reference in
        ck_format_find(type.rawValue).map { QuantFormat(type: type, kernel: $0, reference: reference) }
    }

    private static let references: [(GGUFTensorType, any BlockFormat.Type)] = [
        (.f32, F32.self), (.f16, F16.self), (.q4_0, Q4_0.self), (.q4_1, Q4_1.self), (.q5_0, Q5_0.self),
        (.q5_1, Q5_1.self), (.q8_0, Q8_0.self), (.q2_K, Q2_K.self), (.q3_K, Q3_K.self), (.q4_K, Q4_K.self),
        (.q5_K, Q5_K.self), (.q6_K, Q6_K.self), (.iq2_XXS, IQ2_XXS.self), (.iq2_XS, IQ2_XS.self),
        (.iq3_XXS, IQ3_XXS.self), (.iq1_S, IQ1_S.self), (.iq4_NL, IQ4_NL.self), (.iq3_S, IQ3_S.self),
        (.iq2_S, IQ2_S.self), (.iq4_XS, IQ4_XS.self), (.iq1_M, IQ1_M.self), (.bf16, BF16.self), (.tq1_0, TQ1_0.self),
        (.tq2_0, TQ2_0.self), (.mxfp4, MXFP4.self), (.nvfp4, NVFP4.self), (.q1_0, Q1_0.self), (.q2_0, Q2_0.self),
    ]

    /// The format of a tensor type, or nil when the engine has no kernels for it.
    package static func find(_ type: GGUFTensorType) -> QuantFormat? {
        all.first { $0.type == type }
    }

    /// ggml's name of the type, for example `Q4_K`.
    package var name: String { String(cString: kernel.pointee.name) }
    /// Values per block; a row's length is a multiple of it.
    package var block: Int { Int(kernel.pointee.block) }
    package var blockBytes: Int { Int(kernel.pointee.block_bytes) }
    /// How a product wants its activations prepared.
    package var activation: ck_act { kernel.pointee.act }
    package var description: String { name }

    /// Bytes of a row of `columns` weights; `columns` is a multiple of `block`.
    package func rowBytes(columns: Int) -> Int { columns / block * blockBytes }

    /// One row of weights as floats by the Swift reference. `row`: whole blocks.
    package func dequantize(row: [UInt8]) -> [Float] {
        var values: [Float] = []
        values.reserveCapacity(row.count / blockBytes * block)
        for start in stride(from: 0, to: row.count - blockBytes + 1, by: blockBytes) {
            values += reference.dequantize(BlockBytes(row[start..<start + blockBytes]))
        }
        return values
    }

    /// One row of weights as floats by the kernels.
    /// - Parameters:
    ///   - row: whole blocks of `columns` weights.
    ///   - values: room for `columns` floats.
    package func dequantize(
        _ row: UnsafeRawPointer, columns: Int, into values: UnsafeMutablePointer<Float>
    ) {
        ck_dequantize(kernel, row, columns, values)
    }

    package static func == (a: QuantFormat, b: QuantFormat) -> Bool { a.kernel == b.kernel }
    package func hash(into hasher: inout Hasher) { hasher.combine(kernel) }
}
