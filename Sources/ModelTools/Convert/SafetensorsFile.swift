import ChatTemplates

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// How a safetensors file stores numbers.
enum ScalarType: String, Sendable {
    case f64 = "F64"
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"
    case f8e4m3 = "F8_E4M3"
    case f8e5m2 = "F8_E5M2"
    case f8e8m0 = "F8_E8M0"
    case u8 = "U8"
    case i8 = "I8"
    case bool = "BOOL"
    case u16 = "U16"
    case i16 = "I16"
    case u32 = "U32"
    case i32 = "I32"
    case u64 = "U64"
    case i64 = "I64"

    var byteCount: Int {
        switch self {
        case .f64, .u64, .i64: 8
        case .f32, .u32, .i32: 4
        case .f16, .bf16, .u16, .i16: 2
        case .f8e4m3, .f8e5m2, .f8e8m0, .u8, .i8, .bool: 1
        }
    }

    var isFloat: Bool {
        switch self {
        case .f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2, .f8e8m0: true
        default: false
        }
    }
}

/// One file of weights in the safetensors format, open for reading.
///
/// Eight bytes tell the length of a JSON header; it lists each tensor's type, shape and place in the bytes behind it.
/// Data are read when asked for and never mapped, so memory stays small and a file that shrinks is an error, not a
/// signal. Source: the format's description in the safetensors repository (README.md).
///
/// `@unchecked Sendable`: the descriptor is only read at stated places, which any thread may do.
final class SafetensorsFile: @unchecked Sendable {
    struct Entry: Sendable {
        let type: ScalarType
        /// The contiguous dimension last; empty for a single number.
        let shape: [Int]
        /// From the beginning of the file.
        let offset: Int
        let byteCount: Int
    }

    let path: String
    let entries: [String: Entry]
    private let descriptor: Int32

    /// The format's own limit.
    private static let largestHeader = 100_000_000

    /// - Throws: `ConvertError.file`, `.format`.
    init(path: String) throws(ConvertError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .file(path: path, reason: String(cString: strerror(errno))) }
        do throws(ConvertError) {
            entries = try Self.readHeader(descriptor, path)
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    /// Fills `target` from `offset` on.
    /// - Throws: `ConvertError.file` when the file ends before, which it did not when it was opened.
    func read(_ target: UnsafeMutableRawBufferPointer, at offset: Int) throws(ConvertError) {
        try Self.read(descriptor, target, at: offset, path)
    }

    private static func read(
        _ descriptor: Int32, _ target: UnsafeMutableRawBufferPointer, at offset: Int, _ path: String
    ) throws(ConvertError) {
        var done = 0
        while done < target.count, let start = target.baseAddress {
            let count = pread(descriptor, start + done, target.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .file(path: path, reason: String(cString: strerror(errno))) }
            guard count > 0 else {
                throw .file(path: path, reason: "ends at byte \(offset + done), expected \(target.count - done) more")
            }
            done += count
        }
    }

    // MARK: The header

    private static func readHeader(_ descriptor: Int32, _ path: String) throws(ConvertError) -> [String: Entry] {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .file(path: path, reason: "not a regular file")
        }
        let size = Int(status.st_size)
        var lengthBytes = [UInt8](repeating: 0, count: 8)
        guard size >= 8 else {
            throw .format(path: path, field: "the size", found: "\(size) bytes", expected: "at least 8")
        }
        try lengthBytes.fill { bytes throws(ConvertError) in try read(descriptor, bytes, at: 0, path) }
        let stated = lengthBytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard stated <= UInt64(min(largestHeader, size - 8)) else {
            throw .format(
                path: path, field: "the header's length", found: "\(stated)",
                expected: "at most \(min(largestHeader, size - 8)) bytes")
        }
        var header = [UInt8](repeating: 0, count: Int(stated))
        try header.fill { bytes throws(ConvertError) in try read(descriptor, bytes, at: 8, path) }
        let object = try JSONFile.parse(header, path: "\(path), header")
        var entries: [String: Entry] = [:]
        entries.reserveCapacity(object.count)
        let start = 8 + Int(stated)
        for (name, value) in object.members where name != "__metadata__" {
            entries[name] = try entry(value, name, path, dataStart: start, fileSize: size)
        }
        try refuseOverlaps(entries, path)
        return entries
    }

    private static func entry(
        _ value: JSONValue, _ name: String, _ path: String, dataStart: Int, fileSize: Int
    ) throws(ConvertError) -> Entry {
        func fault(_ field: String, _ found: String, _ expected: String) -> ConvertError {
            .format(path: path, field: "\(field) of \"\(name.prefix(200))\"", found: found, expected: expected)
        }
        guard let text = value["dtype"]?.stringValue, let type = ScalarType(rawValue: text) else {
            throw fault("dtype", "\(value["dtype"]?.stringValue ?? "nothing")", "F32, BF16, F16, F8_E4M3 …")
        }
        guard let shape = value["shape"]?.arrayValue?.map({ $0.intValue ?? -1 }), shape.count <= 8,
            shape.allSatisfy({ $0 >= 0 })
        else { throw fault("shape", "something else", "up to 8 whole numbers") }
        guard let offsets = value["data_offsets"]?.arrayValue?.map({ $0.intValue ?? -1 }), offsets.count == 2,
            offsets[0] >= 0, offsets[1] >= offsets[0]
        else { throw fault("data_offsets", "something else", "a begin and an end") }
        var bytes = type.byteCount
        for size in shape {
            let (product, overflow) = bytes.multipliedReportingOverflow(by: size)
            guard !overflow else { throw fault("shape", "\(shape)", "a product within 64 bits") }
            bytes = product
        }
        guard offsets[1] - offsets[0] == bytes else {
            throw fault("data_offsets", "\(offsets[1] - offsets[0]) bytes", "\(bytes) for \(text) \(shape)")
        }
        guard offsets[1] <= fileSize - dataStart else {
            throw fault(
                "the end", "\(offsets[1])", "at most \(fileSize - dataStart): the file is cut off or damaged")
        }
        return Entry(type: type, shape: shape, offset: dataStart + offsets[0], byteCount: bytes)
    }

    private static func refuseOverlaps(_ entries: [String: Entry], _ path: String) throws(ConvertError) {
        var end = 0
        for (name, entry) in entries.sorted(by: { ($0.value.offset, $0.key) < ($1.value.offset, $1.key) })
        where entry.byteCount > 0 {
            guard entry.offset >= end else {
                throw .format(
                    path: path, field: "data_offsets of \"\(name.prefix(200))\"", found: "within another tensor's",
                    expected: "bytes of its own")
            }
            end = entry.offset + entry.byteCount
        }
    }
}

extension [UInt8] {
    /// Lets `body` write all bytes.
    mutating func fill(
        _ body: (UnsafeMutableRawBufferPointer) throws(ConvertError) -> Void
    ) throws(ConvertError) {
        // The standard library's closure cannot rethrow a typed error, so the outcome travels as a value.
        let outcome = withUnsafeMutableBytes { bytes in
            Result<Void, ConvertError> { () throws(ConvertError) in try body(bytes) }
        }
        try outcome.get()
    }
}
