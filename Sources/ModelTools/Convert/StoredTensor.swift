import Engine

/// A tensor of the checkpoint, read row by row as floats.
struct StoredTensor: Sendable {
    let name: String
    let file: SafetensorsFile
    let entry: SafetensorsFile.Entry
    private var scale: BlockScale?

    init(name: String, file: SafetensorsFile, entry: SafetensorsFile.Entry) {
        self.name = name
        self.file = file
        self.entry = entry
    }

    var type: ScalarType { entry.type }
    /// The row length last.
    var shape: [Int] { entry.shape }
    var elementCount: Int { shape.reduce(1, *) }
    /// The last dimension; a vector is one row.
    var columns: Int { shape.last ?? 1 }
    /// The product of the others.
    var rows: Int { shape.dropLast().reduce(1, *) }

    /// FP8 with one factor for each block of rows and columns, for each row, or for all.
    private struct BlockScale: Sendable {
        let values: [Float]
        let perRow: Int
        let blockRows: Int
        let blockColumns: Int
    }

    /// - Parameter blockSize: rows and columns that share a factor, as the configuration says.
    func scaled(by scale: StoredTensor, blockSize: [Int]?) throws(ConvertError) -> StoredTensor {
        guard shape.count >= 2, columns > 0, rows > 0 else {
            throw .tensorShape(name: name, found: shape, expected: [1, 1])
        }
        // The last two dimensions are the matrix; a stack has the factors of each one after another.
        let matrixRows = shape[shape.count - 2]
        var size = [rows, columns]
        if scale.elementCount == rows, scale.shape.last == 1 || scale.shape.count == 1, rows > 1 {
            size = [1, columns]
        } else if scale.elementCount != 1 {
            guard case let given = blockSize ?? [128, 128], given.count == 2, given.allSatisfy({ $0 > 0 }) else {
                throw .config(key: "weight_block_size", found: "\(blockSize ?? [])", expected: "two sizes above 0")
            }
            size = given
            let expected = [(matrixRows + size[0] - 1) / size[0], (columns + size[1] - 1) / size[1]]
            guard scale.shape.suffix(2) == expected[...], scale.rows == rows / matrixRows * expected[0],
                rows == matrixRows || matrixRows.isMultiple(of: size[0])
            else { throw .tensorShape(name: scale.name, found: scale.shape, expected: expected) }
        }
        var values = [Float](repeating: 0, count: scale.elementCount)
        try scale.readAll(into: &values)
        var result = self
        result.scale = BlockScale(
            values: values, perRow: (columns + size[1] - 1) / size[1], blockRows: size[0], blockColumns: size[1])
        return result
    }

    /// All values of a small tensor.
    func readAll(into values: inout [Float]) throws(ConvertError) {
        let outcome = values.withUnsafeMutableBufferPointer { buffer in
            Result<Void, ConvertError> { () throws(ConvertError) in
                guard let target = buffer.baseAddress else { return }
                try read(0..<rows, into: target)
            }
        }
        try outcome.get()
    }

    /// Reads rows as floats.
    /// - Parameter target: room for as many rows of `columns` values.
    func read(_ range: Range<Int>, into target: UnsafeMutablePointer<Float>) throws(ConvertError) {
        let count = range.count * columns
        guard count > 0 else { return }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count * type.byteCount, alignment: 16)
        defer { bytes.deallocate() }
        try file.read(bytes, at: entry.offset + range.lowerBound * columns * type.byteCount)
        try decode(UnsafeRawBufferPointer(bytes), count, into: target)
        guard let scale else { return }
        for row in range {
            let factors = row / scale.blockRows * scale.perRow
            let values = target + (row - range.lowerBound) * columns
            for column in 0..<columns { values[column] *= scale.values[factors + column / scale.blockColumns] }
        }
    }

    /// Reads rows of whole numbers that 32 bits can hold.
    func readIntegers(_ range: Range<Int>, into target: UnsafeMutablePointer<Int32>) throws(ConvertError) {
        let count = range.count * columns
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count * type.byteCount), alignment: 16)
        defer { bytes.deallocate() }
        let used = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(count * type.byteCount)])
        try file.read(used, at: entry.offset + range.lowerBound * columns * type.byteCount)
        for index in 0..<count {
            let wide =
                type == .i64
                ? Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self))
                : Int64(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self)))
            guard let value = Int32(exactly: wide) else {
                throw .tensorType(name: name, found: "\(wide)", expected: "numbers of 32 bits")
            }
            target[index] = value
        }
    }

    private func decode(
        _ bytes: UnsafeRawBufferPointer, _ count: Int, into target: UnsafeMutablePointer<Float>
    ) throws(ConvertError) {
        func load<Bits: FixedWidthInteger>(_ index: Int, as type: Bits.Type) -> Bits {
            Bits(littleEndian: bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self))
        }
        switch type {
        case .f32: for index in 0..<count { target[index] = Float(bitPattern: load(index, as: UInt32.self)) }
        case .bf16:
            for index in 0..<count { target[index] = Float(bitPattern: UInt32(load(index, as: UInt16.self)) << 16) }
        case .f16: for index in 0..<count { target[index] = Float(binary16: load(index, as: UInt16.self)) }
        case .f64: for index in 0..<count { target[index] = Float(Double(bitPattern: load(index, as: UInt64.self))) }
        case .f8e4m3: for index in 0..<count { target[index] = EightBitFloat.e4m3[Int(bytes[index])] }
        case .f8e5m2: for index in 0..<count { target[index] = EightBitFloat.e5m2[Int(bytes[index])] }
        case .f8e8m0: for index in 0..<count { target[index] = EightBitFloat.e8m0[Int(bytes[index])] }
        default: throw .tensorType(name: name, found: type.rawValue, expected: "floating-point numbers")
        }
    }
}

