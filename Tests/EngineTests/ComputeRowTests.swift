import CKernels
import Engine
import Foundation
import TestSupport
import Testing

@Suite("Row operations", .keepsMemory)
struct ComputeRowTests {
    private static let sizes = [(1, 1), (3, 15), (2, 16), (5, 80), (33, 100), (4, 1000)]

    @Test("rms norm, with and without a residual and a weight", arguments: sizes)
    func rmsNorm(rows: Int, cols: Int) {
        var random = SeededRandom(seed: 1)
        let x = random.floats(rows * cols)
        let y = random.floats(rows * cols)
        let weight = random.floats(cols)
        let buffer = kept(FloatBuffer(weight))
        for residual in [false, true] {
            for weighted in [false, true] {
                let values = sameBitsEverywhere { compute in
                    let input = OwnedMatrix(x, rows: rows, cols: cols)
                    let out = OwnedMatrix(rows: rows, cols: cols)
                    let vector = weighted ? buffer.vector : nil
                    if residual {
                        compute.addRMSNorm(
                            OwnedMatrix(y, rows: rows, cols: cols).view, to: input.view, vector, eps: 1e-5,
                            into: out.view)
                        #expect(input.values == zip(x, y).map { $0 + $1 })
                    } else {
                        compute.rmsNorm(input.view, vector, eps: 1e-5, into: out.view)
                    }
                    return out.values
                }
                let exact = (0..<rows).flatMap { row -> [Double] in
                    let range = row * cols..<(row + 1) * cols
                    let row = range.map { Double(residual ? x[$0] + y[$0] : x[$0]) }
                    let mean = row.reduce(0) { $0 + $1 * $1 } / Double(cols)
                    return row.indices.map {
                        row[$0] / (mean + 1e-5).squareRoot() * (weighted ? Double(weight[$0]) : 1)
                    }
                }
                #expect(largestError(values, exact, floor: 1e-2) < 2e-6)
            }
        }
    }

    @Test("layer norm, with and without a bias", arguments: sizes, [false, true])
    func layerNorm(_ size: (Int, Int), biased: Bool) {
        let (rows, cols) = size
        var random = SeededRandom(seed: 11)
        let x = random.floats(rows * cols).map { $0 + 3 }
        let weight = random.floats(cols)
        let bias = random.floats(cols)
        let (scale, shift) = (kept(FloatBuffer(weight)), kept(FloatBuffer(bias)))
        let values = sameBitsEverywhere { compute in
            let out = OwnedMatrix(rows: rows, cols: cols)
            compute.layerNorm(
                OwnedMatrix(x, rows: rows, cols: cols).view, scale.vector, biased ? shift.vector : nil, eps: 1e-5,
                into: out.view)
            return out.values
        }
        let exact = (0..<rows).flatMap { row -> [Double] in
            let row = x[row * cols..<(row + 1) * cols].map(Double.init)
            let mean = row.reduce(0, +) / Double(cols)
            let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(cols)
            return row.indices.map {
                (row[$0] - mean) / (variance + 1e-5).squareRoot() * Double(weight[$0]) + (biased ? Double(bias[$0]) : 0)
            }
        }
        #expect(largestError(values, exact, floor: 1e-1) < 2e-5)
    }

    @Test("activations of one argument and the cap of logits")
    func unaryActivations() {
        var random = SeededRandom(seed: 12)
        let x = random.floats(3 * 37, scale: 6)
        func run(_ body: (Compute, Matrix) -> Void) -> [Float] {
            sameBitsEverywhere { compute in
                let matrix = OwnedMatrix(x, rows: 3, cols: 37)
                body(compute, matrix.view)
                return matrix.values
            }
        }
        let relu = run { $0.apply(.reluSquared, to: $1) }
        #expect(relu == x.map { max($0, 0) * max($0, 0) })
        let gelu = run { $0.apply(.gelu, to: $1) }
        let exact = x.map { Double($0) * 0.5 * erfc(-Double($0) / 2.0.squareRoot()) }
        #expect(largestError(gelu, exact, floor: 1e-2) < 1e-5)
        let capped = run { $0.softCap($1, at: 2) }
        #expect(largestError(capped, x.map { 2 * tanh(Double($0) / 2) }, floor: 1e-2) < 1e-5)
    }

