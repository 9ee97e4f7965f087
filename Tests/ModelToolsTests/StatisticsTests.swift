import Engine
import Foundation
import GGUF
import TestSupport
import Testing

@testable import ModelTools

@Suite struct StatisticsTests {
    private func tensor(_ values: [Float], _ dimensions: [Int]? = nil) throws -> GGUFTensor {
        var toy = ToyFile()
        toy.floats("t", dimensions ?? [values.count], values)
        return try #require(try toy.file().tensor("t"))
    }

    private func tensor(_ type: GGUFTensorType, _ count: Int, _ bytes: [UInt8]) throws -> GGUFTensor {
        var toy = ToyFile()
        toy.tensor("t", [count], type, bytes)
        return try #require(try toy.file().tensor("t"))
    }

    /// Lengths around the chunk; the loop is the definition.
    @Test(arguments: [1, 3, 4095, 4096, 4097, 20_000])
    func momentsAreThoseOfALoop(count: Int) throws {
        var random = SeededRandom(seed: 7)
        let values = random.floats(count, scale: 3).map { $0 + 0.5 }
        let statistics = try #require(try TensorScanner(threads: 2).statistics(of: tensor(values)))
        let doubles = values.map(Double.init)
        let mean = doubles.reduce(0, +) / Double(count)
        let variance = doubles.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
        #expect(statistics.moments.count == count)
        #expect(statistics.moments.minimum == doubles.min() && statistics.moments.maximum == doubles.max())
        #expect(abs(statistics.moments.mean - mean) < 1e-12)
        #expect(abs(statistics.moments.deviation - variance.squareRoot()) < 1e-12)
        #expect(statistics.outliers == 0)
    }

    @Test func aSmallSpreadAroundALargeMean() throws {
        // 2²³ + 0 and + 1 in turn: the squares of the values alone would lose the spread in single precision.
        let values = (0..<10_000).map { Float(1 << 23) + Float($0 % 2) }
        let moments = try #require(try TensorScanner(threads: 1).statistics(of: tensor(values))).moments
        #expect(moments.mean == Double(1 << 23) + 0.5)
        #expect(abs(moments.deviation - 0.5) < 1e-9)
    }

    @Test func whatIsNotFiniteIsCountedAndLeftOut() throws {
        var values = [Float](repeating: 2, count: 9000)
        values[0] = .nan
        values[4096] = .infinity
        values[8999] = -.infinity
        values[17] = 0
        let statistics = try #require(try TensorScanner(threads: 2).statistics(of: tensor(values)))
        #expect(statistics.moments.nans == 1 && statistics.moments.infinities == 2)
        #expect(statistics.moments.zeros == 1 && statistics.moments.count == 8997)
        #expect(statistics.moments.minimum == 0 && statistics.moments.maximum == 2)
        let none = try #require(try TensorScanner(threads: 1).statistics(of: tensor([.nan, .infinity])))
        #expect(none.moments.count == 0 && none.moments.deviation == 0 && none.outliers == 0)
    }

    @Test func outliers() throws {
        var random = SeededRandom(seed: 3)
        var values = random.floats(10_000, scale: 1)
        for index in [5, 4100, 9999] { values[index] = index == 5 ? -40 : 40 }
        #expect(try TensorScanner(threads: 2).statistics(of: tensor(values))?.outliers == 3)
        #expect(try TensorScanner(threads: 2).statistics(of: tensor([7, 7, 7, 7]))?.outliers == 0)
    }

    @Test(arguments: QuantFormat.all)
    func everyFormatAndAnyThreads(format: QuantFormat) throws {
        // Bytes below 64 keep every scale finite.
        var random = SeededRandom(seed: 5)
        let count = 3 * 4096 + 512
        let bytes = (0..<count / format.block * format.blockBytes).map { _ in UInt8.random(in: 0..<64, using: &random) }
        let tensor = try tensor(format.type, count, bytes)
        let expected = format.dequantize(row: bytes).map(Double.init)
        let results = try (1...3).map { try #require(TensorScanner(threads: $0).statistics(of: tensor)) }
        #expect(results[0] == results[1] && results[1] == results[2])
        #expect(results[0].moments.count == count)
        #expect(results[0].moments.minimum == expected.min() && results[0].moments.maximum == expected.max())
        let mean = expected.reduce(0, +) / Double(count)
        #expect(abs(results[0].moments.mean - mean) <= 1e-9 * (expected.map { abs($0) }.max() ?? 0))
    }

    @Test(arguments: [("I8", 1), ("I16", 2), ("I32", 4), ("I64", 8), ("F64", 8)])
    func typesBesideTheEnginesOwn(name: String, width: Int) throws {
        let type = try #require(GGUFTensorType(name: name))
        let values: [Double] = [-5, 0, 100]
        let bytes = values.flatMap { value -> [UInt8] in
            let pattern = name == "F64" ? value.bitPattern : UInt64(bitPattern: Int64(value))
            return withUnsafeBytes(of: pattern.littleEndian) { Array($0.prefix(width)) }
        }
        let moments = try #require(try TensorScanner(threads: 1).statistics(of: tensor(type, 3, bytes))).moments
        #expect(moments.minimum == -5 && moments.maximum == 100 && moments.zeros == 1)
    }

    @Test func typesWithoutADecoder() throws {
        let type = try #require(GGUFTensorType(name: "Q8_1"))
        let zeros = try tensor(type, 32, [UInt8](repeating: 0, count: 40))
        let ones = try tensor(type, 32, [UInt8](repeating: 1, count: 40))
        let scanner = TensorScanner(threads: 1)
        #expect(scanner.statistics(of: zeros) == nil)
        #expect(scanner.distance(zeros, ones) == nil)
        #expect(scanner.distance(zeros, zeros)?.differing == 0)
    }

    @Test func distance() throws {
        let scanner = TensorScanner(threads: 2)
        let a = (0..<5000).map { Float($0 % 7) }
        var b = a
        b[4999] += 3
        b[10] -= 4
        let distance = try #require(scanner.distance(try tensor(a), try tensor(b)))
        #expect(distance.differing == 2 && distance.notFinite == 0 && distance.maximum == 4)
        #expect(abs(distance.rms - (25.0 / 5000).squareRoot()) < 1e-12)
        let energy = a.reduce(0.0) { $0 + Double($1 * $1) }
        #expect(abs(try #require(distance.relative) - (25 / energy).squareRoot()) < 1e-12)
        #expect(scanner.distance(try tensor(a), try tensor(a)) == TensorDistance())
        #expect(scanner.distance(try tensor(a), try tensor([1, 2])) == nil)
    }

    @Test func distanceWithNaN() throws {
        let scanner = TensorScanner(threads: 1)
        let distance = try #require(
            scanner.distance(try tensor([.nan, .nan, .infinity, 1]), try tensor([.nan, 0, -.infinity, 1.5])))
        #expect(distance.differing == 3 && distance.notFinite == 2 && distance.maximum == 0.5)
        #expect(scanner.distance(try tensor([0, 0]), try tensor([1, 0]))?.relative == nil)
    }

    /// The same values in two types.
    @Test func distanceOfTypes() throws {
        let half = try tensor(.f16, 2, [0, 0x3c, 0, 0xc0])
        let distance = try #require(TensorScanner(threads: 1).distance(try tensor([1, -2]), half))
        #expect(distance.differing == 0 && distance.maximum == 0)
    }
}
