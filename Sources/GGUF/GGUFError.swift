#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Why a file could not be read or written: what was found, and what was expected.
package enum GGUFError: Error, Equatable {
    /// A system call failed with `errno` = `code`.
    case io(path: String, operation: String, code: Int32)
    case notARegularFile(path: String)

    // Header
    case notGGUF(found: [UInt8])
    case bigEndian(version: Int)
    case unsupportedVersion(found: Int)
    /// The file ends before `field` does.
    case truncated(field: String, offset: Int, needed: UInt64, available: Int)
    /// `count` things of at least one byte each cannot be in what is left of the file, or are more than the limit.
    case tooMany(field: String, found: UInt64, limit: Int)

    // Metadata
    case keyLength(found: UInt64, limit: Int)
    case invalidUTF8(field: String, offset: Int)
    case duplicateKey(String)
    case unknownValueType(key: String, found: UInt32)
    case arrayTooDeep(key: String, limit: Int)
    case invalidBool(key: String, found: UInt8)
    case missingKey(String)
    case wrongType(key: String, found: String, expected: String)
    case outOfRange(key: String, found: String, expected: String)
    case alignment(found: Int)

    // Tensors
    case tensorNameLength(found: UInt64, limit: Int)
    case duplicateTensor(String)
    case dimensionCount(tensor: String, found: Int, limit: Int)
    case dimension(tensor: String, index: Int, found: UInt64)
    case sizeOverflow(tensor: String, dimensions: [Int])
    case unknownTensorType(tensor: String, found: UInt32)
    case partialBlock(tensor: String, type: GGUFTensorType, rowLength: Int)
    case misalignedTensor(tensor: String, offset: UInt64, alignment: Int)
    case tensorOutOfFile(tensor: String, offset: UInt64, byteCount: Int, available: Int)
    case overlappingTensors(String, String)
    /// Q2_0 as a fork wrote it before ggml took over the number: 34 bytes for 128 values instead of 18 for 64.
    case groupsOf128(tensor: String)

    // Split files
    case splitName(path: String, expected: String)
    case split(path: String, key: String, found: Int, expected: Int)

    // Writing
    case dataSize(tensor: String, found: Int, expected: Int)
}

extension GGUFError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .io(let path, let operation, let code):
            "cannot \(operation) \(quoted(path)): \(String(cString: strerror(code)).lowercased())"
        case .notARegularFile(let path):
            "\(quoted(path)) is not a regular file"
        case .notGGUF(let found):
            "not a GGUF file: starts with \(hex(found)), expected \(hex(GGUFFormat.magic)) (\"GGUF\")"
        case .bigEndian(let version):
            "big-endian GGUF file (version \(version)); only little-endian files can be read"
        case .unsupportedVersion(let found):
            "GGUF version \(found); versions 2 and 3 can be read"
        case .truncated(let field, let offset, let needed, let available):
            "file ends within \(quoted(field)) at offset \(offset): \(needed) bytes needed, \(available) left"
        case .tooMany(let field, let found, let limit):
            "\(quoted(field)): count \(found), but at most \(limit) are possible here"
        case .keyLength(let found, let limit):
            "metadata key of \(found) bytes, expected 1 to \(limit)"
        case .invalidUTF8(let field, let offset):
            "\(quoted(field)) at offset \(offset) is not valid UTF-8"
        case .duplicateKey(let key):
            "metadata key \(quoted(key)) occurs twice"
        case .unknownValueType(let key, let found):
            "metadata key \(quoted(key)): unknown value type \(found), expected 0 to 12"
        case .arrayTooDeep(let key, let limit):
            "metadata key \(quoted(key)): arrays nested more than \(limit) deep"
        case .invalidBool(let key, let found):
            "metadata key \(quoted(key)): bool of value \(found), expected 0 or 1"
        case .missingKey(let key):
            "metadata key \(quoted(key)) is missing"
        case .wrongType(let key, let found, let expected):
            "metadata key \(quoted(key)): found \(found), expected \(expected)"
        case .outOfRange(let key, let found, let expected):
            "metadata key \(quoted(key)): found \(found), expected \(expected)"
        case .alignment(let found):
            "alignment \(found), expected a power of two from \(GGUFLimits.minimumAlignment) to "
                + "\(GGUFLimits.maximumAlignment)"
        case .tensorNameLength(let found, let limit):
            "tensor name of \(found) bytes, expected 1 to \(limit)"
        case .duplicateTensor(let name):
            "tensor \(quoted(name)) occurs twice"
        case .dimensionCount(let tensor, let found, let limit):
            "tensor \(quoted(tensor)): \(found) dimensions, expected 1 to \(limit)"
        case .dimension(let tensor, let index, let found):
            "tensor \(quoted(tensor)): dimension \(index) is \(found), expected 1 to \(Int.max)"
        case .sizeOverflow(let tensor, let dimensions):
            "tensor \(quoted(tensor)): size of \(dimensions) overflows"
        case .unknownTensorType(let tensor, let found):
            "tensor \(quoted(tensor)): unknown type number \(found)"
        case .partialBlock(let tensor, let type, let rowLength):
            "tensor \(quoted(tensor)): rows of \(rowLength) values are not whole blocks of \(type) "
                + "(\(type.blockSize) values)"
        case .misalignedTensor(let tensor, let offset, let alignment):
            "tensor \(quoted(tensor)): offset \(offset) is not a multiple of the alignment \(alignment)"
        case .tensorOutOfFile(let tensor, let offset, let byteCount, let available):
            "tensor \(quoted(tensor)): \(byteCount) bytes at offset \(offset) of a data section of \(available) bytes"
        case .overlappingTensors(let first, let second):
            "tensors \(quoted(first)) and \(quoted(second)) overlap"
        case .groupsOf128(let tensor):
            "tensor \(quoted(tensor)) is Q2_0 in its older layout, one scale for 128 values, which a fork of llama.cpp "
                + "wrote under the number that now means one for 64: the model must be converted anew"
        case .splitName(let path, let expected):
            "\(quoted(path)) is one part of a split file, but is not named \(quoted(expected))"
        case .split(let path, let key, let found, let expected):
            "\(quoted(path)): \(key) is \(found), expected \(expected)"
        case .dataSize(let tensor, let found, let expected):
            "tensor \(quoted(tensor)): \(found) bytes of data, expected \(expected)"
        }
    }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}

/// Text from a file between quotation marks, safe to print.
private func quoted(_ text: String) -> String { "\"\(text.printable(limit: 200))\"" }
