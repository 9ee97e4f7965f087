import Engine
import Foundation
import GGUF
import TestSupport
import Testing

@testable import ModelTools

@Suite struct BlockEncoderTests {
    /// Root of the mean square error of normal values, as a part of their standard deviation. The bounds are what a
    /// good quantizer of that many levels reaches on this distribution; rounding to the extreme's scale does not.
    @Test(
        arguments: [
            (.q8_0, 0.006), (.q4_0, 0.087), (.q4_1, 0.075), (.q5_0, 0.044), (.q5_1, 0.037), (.q2_K, 0.29),
            (.q3_K, 0.165),
            (.q4_K, 0.073), (.q5_K, 0.037), (.q6_K, 0.0185), (.iq4_NL, 0.075), (.iq4_XS, 0.075), (.mxfp4, 0.13),
            (.nvfp4, 0.09), (.q1_0, 0.63), (.q2_0, 0.37), (.tq1_0, 0.46), (.tq2_0, 0.39), (.iq2_XXS, 0.34),
            (.iq2_XS, 0.3), (.iq2_S, 0.25), (.iq3_XXS, 0.19), (.iq3_S, 0.137), (.iq1_S, 0.47), (.iq1_M, 0.43),
        ] as [(GGUFTensorType, Double)])
    func normalValues(type: GGUFTensorType, bound: Double) throws {
        var random = SeededRandom(seed: 5)
        let values = (0..<16_384).map { _ in random.normal() }
        let found = try roundTrip(values, type, columns: 256)
        let error = zip(values, found).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) } / 16_384
        #expect(error.squareRoot() < bound, "\(error.squareRoot())")
    }

    /// Block by block no search finds less than the scale that fills the grid, which simple quantizers take.
    @Test(arguments: 0..<4)
    func searchesAreNeverWorseThanTheFullGrid(kind: Int) {
        var random = SeededRandom(seed: 9)
        for _ in 0..<500 {
            let values = (0..<32).map { _ in random.normal() }
            // Every fourth column matters far more, as an importance matrix says.
            let weights = (0..<32).map { $0 % 4 == kind ? Float.random(in: 1..<100, using: &random) : 1 }
            let vectors = [values, weights].flatMap { list in
                stride(from: 0, to: 32, by: 16).map { SIMD16<Float>(list[$0..<$0 + 16]) }
            }
            vectors.withUnsafeBufferPointer { vectors in
                guard let base = vectors.baseAddress else { return }
                let block = WeightedValues(values: base, weights: base + 2, groups: 2)
                checkScale(block, Signed3Bits.self)
                checkScale(block, Signed4Bits.self)
                checkScale(block, Signed5Bits.self)
                checkScale(block, NonLinear4Bits.self)
                checkOffset(block, Unsigned2Bits.self)
                checkOffset(block, Unsigned4Bits.self)
            }
        }
    }

    private func checkScale<Levels: Grid>(_ block: WeightedValues, _: Levels.Type) {
        let found = ScaleSearch<Levels>.error(block, scale: ScaleSearch<Levels>.scale(of: block))
        let simple = ScaleSearch<Levels>.error(block, scale: block.extreme / Levels.lowest)
        #expect(found <= simple * 1.000_01, "\(Levels.self)")
    }

    private func checkOffset<Levels: Grid>(_ block: WeightedValues, _: Levels.Type) {
        let fit = AffineSearch<Levels>.fit(block)
        let found = AffineSearch<Levels>.error(block, scale: fit.scale, offset: fit.offset)
        let (low, high) = (min(block.range.low, 0), block.range.high)
        let simple = AffineSearch<Levels>.error(block, scale: (high - low) / Levels.highest, offset: -low)
        #expect(found <= simple * 1.000_01, "\(Levels.self)")
    }

    /// What a format can say exactly, it says again.
    @Test(arguments: BlockEncoder.all.map { $0.type })
    func itsOwnValues(type: GGUFTensorType) throws {
        let format = try #require(QuantFormat.find(type))
        var random = SeededRandom(seed: 6)
        let first = try roundTrip((0..<4096).map { _ in random.normal() }, type, columns: 256)
        let again = try roundTrip(first, type, columns: 256)
        let energy = first.reduce(0.0) { $0 + Double($1 * $1) }
        let error = zip(first, again).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
        #expect((error / energy).squareRoot() < 0.02, "\(format) \((error / energy).squareRoot())")
    }

    @Test(arguments: BlockEncoder.all.map { $0.type })
    func unusualValues(type: GGUFTensorType) throws {
        let zeros = [Float](repeating: 0, count: 256)
        #expect(try roundTrip(zeros, type, columns: 256).allSatisfy { $0 == 0 })
        for scale: Float in [0x1p-133, 1e-30, 1e-9, 3e4, 1e30, 3e38] {
            let alternating = (0..<256).map { $0 % 2 == 0 ? scale : -scale / 2 }
            let found = try roundTrip(alternating, type, columns: 256)
            #expect(found.allSatisfy { $0.isFinite }, "\(scale)")
        }
        // Codebooks have no level 0, and no code of equal levels for every level.
        guard Codebook(type) == nil else { return }
        for constant: Float in [0.7, -0.7] {
            let found = try roundTrip([Float](repeating: constant, count: 256), type, columns: 256)
            // A power-of-two scale is the coarsest.
            #expect(found.allSatisfy { abs($0 - constant) < 0.1 * abs(constant) }, "\(found[0])")
        }
        var outlier = zeros
        outlier[100] = -3
        // One bit says nothing of the size.
        if type == .q1_0 { return }
        let found = try roundTrip(outlier, type, columns: 256)
        #expect(abs(found[100] + 3) < 0.05)
        #expect(found.enumerated().allSatisfy { $0 == 100 || abs($1) < 0.1 })
    }

    /// Errors go where they matter least.
    @Test(arguments: BlockEncoder.all.map { $0.type }.filter { $0 != .q8_0 })
    func importance(type: GGUFTensorType) throws {
        var random = SeededRandom(seed: 7)
        let values = (0..<8192).map { _ in random.normal() }
        let weights = (0..<256).map { $0 % 16 == 3 ? Float(50) : 1 }
        func weightedError(_ found: [Float]) -> Float {
            zip(values, found).enumerated().reduce(0) { sum, pair in
                let difference = pair.element.0 - pair.element.1
                return sum + weights[pair.offset % 256] * difference * difference
            }
        }
        let plain = weightedError(try roundTrip(values, type, columns: 256))
        let weighted = weightedError(try roundTrip(values, type, columns: 256, importance: weights))
        #expect(type == .mxfp4 ? weighted <= plain : weighted < 0.98 * plain, "\(weighted) \(plain)")
    }

    /// Columns that no text used, and importances of any size, cost no more than having no importance matrix.
    @Test(arguments: BlockEncoder.all.map { $0.type })
    func importanceWithGaps(type: GGUFTensorType) throws {
        var random = SeededRandom(seed: 8)
        // Codebooks are searched through, which takes its time.
        let values = (0..<(Codebook(type) == nil ? 16_384 : 4_096)).map { _ in random.normal() }
        // Of eight signs the last is none of its own: it is wrong where that matters least.
        let most = type == .iq3_XXS ? 1.45 : 1.35
        let known = (0..<256).map { _ in exp2(Float.random(in: -2..<2, using: &random)) }
        func error(_ importance: [Float]?, in columns: Range<Int> = 0..<256) throws -> Double {
            let found = try roundTrip(values, type, columns: 256, importance: importance)
            return zip(values, found).enumerated().reduce(0.0) { sum, pair in
                let difference = Double(pair.element.0 - pair.element.1)
                return columns.contains(pair.offset % 256) ? sum + difference * difference : sum
            }
        }
        let plain = try error(nil)
        let ordinary = try error(known)
        #expect(ordinary < most * plain, "\(ordinary / plain)")
        #expect(try error([Float](repeating: 0, count: 256)) == plain)
        // Only proportions count: a power of two changes no bit, and the others next to none.
        let scaled = try [Float](repeating: 1, count: 2).enumerated().map { index, _ in
            try error(known.map { $0 * (index == 0 ? 0x1p-80 : 0x1p80) })
        }
        #expect(scaled == [ordinary, ordinary])
        for scale: Float in [1e-30, 1e-25, 1e-20, 1e20, 1e25, 1e30] {
            #expect(try error(known.map { $0 * scale }) < 1.01 * ordinary, "\(scale)")
        }
        for zeros in [0..<32, 0..<16, 7..<8, 100..<228, 1..<256] {
            let gaps = known.enumerated().map { zeros.contains($0) ? 0 : $1 }
            #expect(try error(gaps) < most * plain, "\(zeros)")
            #expect(try error(gaps, in: zeros) < 1.5 * error(nil, in: zeros), "\(zeros)")
        }
        // One column that matters beyond all measure gets what it wants, and the others are still something.
        let loud = known.enumerated().map { $0 == 40 ? 1e25 : $1 }
        let energy = values.reduce(0.0) { $0 + Double($1 * $1) }
        let found = try error(loud)
        #expect(found < max(2.5 * plain, 0.1 * energy), "\(found / plain) \(found / energy)")
    }

    /// The codes that are chosen are the best of all: none other comes nearer to the values.
    @Test(arguments: [.iq2_XXS, .iq2_S, .iq3_S, .iq1_M] as [GGUFTensorType])
    func theNearestCodeIsFound(type: GGUFTensorType) throws {
        let codebook = try #require(Codebook(type))
        var random = SeededRandom(seed: 8)
        let isShifted = type == .iq1_M
        for _ in 0..<20 {
            let values = (0..<8).map { _ in random.normal() }
            let weights = (0..<8).map { _ in Float.random(in: 0.5..<2, using: &random) }
            let scale: Float = isShifted ? 1.3 : 2 / Float(codebook.levels.max() ?? 1)
            var (indices, signs) = ([UInt16](repeating: 0, count: 2), [UInt8](repeating: 0, count: 1))
            var levels = [Float](repeating: 0, count: 8)
            codebook.choose(
                isShifted ? .shiftPerEight : .freeSigns, values, weights: weights, count: 8, scale: scale,
                indices: &indices, signs: &signs, values: &levels)
            func cost(_ levels: [Float], from first: Int) -> Float {
                levels.enumerated().reduce(0) { sum, level in
                    let difference = values[first + level.offset] - scale * level.element
                    return sum + weights[first + level.offset] * difference * difference
                }
            }
            for first in stride(from: 0, to: 8, by: codebook.size) {
                let range = first..<first + codebook.size
                let found = cost(Array(levels[range]), from: first)
                let least = (0..<codebook.count).reduce(Float.infinity) { least, index in
                    let plain = codebook[index].map { Float($0) }
                    guard !isShifted else {
                        let both = [0.125, -0.125].map { shift in cost(plain.map { $0 + shift }, from: first) }
                        return min(least, both[0], both[1])
                    }
                    return min(least, cost(zip(plain, values[range]).map { $1 < 0 ? -$0 : $0 }, from: first))
                }
                #expect(found <= least * 1.000_1, "\(found) \(least)")
            }
        }
    }

    @Test func everyHalfIsItsOwnNearest() {
        for bits in UInt16.min...UInt16.max {
            let value = Float(halfBits: bits)
            guard !value.isNaN else {
                #expect(Float(halfBits: value.halfBits).isNaN)
                continue
            }
            #expect(value.halfBits == bits)
        }
    }

    @Test(
        arguments: [
            (1 + 0x1p-11, 0x3c00), (1 + 0x1.8p-10, 0x3c02), (1 + 0x1p-11 + 0x1p-20, 0x3c01), (65519, 0x7bff),
            (65520, 0x7c00), (0x1p-25, 0), (0x1.8p-25, 1), (-0x1p-24, 0x8001), (0x1.ffep-15, 0x0400), (1e30, 0x7c00),
        ] as [(Float, UInt16)])
    func halvesRoundToEven(value: Float, bits: UInt16) { #expect(value.halfBits == bits) }

    @Test(
        arguments: [
            (1, 0x3f80), (1 + 0x1p-8, 0x3f80), (1 + 0x1.8p-7, 0x3f82), (1 + 0x1p-8 + 0x1p-20, 0x3f81),
            (-3.4e38, 0xff80),
        ] as [(Float, UInt16)])
    func bfloat16RoundsToEven(value: Float, bits: UInt16) { #expect(value.bfloat16Bits == bits) }

    /// Encodes rows and decodes them by the engine's readable definition.
    private func roundTrip(
        _ values: [Float], _ type: GGUFTensorType, columns: Int, importance: [Float]? = nil
    ) throws -> [Float] {
        let format = try #require(QuantFormat.find(type))
        let encoder = try #require(RowEncoder(type))
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: 2 * RowEncoder.scratchBytes(columns: columns), alignment: 64)
        defer { scratch.deallocate() }
        let row = scratch.assumingMemoryBound(to: Float.self)
        var found: [Float] = []
        for start in stride(from: 0, to: values.count, by: columns) {
            for column in 0..<columns { row[column] = values[start + column] }
            var bytes = [UInt8](repeating: 0xAA, count: format.rowBytes(columns: columns))
            bytes.withUnsafeMutableBufferPointer { bytes in
                guard let base = bytes.baseAddress else { return }
                encoder.encode(
                    row, columns: columns, importance: importance, weights: row + columns, into: base)
            }
            found += format.dequantize(row: bytes)
        }
        return found
    }
}

extension SeededRandom {
    /// Mean 0, standard deviation 1: the sum of twelve uniform numbers.
    fileprivate mutating func normal() -> Float {
        (0..<12).reduce(-6) { sum, _ in sum + Float.random(in: 0..<1, using: &self) }
    }
}
