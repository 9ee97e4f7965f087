import CKernels
import Engine
import Foundation
import TestSupport
import Testing

@Suite("Elementary functions", .keepsMemory)
struct ComputeMathTests {
    private static let bounds: [(ck_unary, Double, @Sendable (Double) -> Double)] = [
        (CK_EXP, 1.1, { exp($0) }),
        (CK_SIGMOID, 2.5, { 1 / (1 + exp(-$0)) }),
        (CK_SILU, 2.5, { $0 / (1 + exp(-$0)) }),
        (CK_SOFTPLUS, 3, { max($0, 0) + log1p(exp(-abs($0))) }),
        (CK_TANH, 1.5, { tanh($0) }),
        (CK_GELU_TANH, 32, { $0 / (1 + exp(-2 * 0.7978845608028654 * ($0 + 0.044715 * $0 * $0 * $0))) }),
        (CK_GELU_ERF, 16, { 0.5 * $0 * erfc(-$0 / 2.0.squareRoot()) }),
        (CK_RELU_SQUARED, 0.5, { $0 > 0 ? $0 * $0 : 0 }),
    ]

    private static func inputs() -> [Float] {
        var random = SeededRandom(seed: 11)
        var inputs = random.floats(60_000, scale: 86) + random.floats(60_000, scale: 4)
        // All magnitudes.
        inputs += (0..<60_000).map { _ in
            Float(
                sign: Bool.random(using: &random) ? .plus : .minus, exponent: Int.random(in: -100...6, using: &random),
                significand: Float.random(in: 1..<2, using: &random))
        }
        return inputs.filter { abs($0) <= 86 }
    }

    private static func apply(_ kind: ck_unary, _ x: [Float]) -> [Float] {
        var y = [Float](repeating: .nan, count: x.count)
        ck_unary_apply(kind, x, x.count, &y)
        return y
    }

    @Test("errors stay within the stated units in the last place")
    func accuracy() {
        let inputs = Self.inputs()
        for (kind, bound, reference) in Self.bounds {
            let values = Self.apply(kind, inputs)
            var worst = 0.0
            for (x, y) in zip(inputs, values) {
                let exact = reference(Double(x))
                let gelu = kind == CK_GELU_TANH || kind == CK_GELU_ERF
                guard abs(exact) > (gelu ? 1e-6 : 2e-38) || exact == 0 else { continue }
                let error = abs(Double(y) - exact) / Double(max(abs(Float(exact)), .leastNormalMagnitude).ulp)
                worst = error.isNaN ? .infinity : max(worst, error)
            }
            #expect(worst <= bound, "function \(kind.rawValue)")
            #expect(worst > 0 || kind == CK_RELU_SQUARED)
        }
    }

    @Test("the same bits on every instruction set, special values included")
    func identity() {
        var inputs = Self.inputs()
        inputs += [
            0, -0, .infinity, -.infinity, .nan, 88.7, 88.73, 89, 1000, -86.5, -86.6, -1000, .greatestFiniteMagnitude,
        ]
        for (kind, _, _) in Self.bounds {
            sameBitsEverywhere { _ in Self.apply(kind, inputs) }
        }
    }

    @Test("limits")
    func limits() {
        #expect(Self.apply(CK_EXP, [0, -.infinity, .infinity, -100, 89]) == [1, 0, .infinity, 0, .infinity])
        #expect(Self.apply(CK_SIGMOID, [-.infinity, .infinity, 0]) == [0, 1, 0.5])
        #expect(Self.apply(CK_TANH, [-.infinity, .infinity, 0]) == [-1, 1, 0])
        #expect(Self.apply(CK_SOFTPLUS, [-.infinity, .infinity, 100]) == [0, .infinity, 100])
        for (kind, _, _) in Self.bounds where kind != CK_RELU_SQUARED {
            #expect(Self.apply(kind, [.nan])[0].isNaN, "function \(kind.rawValue)")
        }
    }

    @Test("rotary angles are right to half a unit, far out too")
    func ropeAngles() {
        var random = SeededRandom(seed: 3)
        var worst = 0.0
        for _ in 0..<20_000 {
            let position = Double(Int.random(in: 0..<4_000_000, using: &random))
            let frequency = pow(10_000, -Double.random(in: 0...1, using: &random))
            var (cosine, sine): (Float, Float) = (0, 0)
            ck_rope_angles(position, [frequency], 1, 1, &cosine, &sine)
            worst = max(worst, abs(Double(cosine) - cos(position * frequency)))
            worst = max(worst, abs(Double(sine) - sin(position * frequency)))
        }
        #expect(worst < 3.1e-8)
    }

    @Test("gated activations", arguments: [1, 15, 16, 17, 100])
    func gated(count: Int) {
        var random = SeededRandom(seed: 5)
        let gate = random.floats(count, scale: 9)
        let up = random.floats(count, scale: 9)
        let references: [(GatedActivation, (Double, Double) -> Double)] = [
            (.silu, { $0 / (1 + exp(-$0)) * $1 }),
            (.geluTanh, { $0 / (1 + exp(-2 * 0.7978845608028654 * ($0 + 0.044715 * $0 * $0 * $0))) * $1 }),
            (
                .clamped(alpha: 1.702, limit: 7),
                { (max(min($1, 7), -7) + 1) * min($0, 7) / (1 + exp(-1.702 * min($0, 7))) }
            ),
        ]
        for (activation, reference) in references {
            let values = sameBitsEverywhere { compute in
                let out = OwnedMatrix(rows: 1, cols: count)
                compute.gated(
                    activation, gate: OwnedMatrix(gate, rows: 1, cols: count).view,
                    up: OwnedMatrix(up, rows: 1, cols: count).view, into: out.view)
                return out.values
            }
            let exact = zip(gate, up).map { reference(Double($0), Double($1)) }
            #expect(largestError(values, exact, floor: 1e-3) < 1e-5)
        }
    }
}
