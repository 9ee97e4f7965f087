import Engine
import GGUF

/// Turns stored values into numbers, any whole blocks of a tensor, on any thread.
struct TensorDecoder: Sendable {
    private enum Kind {
        case kernel(QuantFormat)
        case float64, int8, int16, int32, int64
    }

    /// Values that are decoded at a time: whole blocks of every format, small enough for the first-level cache.
    static let chunk = 4096
    /// Bytes of memory that decoding a chunk needs, aligned to 64.
    static let scratchBytes = 4 * chunk

    private let kind: Kind
    private let type: GGUFTensorType

    /// Nil for a format that the engine cannot read.
    init?(_ type: GGUFTensorType) {
        self.type = type
        switch type.name {
        case "F64": kind = .float64
        case "I8": kind = .int8
        case "I16": kind = .int16
        case "I32": kind = .int32
        case "I64": kind = .int64
        default:
            guard let format = QuantFormat.find(type) else { return nil }
            kind = .kernel(format)
        }
    }

    /// Decodes `count` values, at most ``chunk`` and whole blocks, beginning with value `first`.
    /// - Parameters:
    ///   - bytes: the tensor's data.
    ///   - scratch: see ``scratchBytes``.
    ///   - values: room for `count` numbers.
    func decode(
        _ bytes: UnsafeRawPointer, first: Int, count: Int, scratch: UnsafeMutableRawPointer,
        into values: UnsafeMutablePointer<Double>
    ) {
        let start = bytes + first / type.blockSize * type.blockBytes
        switch kind {
        case .kernel(let format):
            let floats = scratch.bindMemory(to: Float.self, capacity: count)
            format.dequantize(start, columns: count, into: floats)
            for index in 0..<count { values[index] = Double(floats[index]) }
        case .float64:
            integers(start, count, values) { Double(bitPattern: UInt64(littleEndian: $0)) }
        case .int8: integers(start, count, values) { (value: Int8) in Double(value) }
        case .int16: integers(start, count, values) { Double(Int16(littleEndian: $0)) }
        case .int32: integers(start, count, values) { Double(Int32(littleEndian: $0)) }
        case .int64: integers(start, count, values) { Double(Int64(littleEndian: $0)) }
        }
    }

    private func integers<Stored: FixedWidthInteger>(
        _ start: UnsafeRawPointer, _ count: Int, _ values: UnsafeMutablePointer<Double>,
        _ convert: (Stored) -> Double
    ) {
        for index in 0..<count {
            let offset = index * MemoryLayout<Stored>.size
            values[index] = convert(start.loadUnaligned(fromByteOffset: offset, as: Stored.self))
        }
    }
}
