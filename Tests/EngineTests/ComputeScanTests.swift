import Foundation
import TestSupport
import Testing

@testable import Engine

/// Mamba2 and Kimi delta attention against their definitions in double precision, and the same bits however the
/// tokens are cut.
@Suite(.keepsMemory) struct ComputeScanTests {
    @Test(arguments: [(heads: 4, groups: 2, dim: 32, states: 24), (heads: 3, groups: 1, dim: 20, states: 7)])
    func mamba2(_ shape: (heads: Int, groups: Int, dim: Int, states: Int)) throws {
        let (heads, groups, dim, states) = shape
        let tokens = 70
        var random = SeededRandom(seed: 3)
        let x = random.floats(tokens * heads * dim, scale: 1)
        let b = random.floats(tokens * groups * states, scale: 1)
        let c = random.floats(tokens * groups * states, scale: 1)
        let dt = random.floats(tokens * heads, scale: 2)
        let a = random.floats(heads, scale: 1).map { -abs($0) - 0.1 }
        let bias = random.floats(heads, scale: 1)
        let d = random.floats(heads, scale: 1)

        var exact: [Double] = []
        var memory = [Double](repeating: 0, count: heads * dim * states)
        for t in 0..<tokens {
            for h in 0..<heads {
                let z = Double(dt[t * heads + h]) + Double(bias[h])
                let step = log1p(Foundation.exp(z))
                let decay = Foundation.exp(step * Double(a[h]))
                let group = h / (heads / groups)
                for i in 0..<dim {
                    let input = Double(x[(t * heads + h) * dim + i])
                    var y = Double(d[h]) * input
                    for n in 0..<states {
                        let index = (h * dim + i) * states + n
                        let at = (t * groups + group) * states + n
                        memory[index] = decay * memory[index] + step * input * Double(b[at])
                        y += memory[index] * Double(c[at])
                    }
                    exact.append(y)
                }
            }
        }

        let layout = try StateLayout(layers: [
            .recurrent(convChannels: 0, convTaps: 1, heads: heads, keyDim: states, valueDim: dim)
        ])
        let (aBuffer, biasBuffer, dBuffer) = (kept(FloatBuffer(a)), kept(FloatBuffer(bias)), kept(FloatBuffer(d)))
        for split in splits(of: tokens) {
            let found = try sameBitsEverywhere { compute in
                let state = try SequenceState(layout, capacity: tokens)
                return split.flatMap { range in
                    let batch = Batch(capacity: tokens)
                    batch.append(range.map { Int32($0) }, to: state, logits: .none)
                    let n = range.count
                    let out = OwnedMatrix(rows: n, cols: heads * dim)
                    let (xs, bs) = (cut(x, range, heads * dim), cut(b, range, groups * states))
                    let (cs, dts) = (cut(c, range, groups * states), cut(dt, range, heads))
                    compute.mamba2(
                        xs.heads(heads, dim: dim), b: bs.heads(groups, dim: states), c: cs.heads(groups, dim: states),
                        dt: dts, a: aBuffer.vector, dtBias: biasBuffer.vector, d: dBuffer.vector, layer: 0, batch,
                        into: out.view.heads(heads, dim: dim))
                    batch.commit()
                    return out.values
                }
            }
            #expect(largestError(found, exact, floor: 1) < 2e-5)
        }
    }

