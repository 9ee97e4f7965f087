import CKernels
import Engine
import Foundation
import GGUF
import TestSupport
import Testing

/// Weight formats against blocks that the reference package decoded; `scripts/fixtures/quant.py` makes the file.
@Suite struct QuantReferenceTests {
    struct Sample: CustomTestStringConvertible {
        let format: QuantFormat
        let weights: [UInt8]
        let values: [Float]
        var testDescription: String { format.name }
    }

    static let samples: [Sample] = {
        let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fixtures/quant.bin")
        guard let data = try? Data(contentsOf: url) else { return [] }
        var rest = [UInt8](data)[...]
        func take(_ count: Int) -> [UInt8] {
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        func number() -> UInt32 { BlockBytes(take(4)[...]).uint32(0) }
        var samples: [Sample] = []
        while !rest.isEmpty {
            let type = number()
            let byteCount = Int(number())
            let valueCount = Int(number())
            let weights = take(byteCount)
            let values = (0..<valueCount).map { _ in Float(bitPattern: number()) }
            guard let format = GGUFTensorType(rawValue: type).flatMap(QuantFormat.find) else { continue }
            samples.append(Sample(format: format, weights: weights, values: values))
        }
        return samples
    }()

    @Test func everyFormatHasASample() {
        let sampled = Set(Self.samples.map(\.format))
        #expect(sampled == Set(QuantFormat.all).subtracting([QuantFormat.find(.f32)].compactMap(\.self)))
        #expect(QuantFormat.all.count == 28)
    }

    @Test(arguments: QuantFormat.all) func descriptionAgreesWithTheFile(format: QuantFormat) {
        #expect(format.name == format.type.name)
        #expect(format.block == format.type.blockSize)
        #expect(format.blockBytes == format.type.blockBytes)
    }

    @Test(arguments: samples) func swiftReferenceEqualsThePackage(sample: Sample) {
        let values = sample.format.dequantize(row: sample.weights)
        #expect(values.map(\.bitPattern) == sample.values.map(\.bitPattern))
    }

    @Test(arguments: samples) func kernelEqualsThePackage(sample: Sample) {
        var values = [Float](repeating: .nan, count: sample.values.count)
        ck_dequantize(sample.format.kernel, sample.weights, values.count, &values)
        #expect(values.map(\.bitPattern) == sample.values.map(\.bitPattern))
    }

    /// Every binary16 pattern: both conversions are exact, and agree with the arithmetic definition.
    @Test func halvesAreExact() throws {
        let format = try #require(QuantFormat.find(.f16))
        for bits in 0...UInt16.max {
            let bytes = [UInt8(bits & 255), UInt8(bits >> 8)]
            var value: Float = 0
            ck_dequantize(format.kernel, bytes, 1, &value)
            #expect(value.bitPattern == Float(halfBits: bits).bitPattern)
            let exponent = Int(bits >> 10 & 31)
            let fraction = Double(bits & 1023)
            let sign: Double = bits >> 15 == 0 ? 1 : -1
            if exponent < 31 {
                let exact = exponent == 0 ? fraction / 16_777_216 : (1 + fraction / 1024) * exp2(Double(exponent - 15))
                #expect(Double(value) == sign * exact)
            } else {
                #expect(fraction == 0 ? value == Float(sign) * .infinity : value.isNaN)
            }
        }
    }
}