    @Test("norms of heads between other columns", arguments: [(1, 16), (3, 48), (2, 80), (7, 20)])
    func headNorms(heads: Int, dim: Int) {
        let (rows, offset, stride) = (5, 3, 2 * dim + 1)
        let cols = offset + heads * stride
        var random = SeededRandom(seed: 2)
        let x = random.floats(rows * cols)
        let z = random.floats(rows * cols, scale: 4)
        let weight = random.floats(dim)
        let buffer = kept(FloatBuffer(weight))

        enum Kind: CaseIterable { case rms, l2, gated, gatedSigmoid }
        for kind in Kind.allCases {
            let values = sameBitsEverywhere { compute in
                let matrix = OwnedMatrix(x, rows: rows, cols: cols)
                let view = matrix.view.heads(heads, dim: dim, offset: offset, stride: stride)
                let gateMatrix = OwnedMatrix(z, rows: rows, cols: cols)
                let gate = gateMatrix.view.heads(heads, dim: dim, offset: offset, stride: stride)
                switch kind {
                case .rms: compute.headNorm(view, buffer.vector, eps: 1e-6)
                case .l2: compute.l2Norm(view, eps: 1e-6, scale: 0.25)
                case .gated: compute.gatedRMSNorm(view, buffer.vector, gate: gate, eps: 1e-6, into: view)
                case .gatedSigmoid:
                    compute.gatedRMSNorm(view, buffer.vector, gate: gate, sigmoid: true, eps: 1e-6, into: view)
                }
                return matrix.values
            }
            var exact = x.map(Double.init)
            for row in 0..<rows {
                for head in 0..<heads {
                    let start = row * cols + offset + head * stride
                    let sum = (0..<dim).reduce(0.0) { $0 + exact[start + $1] * exact[start + $1] }
                    for i in 0..<dim {
                        let gate = Double(z[start + i])
                        let normed = exact[start + i] / (sum / Double(dim) + 1e-6).squareRoot() * Double(weight[i])
                        exact[start + i] =
                            switch kind {
                            case .rms: normed
                            case .l2: exact[start + i] * 0.25 / (sum + 1e-6).squareRoot()
                            case .gated: normed * gate / (1 + Foundation.exp(-gate))
                            case .gatedSigmoid: normed / (1 + Foundation.exp(-gate))
                            }
                    }
                }
            }
            #expect(largestError(values, exact, floor: 1e-2) < 4e-6, "\(kind)")
        }
    }

    @Test("additions and gates", arguments: sizes)
    func elementwise(rows: Int, cols: Int) {
        var random = SeededRandom(seed: 4)
        let x = random.floats(rows * cols)
        let y = random.floats(rows * cols)
        let rowGate = random.floats(rows, scale: 5)
        let bias = kept(FloatBuffer(random.floats(cols)))
        let values = sameBitsEverywhere { compute in
            let matrix = OwnedMatrix(x, rows: rows, cols: cols)
            let other = OwnedMatrix(y, rows: rows, cols: cols)
            compute.add(other.view, to: matrix.view)
            compute.add(bias.vector, to: matrix.view)
            compute.scale(matrix.view, by: 0.5)
            compute.add(
                other.view, to: matrix.view, rowGate: OwnedMatrix(rowGate, rows: rows, cols: 1).view)
            compute.mulSigmoid(matrix.view.heads(1, dim: cols), gate: other.view.heads(1, dim: cols))
            return matrix.values
        }
        let exact = x.indices.map { i -> Double in
            let sum = (Double(x[i]) + Double(y[i]) + Double(bias.pointer[i % cols])) * 0.5
            let gated = sum + Double(y[i]) / (1 + Foundation.exp(-Double(rowGate[i / cols])))
            return gated / (1 + Foundation.exp(-Double(y[i])))
        }
        #expect(largestError(values, exact, floor: 1e-1) < 3e-6)
    }