    @Test(arguments: [(heads: 2, dim: 32), (heads: 3, dim: 20)])
    func kimiDelta(_ shape: (heads: Int, dim: Int)) throws {
        let (heads, dim) = shape
        let width = heads * dim
        let tokens = 70
        var random = SeededRandom(seed: 4)
        let q = random.floats(tokens * width, scale: 0.3)
        let k = random.floats(tokens * width, scale: 0.3)
        let v = random.floats(tokens * width, scale: 1)
        let g = random.floats(tokens * width, scale: 2)
        let beta = random.floats(tokens * heads, scale: 1).map { abs($0) }
        let a = random.floats(heads, scale: 1).map { -abs($0) - 0.1 }
        let bias = random.floats(width, scale: 1)

        var exact: [Double] = []
        var memory = [[Double]](repeating: [Double](repeating: 0, count: dim * dim), count: heads)
        for t in 0..<tokens {
            for h in 0..<heads {
                let at = t * width + h * dim
                for i in 0..<dim {
                    let z = Double(g[at + i]) + Double(bias[h * dim + i])
                    let decay = Foundation.exp(Double(a[h]) * log1p(Foundation.exp(z)))
                    for j in 0..<dim { memory[h][i * dim + j] *= decay }
                }
                for j in 0..<dim {
                    var seen = 0.0
                    for i in 0..<dim { seen += memory[h][i * dim + j] * Double(k[at + i]) }
                    let write = Double(beta[t * heads + h]) * (Double(v[at + j]) - seen)
                    for i in 0..<dim { memory[h][i * dim + j] += Double(k[at + i]) * write }
                    var read = 0.0
                    for i in 0..<dim { read += memory[h][i * dim + j] * Double(q[at + i]) }
                    exact.append(read)
                }
            }
        }

        let layout = try StateLayout(layers: [
            .recurrent(convChannels: 0, convTaps: 1, heads: heads, keyDim: dim, valueDim: dim)
        ])
        let (aBuffer, biasBuffer) = (kept(FloatBuffer(a)), kept(FloatBuffer(bias)))
        for split in splits(of: tokens) {
            let found = try sameBitsEverywhere { compute in
                let state = try SequenceState(layout, capacity: tokens)
                return split.flatMap { range in
                    let batch = Batch(capacity: tokens)
                    batch.append(range.map { Int32($0) }, to: state, logits: .none)
                    let (out, decayed) = (
                        OwnedMatrix(rows: range.count, cols: width), OwnedMatrix(rows: range.count, cols: width)
                    )
                    let decay = cut(g, range, width).heads(heads, dim: dim)
                    let keys = cut(k, range, width).heads(heads, dim: dim)
                    compute.channelGates(
                        decay: decay, k: keys, a: aBuffer.vector, dtBias: biasBuffer.vector,
                        decayed: decayed.view.heads(heads, dim: dim))
                    compute.kimiDelta(
                        q: cut(q, range, width).heads(heads, dim: dim), k: keys,
                        v: cut(v, range, width).heads(heads, dim: dim), decay: decay,
                        decayed: decayed.view.heads(heads, dim: dim), beta: cut(beta, range, heads), layer: 0, batch,
                        into: out.view.heads(heads, dim: dim))
                    batch.commit()
                    return out.values
                }
            }
            #expect(largestError(found, exact, floor: 1) < 2e-5)
        }
    }

    /// Gate first, norm after, group by group.
    @Test func gatedGroupNorm() {
        var random = SeededRandom(seed: 5)
        let (rows, groups, dim) = (3, 2, 20)
        let x = random.floats(rows * groups * dim, scale: 2)
        let z = random.floats(rows * groups * dim, scale: 2)
        let w = random.floats(groups * dim, scale: 1)
        let weight = kept(FloatBuffer(w))
        let found = sameBitsEverywhere { compute in
            let values = OwnedMatrix(x, rows: rows, cols: groups * dim)
            compute.gatedGroupNorm(
                values.view.heads(groups, dim: dim), weight.vector,
                gate: OwnedMatrix(z, rows: rows, cols: groups * dim).view.heads(groups, dim: dim), eps: 1e-5)
            return values.values
        }
        var exact: [Double] = []
        for group in 0..<rows * groups {
            let gated = (0..<dim).map { i in
                let g = Double(z[group * dim + i])
                return Double(x[group * dim + i]) * g / (1 + Foundation.exp(-g))
            }
            let scale = 1 / (gated.reduce(0) { $0 + $1 * $1 } / Double(dim) + 1e-5).squareRoot()
            exact += (0..<dim).map { gated[$0] * scale * Double(w[group % groups * dim + $0]) }
        }
        #expect(largestError(found, exact, floor: 0.1) < 1e-5)
    }
}

/// The rows of `range` as a matrix of their own.
func cut(_ values: [Float], _ range: Range<Int>, _ cols: Int) -> Matrix {
    OwnedMatrix(slice(values, range, cols: cols), rows: range.count, cols: cols).view
}
