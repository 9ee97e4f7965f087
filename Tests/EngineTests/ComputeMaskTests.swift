import Engine
import Foundation
import TestSupport
import Testing

/// Masks other than the causal one, against a loop in double precision.
@Suite("Masks", .keepsMemory)
struct ComputeMaskTests {
    private static let (heads, dim) = (2, 16)

    /// Attention over `tokens` tokens in passes of these sizes, each of which sees ahead or not.
    private func attend(
        _ passes: [(count: Int, seesAhead: Bool)], _ options: AttentionOptions, threads: Int = 2
    ) throws -> [Float] {
        let tokens = passes.reduce(0) { $0 + $1.count }
        let width = Self.heads * Self.dim
        var random = SeededRandom(seed: 5)
        let all = (0..<3).map { _ in random.floats(tokens * width, scale: 2) }
        let layout = try StateLayout(
            layers: [.attention(kvHeads: Self.heads, keyDim: Self.dim, valueDim: Self.dim)], keyType: .f32,
            valueType: .f32)
        let state = try SequenceState(layout, capacity: tokens)
        let compute = Compute(threads: threads)
        let work = kept(Workspace())
        let batch = Batch(capacity: tokens)
        var results: [Float] = []
        for pass in passes {
            let rows = state.count..<state.count + pass.count
            let operands = all.map { OwnedMatrix(slice($0, rows, cols: width), rows: pass.count, cols: width) }
            let (q, k, v) = (operands[0].view, operands[1].view, operands[2].view)
            let out = OwnedMatrix(rows: pass.count, cols: width)
            var span = Span()
            span.seesAhead = pass.seesAhead
            batch.removeAll()
            batch.append([Int32](repeating: 0, count: pass.count), to: state, logits: .none, span)
            work.reset()
            func heads(_ x: Matrix) -> Heads { x.heads(Self.heads, dim: Self.dim) }
            compute.store(keys: heads(k), values: heads(v), layer: 0, batch)
            compute.attention(heads(q), options, layer: 0, batch, work, into: heads(out.view))
            batch.commit()
            results += out.values
        }
        return results
    }

    /// - Parameter sees: whether a query at the first position sees a key at the second.
    private func exact(_ tokens: Int, scale: Float, _ sees: (Int, Int) -> Bool) -> [Double] {
        let width = Self.heads * Self.dim
        var random = SeededRandom(seed: 5)
        let all = (0..<3).map { _ in random.floats(tokens * width, scale: 2).map(Double.init) }
        var out = [Double](repeating: 0, count: tokens * width)
        for query in 0..<tokens {
            for head in 0..<Self.heads {
                func vector(_ which: Int, _ token: Int) -> ArraySlice<Double> {
                    all[which][token * width + head * Self.dim..<token * width + (head + 1) * Self.dim]
                }
                let keys = (0..<tokens).filter { sees(query, $0) }
                let scores = keys.map { key in
                    zip(vector(0, query), vector(1, key)).reduce(0) { $0 + $1.0 * $1.1 } * Double(scale)
                }
                let top = scores.max() ?? 0
                let weights = scores.map { Foundation.exp($0 - top) }
                let sum = weights.reduce(0, +)
                for (key, weight) in zip(keys, weights) {
                    for (index, value) in vector(2, key).enumerated() {
                        out[query * width + head * Self.dim + index] += weight / sum * value
                    }
                }
            }
        }
        return out
    }

    @Test("without causality a window reaches as far ahead as back", arguments: [nil, 1, 4, 100, 256, 300, 600])
    func symmetricWindow(_ window: Int?) throws {
        let tokens = 530
        let options = AttentionOptions(scale: 0.25, window: window, isCausal: false)
        let found = try attend([(tokens, false)], options)
        #expect(found == (try attend([(tokens, false)], options, threads: 3)))
        let truth = exact(tokens, scale: 0.25) { abs($0 - $1) < window ?? tokens }
        #expect(largestError(found, truth, floor: 1) < 4e-6)
    }

    @Test("a span that sees ahead sees all of itself, and back as far as others", arguments: [nil, 20, 300])
    func span(_ window: Int?) throws {
        // A long and a short one, so that the work is split by tokens and by blocks.
        let passes = [(count: 260, seesAhead: false), (40, true), (7, false), (6, true), (3, false)]
        let found = try attend(passes, AttentionOptions(scale: 0.25, window: window))
        let spans = [260..<300, 307..<313]
        let truth = exact(316, scale: 0.25) { query, key in
            let end = spans.first { $0.contains(query) }?.upperBound ?? query + 1
            return key < end && key > query - (window ?? 316)
        }
        #expect(largestError(found, truth, floor: 1) < 4e-6)
    }
}