extension Float {
    /// The value of a binary16.
    init(binary16 bits: UInt16) {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10 & 0x1f)
        let mantissa = Float(bits & 0x3ff)
        switch exponent {
        case 0: self = sign * mantissa * 0x1p-24
        case 31: self = mantissa == 0 ? sign * .infinity : .nan
        default:
            self = Float(
                bitPattern: UInt32(bits & 0x8000) << 16 | UInt32(exponent + 112) << 23 | UInt32(bits & 0x3ff) << 13)
        }
    }
}

/// The values of all 256 bytes (Micikevicius et al. 2022, "FP8 formats for deep learning"; OCP MX for the scales).
enum EightBitFloat {
    /// No infinities; 0x7f and 0xff are no numbers.
    static let e4m3 = table(exponentBits: 4, bias: 7) { $0 & 0x7f == 0x7f ? .nan : nil }
    static let e5m2 = table(exponentBits: 5, bias: 15) { byte in
        byte & 0x7c == 0x7c ? (byte & 3 == 0 ? (byte & 0x80 == 0 ? .infinity : -.infinity) : .nan) : nil
    }
    /// A power of two; 0xff is no number.
    static let e8m0: [Float] = (0...255).map {
        $0 == 255 ? .nan : Float(sign: .plus, exponent: $0 - 127, significand: 1)
    }

    private static func table(exponentBits: Int, bias: Int, special: (Int) -> Float?) -> [Float] {
        let mantissaBits = 7 - exponentBits
        return (0...255).map { byte in
            if let value = special(byte) { return value }
            let exponent = byte >> mantissaBits & ((1 << exponentBits) - 1)
            let fraction = Float(byte & ((1 << mantissaBits) - 1)) / Float(1 << mantissaBits)
            let magnitude = Float(
                sign: .plus, exponent: max(exponent, 1) - bias, significand: exponent == 0 ? fraction : 1 + fraction)
            return byte & 0x80 == 0 ? magnitude : -magnitude
        }
    }
}

/// A stack of matrices in MXFP4 as gpt-oss publishes it: blocks [experts, rows, columns / 32, 16], neighbouring
/// elements in one byte with the first in the low half, and scales [experts, rows, columns / 32] (E8M0).
struct PackedTensor: Sendable {
    private let blocks: StoredTensor
    private let scales: StoredTensor
    let shape: [Int]

    init(blocks: StoredTensor, scales: StoredTensor) throws(ConvertError) {
        guard blocks.type == .u8, scales.type == .u8 else {
            throw .tensorType(name: blocks.name, found: blocks.type.rawValue, expected: "U8")
        }
        guard blocks.shape.count >= 3, blocks.shape.last == 16, blocks.elementCount > 0 else {
            throw .tensorShape(name: blocks.name, found: blocks.shape, expected: [1, 1, 1, 16])
        }
        guard scales.shape == Array(blocks.shape.dropLast()) else {
            throw .tensorShape(name: scales.name, found: scales.shape, expected: Array(blocks.shape.dropLast()))
        }
        self.blocks = blocks
        self.scales = scales
        let dimensions = blocks.shape
        shape = Array(dimensions.dropLast(2)) + [dimensions[dimensions.count - 2] * 32]
    }

    var name: String { blocks.name }
    var columns: Int { shape[shape.count - 1] }
    var rows: Int { shape.dropLast().reduce(1, *) }
    /// Bytes of a row in ggml's layout.
    var rowBytes: Int { columns / 32 * 17 }

    /// Reads rows as ggml has them: the scale, then 16 bytes with elements j and j + 16 (`block_mxfp4`).
    func read(_ range: Range<Int>, into target: UnsafeMutableRawPointer) throws(ConvertError) {
        let perRow = columns / 32
        let count = range.count * perRow
        guard count > 0 else { return }
        let source = UnsafeMutableRawBufferPointer.allocate(byteCount: count * 17, alignment: 16)
        defer { source.deallocate() }
        let codes = UnsafeMutableRawBufferPointer(rebasing: source[..<(count * 16)])
        let exponents = UnsafeMutableRawBufferPointer(rebasing: source[(count * 16)...])
        try blocks.file.read(codes, at: blocks.entry.offset + range.lowerBound * perRow * 16)
        try scales.file.read(exponents, at: scales.entry.offset + range.lowerBound * perRow)
        let out = target.assumingMemoryBound(to: UInt8.self)
        for block in 0..<count {
            let to = out + block * 17
            to[0] = exponents[block]
            let from = block * 16
            for index in 0..<8 {
                // Bytes index and index + 8 hold elements 2·index, 2·index + 1 and 16 more.
                let (low, high) = (codes[from + index], codes[from + index + 8])
                to[1 + 2 * index] = low & 15 | high << 4
                to[2 + 2 * index] = low >> 4 | high & 0xf0
            }
        }
    }
}
