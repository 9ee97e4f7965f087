import CKernels
import Engine
import Foundation
import TestSupport
import Testing

/// Inputs of a Gated DeltaNet layer for one sequence: convolution, gates and the delta rule.
private struct DeltaCase {
    let keyHeads: Int
    let valueHeads: Int
    let keyDim: Int
    let valueDim: Int
    let taps: Int
    let tokens: Int
    let order: KeyHeadOrder

    let x: [Float]
    let alpha: [Float]
    let beta: [Float]
    let kernel: [Float]
    let a: FloatBuffer
    let dt: FloatBuffer
    let weight: ConvWeight

    init(
        keyHeads: Int = 2, valueHeads: Int = 4, keyDim: Int = 16, valueDim: Int = 16, taps: Int = 4, tokens: Int,
        order: KeyHeadOrder = .tiled, seed: UInt64 = 1
    ) {
        self.keyHeads = keyHeads
        self.valueHeads = valueHeads
        self.keyDim = keyDim
        self.valueDim = valueDim
        self.taps = taps
        self.tokens = tokens
        self.order = order
        var random = SeededRandom(seed: seed)
        let channels = 2 * keyHeads * keyDim + valueHeads * valueDim
        x = random.floats(tokens * channels, scale: 2)
        alpha = random.floats(tokens * valueHeads, scale: 3)
        beta = random.floats(tokens * valueHeads, scale: 3)
        kernel = random.floats(channels * taps)
        a = kept(FloatBuffer(random.floats(valueHeads).map { -abs($0) }))
        dt = kept(FloatBuffer(random.floats(valueHeads)))
        weight = ConvWeight(kept(FloatBuffer(kernel)).vector, channels: channels, taps: taps)
    }

    var channels: Int { weight.channels }
    var outputs: Int { valueHeads * valueDim }
    var layout: StateLayout {
        get throws {
            try StateLayout(layers: [
                .none,
                .recurrent(
                    convChannels: channels, convTaps: taps, heads: valueHeads, keyDim: keyDim, valueDim: valueDim),
            ])
        }
    }

    static func pass(_ compute: Compute, _ parts: [(DeltaCase, SequenceState, Range<Int>)]) -> [[Float]] {
        let shape = parts[0].0
        let batch = Batch(capacity: 1024)
        var (x, alpha, beta): ([Float], [Float], [Float]) = ([], [], [])
        for (part, state, range) in parts {
            batch.append(range.map { Int32($0) }, to: state, logits: .none)
            x += slice(part.x, range, cols: shape.channels)
            alpha += slice(part.alpha, range, cols: shape.valueHeads)
            beta += slice(part.beta, range, cols: shape.valueHeads)
        }
        let rows = batch.count
        let input = OwnedMatrix(x, rows: rows, cols: shape.channels)
        let convolved = OwnedMatrix(rows: rows, cols: shape.channels)
        let decay = OwnedMatrix(alpha, rows: rows, cols: shape.valueHeads)
        let strength = OwnedMatrix(beta, rows: rows, cols: shape.valueHeads)
        let out = OwnedMatrix(rows: rows, cols: shape.outputs)
        compute.causalConv(input.view, shape.weight, layer: 1, batch, into: convolved.view)
        compute.deltaGates(alpha: decay.view, beta: strength.view, a: shape.a.vector, dtBias: shape.dt.vector)
        let keys = shape.keyHeads * shape.keyDim
        let q = convolved.view.heads(shape.keyHeads, dim: shape.keyDim)
        let k = convolved.view.heads(shape.keyHeads, dim: shape.keyDim, offset: keys)
        compute.l2Norm(q, scale: 1 / Float(shape.keyDim).squareRoot())
        compute.l2Norm(k)
        compute.gatedDeltaNet(
            q: q, k: k, v: convolved.view.heads(shape.valueHeads, dim: shape.valueDim, offset: 2 * keys),
            decay: decay.view, beta: strength.view, keyHeads: shape.order, layer: 1, batch,
            into: out.view.heads(shape.valueHeads, dim: shape.valueDim))
        batch.commit()
        let all = out.values
        return batch.segments.map { slice(all, $0.rows, cols: shape.outputs) }
    }

    func run(_ compute: Compute, _ split: [Range<Int>]) throws -> [Float] {
        let state = try SequenceState(layout, capacity: tokens)
        return split.flatMap { Self.pass(compute, [(self, state, $0)])[0] }
    }

