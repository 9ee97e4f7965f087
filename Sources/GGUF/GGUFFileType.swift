/// The names behind `general.file_type`: which recipe gave each tensor its format.
///
/// Source: `enum llama_ftype` in llama.cpp's `include/llama.h`.
package enum GGUFFileType {
    package static let key = "general.file_type"

    /// For example "Q4_K_M" for 15.
    package static func name(_ number: Int) -> String? { names[number] }

    package static func number(_ name: String) -> Int? { names.first { $0.value == name }?.key }

    private static let names: [Int: String] = [
        0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
        12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 25: "IQ4_NL",
        30: "IQ4_XS", 32: "BF16", 38: "MXFP4",
    ]
}