    @Test(
        "rotary embedding, whole and partial", arguments: [RopePairing.neox, .norm],
        [(16, 16), (80, 80), (64, 16), (48, 20)])
    func rope(pairing: RopePairing, shape: (dim: Int, rotated: Int)) {
        let (dim, rotated) = shape
        let (rows, heads) = (4, 3)
        let frequencies = (0..<rotated / 2).map { pow(10_000, -2 * Double($0) / Double(rotated)) }
        let table = RopeTable(pairing: pairing, frequencies: frequencies, amplitude: 1.25)
        let positions: [Int32] = [0, 7, 8, 100_003]
        var random = SeededRandom(seed: 6)
        let x = random.floats(rows * heads * dim)
        let values = sameBitsEverywhere { compute in
            let matrix = OwnedMatrix(x, rows: rows, cols: heads * dim)
            let angles = compute.angles(table, positions: positions, rows: rows, kept(Workspace()))
            compute.rope(matrix.view.heads(heads, dim: dim), angles)
            return matrix.values
        }
        var exact = x.map(Double.init)
        for row in 0..<rows {
            for head in 0..<heads {
                for pair in 0..<rotated / 2 {
                    let start = (row * heads + head) * dim
                    let a = start + (pairing == .neox ? pair : 2 * pair)
                    let b = start + (pairing == .neox ? pair + rotated / 2 : 2 * pair + 1)
                    let angle = Double(positions[row]) * frequencies[pair]
                    let (c, s) = (1.25 * cos(angle), 1.25 * sin(angle))
                    (exact[a], exact[b]) = (exact[a] * c - exact[b] * s, exact[a] * s + exact[b] * c)
                }
            }
        }
        #expect(largestError(values, exact, floor: 1) < 5e-7)
    }

    @Test("products: merged, with bias, any number of tokens", arguments: [1, 2, 5, 33, 64])
    func matmul(tokens: Int) throws {
        let (cols, rowsA, rowsB) = (96, 3, 70)
        var random = SeededRandom(seed: 8)
        let x = random.floats(tokens * cols)
        let a = try OwnedWeight(random.floats(rowsA * cols), rows: rowsA, cols: cols)
        let b = try OwnedWeight(random.floats(rowsB * cols), rows: rowsB, cols: cols)
        let bias = kept(FloatBuffer(random.floats(rowsB)))
        let values = sameBitsEverywhere { compute in
            let workspace = kept(Workspace())
            let prepared = compute.prepare(
                OwnedMatrix(x, rows: tokens, cols: cols).view, for: ActivationKinds(a.weight, b.weight), workspace)
            let outA = OwnedMatrix(rows: tokens, cols: rowsA)
            let outB = OwnedMatrix(rows: tokens, cols: rowsB)
            compute.matmul(
                prepared, Product(a.weight, into: outA.view), Product(b.weight, bias: bias.vector, into: outB.view))
            // A part of the rows as a weight of its own.
            let part = OwnedMatrix(rows: tokens, cols: 20)
            compute.matmul(b.weight.rows(30..<50), prepared, into: part.view)
            return outA.values + outB.values + part.values
        }
        func product(_ weight: [Float], _ rows: Range<Int>, _ bias: (Int) -> Double) -> [Double] {
            (0..<tokens).flatMap { t in
                rows.map { r in
                    (0..<cols).reduce(bias(r)) { $0 + Double(weight[r * cols + $1]) * Double(x[t * cols + $1]) }
                }
            }
        }
        let exact =
            product(a.values, 0..<rowsA) { _ in 0 } + product(b.values, 0..<rowsB) { Double(bias.pointer[$0]) }
            + product(b.values, 30..<50) { _ in 0 }
        #expect(largestError(values, exact, floor: 1) < 2e-6)
    }

    @Test("embedding rows and gathered rows")
    func embed() throws {
        var random = SeededRandom(seed: 9)
        let table = try OwnedWeight(random.floats(10 * 33), rows: 10, cols: 33)
        let ids: [Int32] = [9, 0, 3, 3]
        let values = sameBitsEverywhere { compute in
            let out = OwnedMatrix(rows: 4, cols: 33)
            compute.embed(ids, table.weight, into: out.view)
            let picked = OwnedMatrix(rows: 2, cols: 33)
            compute.gather(out.view, rows: [0, 2], into: picked.view)
            return out.values + picked.values
        }
        #expect(values == (ids + [9, 3]).flatMap { slice(table.values, Int($0)..<Int($0) + 1, cols: 33) })
    }
}