    /// Section by section as the paper has it, in double precision.
    var exact: [Double] {
        var mixed = [[Double]](repeating: [], count: tokens)
        for t in 0..<tokens {
            mixed[t] = (0..<channels).map { c in
                let sum = (0..<taps).reduce(0.0) { sum, j in
                    let source = t - taps + 1 + j
                    return source < 0 ? sum : sum + Double(kernel[c * taps + j]) * Double(x[source * channels + c])
                }
                return sum / (1 + Foundation.exp(-sum))
            }
        }
        var out: [Double] = []
        var states = [[Double]](repeating: [Double](repeating: 0, count: keyDim * valueDim), count: valueHeads)
        for t in 0..<tokens {
            for head in 0..<valueHeads {
                let keyHead = order == .tiled ? head % keyHeads : head / (valueHeads / keyHeads)
                func unit(_ offset: Int, _ scale: Double) -> [Double] {
                    let values = mixed[t][offset + keyHead * keyDim..<offset + (keyHead + 1) * keyDim]
                    let length = (values.reduce(0) { $0 + $1 * $1 } + 1e-6).squareRoot()
                    return values.map { $0 / length * scale }
                }
                let q = unit(0, 1 / Double(keyDim).squareRoot())
                let k = unit(keyHeads * keyDim, 1)
                let strength = 1 / (1 + Foundation.exp(-Double(beta[t * valueHeads + head])))
                let raw = Double(alpha[t * valueHeads + head]) + Double(dt.pointer[head])
                let decay = Foundation.exp(Double(a.pointer[head]) * log1p(Foundation.exp(raw)))
                for j in 0..<valueDim {
                    var seen = 0.0
                    for i in 0..<keyDim {
                        states[head][i * valueDim + j] *= decay
                        seen += states[head][i * valueDim + j] * k[i]
                    }
                    let value = mixed[t][2 * keyHeads * keyDim + head * valueDim + j]
                    var read = 0.0
                    for i in 0..<keyDim {
                        states[head][i * valueDim + j] += k[i] * strength * (value - seen)
                        read += states[head][i * valueDim + j] * q[i]
                    }
                    out.append(read)
                }
            }
        }
        return out
    }
}

@Suite("Gated DeltaNet and its convolution", .keepsMemory)
struct ComputeRecurrentTests {
    @Test(
        "agrees with a double-precision loop", arguments: [(16, 16), (32, 48), (128, 128), (18, 20), (7, 5)],
        [KeyHeadOrder.tiled, .grouped])
    func accuracy(dims: (key: Int, value: Int), order: KeyHeadOrder) throws {
        let test = DeltaCase(
            keyHeads: 2, valueHeads: 6, keyDim: dims.key, valueDim: dims.value, tokens: 35, order: order)
        let values = try sameBitsEverywhere { try test.run($0, [0..<35]) }
        #expect(largestError(values, test.exact, floor: 0.1) < 2e-5)
    }

    @Test("convolutions of any length", arguments: [1, 2, 3, 4, 5, 16])
    func taps(count: Int) throws {
        let test = DeltaCase(taps: count, tokens: 20)
        let values = try sameBitsEverywhere { try test.run($0, [0..<3, 3..<4, 4..<20]) }
        #expect(largestError(values, test.exact, floor: 0.1) < 2e-5)
    }

    @Test("the same bits for every split of the tokens")
    func batchSplits() throws {
        let test = DeltaCase(keyHeads: 2, valueHeads: 4, keyDim: 32, valueDim: 40, tokens: 150)
        let whole = try test.run(Compute(threads: 1), [0..<150])
        for split in splits(of: 150) + [[0..<1, 1..<3, 3..<16, 16..<17, 17..<150]] {
            for threads in [1, 4] {
                let values = try test.run(Compute(threads: threads), split)
                #expect(firstDifference(values, whole) == nil, "\(split.count) passes")
            }
        }
    }

    @Test("other sequences in the batch change nothing")
    func severalSequences() throws {
        let cases = (0..<2).map { DeltaCase(tokens: 40, seed: UInt64(5 + $0)) }
        // One layer, so one set of weights.
        let inputs = DeltaCase(tokens: 40, seed: 5)
        let alone = try cases.map { part -> [Float] in
            let state = try SequenceState(part.layout, capacity: 40)
            return DeltaCase.pass(
                Compute(threads: 1),
                [(inputs, try SequenceState(part.layout, capacity: 40), 0..<1), (part, state, 0..<40)])[1]
        }
        let states = try cases.map { try SequenceState($0.layout, capacity: 40) }
        var together: [[Float]] = [[], []]
        for step in [[1, 20], [30, 1], [9, 19]] {
            let parts =
                [(inputs, try SequenceState(inputs.layout, capacity: 1), 0..<1)]
                + zip(zip(cases, states), step).map { ($0.0.0, $0.0.1, $0.0.1.count..<$0.0.1.count + $0.1) }
            let outputs = DeltaCase.pass(Compute(threads: 3), parts)
            together[0] += outputs[1]
            together[1] += outputs[2]
        }
        for (a, b) in zip(alone, together) { #expect(firstDifference(a, b) == nil) }
    }

    @Test("a snapshot brings the state back; a prefix alone cannot be kept")
    func snapshots() throws {
        let test = DeltaCase(tokens: 30)
        let whole = try test.run(Compute(threads: 1), [0..<30])
        let state = try SequenceState(test.layout, capacity: 30)
        let compute = Compute(threads: 2)
        _ = DeltaCase.pass(compute, [(test, state, 0..<12)])
        let snapshot = state.snapshot()
        _ = DeltaCase.pass(compute, [(test, state, 12..<25)])
        #expect(!state.truncate(to: 12) && state.count == 25)
        #expect(state.truncate(to: 25))
        state.restore(snapshot)
        #expect(state.count == 12)
        let tail = DeltaCase.pass(compute, [(test, state, 12..<30)])[0]
        #expect(firstDifference(tail, slice(whole, 12..<30, cols: test.outputs)) == nil)
        #expect(state.truncate(to: 0) && state.count == 0)
        let again = DeltaCase.pass(compute, [(test, state, 0..<30)])[0]
        #expect(firstDifference(again, whole) == nil)
    }
}
