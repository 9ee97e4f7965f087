import CKernels
import Engine
import Foundation
import GGUF
import TestSupport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Bytes that end at an unreadable page, so that reading past a tensor's end stops the test.
final class GuardedBytes {
    private let map: UnsafeMutableRawPointer
    private let mapSize: Int
    let start: UnsafeMutableRawPointer

    init(_ bytes: [UInt8]) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let dataSize = (bytes.count + page - 1) / page * page
        mapSize = dataSize + page
        guard let map = mmap(nil, mapSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            map != MAP_FAILED, mprotect(map + dataSize, page, PROT_NONE) == 0
        else { preconditionFailure("no memory for a test") }
        self.map = map
        start = map + dataSize - bytes.count
        start.copyMemory(from: bytes, byteCount: bytes.count)
    }

    deinit { munmap(map, mapSize) }
}

/// Memory aligned for the kernels.
final class AlignedBytes {
    let start: UnsafeMutableRawPointer

    init(count: Int) {
        start = .allocate(byteCount: max(count, 64), alignment: 64)
        start.initializeMemory(as: UInt8.self, repeating: 0xa5, count: max(count, 64))
    }

    deinit { start.deallocate() }
}

/// How a test fills weight blocks.
enum BlockFill: CaseIterable {
    /// Scales of ordinary size.
    case ordinary
    /// Any bits in any field, infinite and NaN scales included.
    case hostile
    /// Every bit set outside the float fields, and activations of one sign: the largest sums unsigned bytes can make.
    case ones
    /// The same with only the highest bit of each byte: the most negative int8.
    case signs
    /// Products around the smallest normal float, subnormal operands included.
    case tiny

    /// The byte that fills a block, nil for random bytes.
    var byte: UInt8? {
        switch self {
        case .ordinary, .hostile, .tiny: nil
        case .ones: 0xff
        case .signs: 0x80
        }
    }
}

/// A weight matrix and prepared activations; products of any part of them.
final class QuantCase {
    let format: QuantFormat
    let rows: Int
    let columns: Int
    let tokens: Int
    let weightBytes: [UInt8]
    let activations: [Float]
    private let weights: GuardedBytes
    private let prepared: AlignedBytes
    private let scratch: AlignedBytes
    private let stride: Int

    init(_ format: QuantFormat, rows: Int, columns: Int, tokens: Int, fill: BlockFill, seed: UInt64 = 1) {
        var random = SeededRandom(seed: seed &+ UInt64(format.type.rawValue) &* 1000 &+ UInt64(columns))
        self.format = format
        self.rows = rows
        self.columns = columns
        self.tokens = tokens
        weightBytes = Self.weights(format, rows * columns / format.block, fill, &random)
        activations =
            fill.byte == nil
            ? random.floats(tokens * columns, scale: fill == .tiny ? 0x1p-63 : 3)
            : (0..<tokens * columns).map { $0 / columns % 2 == 0 ? 1 : -1 }
        weights = GuardedBytes(weightBytes)
        stride = ck_act_row_bytes(format.activation, columns)
        prepared = AlignedBytes(count: stride * tokens)
        scratch = AlignedBytes(count: ck_matmul_scratch_bytes(format.kernel, columns))
        for t in 0..<tokens {
            activations.withUnsafeBufferPointer { x in
                guard let base = x.baseAddress else { return }
                ck_quantize_with(
                    CK_ISA_SCALAR, format.activation, base + t * columns, columns, prepared.start + t * stride)
            }
        }
    }

    static func weights(
        _ format: QuantFormat, _ blocks: Int, _ fill: BlockFill, _ random: inout SeededRandom
    ) -> [UInt8] {
        var bytes = (0..<blocks * format.blockBytes).map { _ in
            fill.byte ?? UInt8.random(in: 0...255, using: &random)
        }
        guard fill != .hostile else { return bytes }
        for block in 0..<blocks {
            let start = block * format.blockBytes
            for offset in format.highScaleBytes {
                // Magnitudes about 2^-7…2^-4 for binary16 and bfloat16, any sign.
                let byte = bytes[start + offset]
                if fill == .tiny && format.isWideExponent {
                    // 2^-126…2^-120, below, and 2^-63…2^-56.
                    bytes[start + offset] = byte & 0xa3
                } else {
                    bytes[start + offset] = byte & 0x83 | (format.isWideExponent ? 0x3c : 0x20)
                }
            }
            // Its upper half is the highest quarter of a binary16.
            if format.type == .iq1_M { bytes[start + 55] = bytes[start + 55] & 0x8f | 0x20 }
            if format.type == .mxfp4 { bytes[start] = UInt8.random(in: 118...126, using: &random) }
        }
        return bytes
    }

    /// Output [token][row] of a part of the rows and the listed tokens.
    func product(
        _ isa: InstructionSet, rows range: Range<Int>? = nil, tokens list: Range<Int>? = nil, gather: [Int32]? = nil
    ) -> [Float] {
        let range = range ?? 0..<rows
        let list = list ?? 0..<tokens
        let count = gather?.count ?? list.count
        var y = [Float](repeating: 7, count: count * (range.count + 1))
        y.withUnsafeMutableBufferPointer { out in
            guard let base = out.baseAddress else { return }
            ck_matmul_with(
                isa.kernel, format.kernel, weights.start + range.lowerBound * format.rowBytes(columns: columns),
                range.count, columns, prepared.start + list.lowerBound * stride, stride, gather, count, base,
                range.count + 1, scratch.start)
        }
        for t in 0..<count { precondition(y[t * (range.count + 1) + range.count] == 7, "wrote past the rows") }
        return (0..<count).flatMap { t in y[t * (range.count + 1)..<t * (range.count + 1) + range.count] }
    }
}

extension QuantFormat {
    /// The bytes with the exponents of the float fields.
    var highScaleBytes: [Int] {
        switch type {
        case .f32: [3]
        case .f16, .bf16, .q8_0, .q4_0, .q5_0, .iq4_NL, .iq4_XS, .iq1_S, .iq2_XXS, .iq2_XS, .iq2_S, .iq3_XXS, .iq3_S,
            .q1_0, .q2_0:
            [1]
        case .q4_1, .q5_1, .q4_K, .q5_K: [1, 3]
        case .q2_K: [81, 83]
        case .q3_K: [109]
        case .q6_K: [209]
        case .tq1_0: [53]
        case .tq2_0: [65]
        default: []
        }
    }

    var isWideExponent: Bool { type == .f32 || type == .bf16 }

    /// Row lengths around the sizes at which kernels change their path.
    var testColumns: [Int] {
        switch block {
        case 256: [256, 512, 1280]
        case 128: [128, 256, 384, 1152]
        case 64: [64, 128, 192, 320, 576]
        case 32: [32, 96, 128, 256, 288, 544]
        default: [1, 7, 16, 33, 100, 272]
        }
    }
}

/// Equal bits, or NaN on both sides: which NaN an operation yields is not defined.
func sameBits(_ a: [Float], _ b: [Float]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern || $0.isNaN && $1.isNaN }
}
