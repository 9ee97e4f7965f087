import CKernels
import Foundation
import TestSupport
import Testing

@testable import Engine

/// Attention over latents and the choice of positions, against their definitions in double precision.
@Suite(.keepsMemory) struct ComputeLatentTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        var heads = 5
        var dim = 32
        var tail = 20
        var window: Int?
        var topK: Int?
        var tokens = 300
        var testDescription: String { "\(heads) heads, \(dim) + \(tail), window \(window ?? 0), top \(topK ?? 0)" }

        var padded: Int { (tail + 15) & ~15 }
        var query: Int { dim + padded }
    }

    static let shapes = [
        Shape(), Shape(heads: 40, dim: 16, tail: 0, tokens: 280), Shape(window: 37), Shape(topK: 19),
        Shape(heads: 33, topK: 290, tokens: 310),
    ]

    @Test(arguments: shapes)
    func attention(_ shape: Shape) throws {
        var random = SeededRandom(seed: 6)
        let (heads, tokens) = (shape.heads, shape.tokens)
        let latents = random.floats(tokens * shape.dim, scale: 1)
        let tails = random.floats(tokens * max(shape.tail, 1), scale: 1)
        var queries = random.floats(tokens * heads * shape.query, scale: 1)
        for row in 0..<tokens * heads {
            for i in shape.dim + shape.tail..<shape.query { queries[row * shape.query + i] = 0 }
        }
        // A choice must have exactly min(topK, position + 1) members: fill up from the front.
        let choices: [[Int]]? = shape.topK.map { topK in
            (0..<tokens).map { position in
                var picked = Set((0..<topK / 2).map { $0 * 7 % (position + 1) })
                var next = 0
                while picked.count < min(topK, position + 1) {
                    picked.insert(next)
                    next += 1
                }
                return picked.sorted()
            }
        }

        var exact: [Double] = []
        for t in 0..<tokens {
            let visible = choices?[t] ?? [Int](max(0, t + 1 - (shape.window ?? tokens))...t)
            for h in 0..<heads {
                let at = (t * heads + h) * shape.query
                var scores: [Double] = []
                for j in visible {
                    var score = 0.0
                    for i in 0..<shape.dim {
                        score += Double(queries[at + i]) * Double(latents[j * shape.dim + i])
                    }
                    for i in 0..<shape.tail {
                        score += Double(queries[at + shape.dim + i]) * Double(tails[j * shape.tail + i])
                    }
                    scores.append(score * 0.3)
                }
                let top = scores.max() ?? 0
                let weights = scores.map { Foundation.exp($0 - top) }
                let sum = weights.reduce(0, +)
                for i in 0..<shape.dim {
                    var value = 0.0
                    for (j, weight) in zip(visible, weights) { value += Double(latents[j * shape.dim + i]) * weight }
                    exact.append(value / sum)
                }
            }
        }

        let layout = try StateLayout(
            layers: [.latent(dim: shape.dim, tail: shape.tail)], keyType: .f32, valueType: .f32)
        for split in splits(of: tokens).prefix(3) {
            let found = try sameBitsEverywhere { compute in
                let state = try SequenceState(layout, capacity: tokens)
                let work = Workspace()
                return split.flatMap { range in
                    work.reset()
                    let batch = Batch(capacity: tokens)
                    batch.append(range.map { Int32($0) }, to: state, logits: .none)
                    let out = OwnedMatrix(rows: range.count, cols: heads * shape.dim)
                    compute.store(
                        latents: cut(latents, range, shape.dim),
                        tails: shape.tail == 0 ? nil : cut(tails, range, shape.tail), layer: 0, batch)
                    var positions: ChosenPositions?
                    if let topK = shape.topK, let choices {
                        let room = compute.chosenPositions(topK: topK, batch, work)
                        for (row, position) in range.enumerated() {
                            for (i, id) in choices[position].enumerated() { room.row(row)[i] = Int32(id) }
                        }
                        positions = room
                    }
                    compute.latentAttention(
                        cut(queries, range, heads * shape.query).heads(heads, dim: shape.query),
                        AttentionOptions(scale: 0.3, window: shape.window), chosen: positions, layer: 0, batch, work,
                        into: out.view.heads(heads, dim: shape.dim))
                    batch.commit()
                    return out.values
                }
            }
            #expect(largestError(found, exact, floor: 0.1) < 3e-5)
        }
    }

    /// Smaller caches are near the exact one, and store what they should.
    @Test(arguments: [(CacheType.f16, 2e-3), (.q8_0, 3e-2)])
    func cacheTypes(_ type: CacheType, _ tolerance: Double) throws {
        var random = SeededRandom(seed: 7)
        let latents = random.floats(40 * 64, scale: 1)
        let tails = random.floats(40 * 32, scale: 1)
        let queries = random.floats(40 * 3 * 96, scale: 1)
        func run(_ type: CacheType) throws -> [Float] {
            let layout = try StateLayout(layers: [.latent(dim: 64, tail: 32)], keyType: type, valueType: .f32)
            #expect(layout.bytesPerToken == type.bytes(64) + type.bytes(32))
            return try sameBitsEverywhere { compute in
                let batch = Batch(capacity: 40)
                batch.append((0..<40).map { Int32($0) }, to: try SequenceState(layout, capacity: 40), logits: .none)
                let out = OwnedMatrix(rows: 40, cols: 3 * 64)
                compute.store(latents: cut(latents, 0..<40, 64), tails: cut(tails, 0..<40, 32), layer: 0, batch)
                compute.latentAttention(
                    cut(queries, 0..<40, 3 * 96).heads(3, dim: 96), AttentionOptions(scale: 0.3), layer: 0, batch,
                    Workspace(), into: out.view.heads(3, dim: 64))
                return out.values
            }
        }
        let exact = try run(.f32).map(Double.init)
        let found = try run(type)
        let error = zip(found, exact).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
        #expect(error > 0 && error < tolerance)
    }

    @Test func headMatmul() throws {
        var random = SeededRandom(seed: 8)
        let weight = try OwnedWeight(random.floats(3 * 40 * 24, scale: 1), rows: 40, cols: 24, experts: 3)
        let x = random.floats(5 * 3 * 24, scale: 1)
        let found = sameBitsEverywhere { compute in
            let out = OwnedMatrix(rows: 5, cols: 3 * 48)
            compute.headMatmul(
                weight.weight, cut(x, 0..<5, 72).heads(3, dim: 24), Workspace(),
                into: out.view.heads(3, dim: 40, stride: 48))
            return (0..<5).flatMap { t in (0..<3).flatMap { h in (0..<40).map { out.view.row(t)[h * 48 + $0] } } }
        }
        var exact: [Double] = []
        for t in 0..<5 {
            for h in 0..<3 {
                for r in 0..<40 {
                    var sum = 0.0
                    for i in 0..<24 {
                        sum += Double(weight.values[(h * 40 + r) * 24 + i]) * Double(x[t * 72 + h * 24 + i])
                    }
                    exact.append(sum)
                }
            }
        }
        #expect(largestError(found, exact, floor: 0.1) < 1e-5)
    }

    /// The choice is that of the exact scores, however the tokens are cut.
    @Test(arguments: [1, 20, 256, 400])
    func choosePositions(_ topK: Int) throws {
        var random = SeededRandom(seed: 10)
        let (heads, dim, tokens) = (9, 24, 330)
        let keys = random.floats(tokens * dim, scale: 1)
        let queries = random.floats(tokens * heads * dim, scale: 1)
        let weights = random.floats(tokens * heads, scale: 1)
        let layout = try StateLayout(
            layers: [.latent(dim: 16, tail: 0, indexKeyDim: dim)], keyType: .f32, valueType: .f32)
        var first: [Float] = []
        for split in splits(of: tokens).prefix(3) {
            let found = try sameBitsEverywhere { compute in
                let state = try SequenceState(layout, capacity: tokens)
                let work = Workspace()
                return split.flatMap { range in
                    let batch = Batch(capacity: tokens)
                    batch.append(range.map { Int32($0) }, to: state, logits: .none)
                    work.reset()
                    let chosen = compute.chosenPositions(topK: topK, batch, work)
                    compute.store(indexKeys: cut(keys, range, dim), layer: 0, batch)
                    compute.choosePositions(
                        cut(queries, range, heads * dim).heads(heads, dim: dim), weights: cut(weights, range, heads),
                        layer: 0, batch, work, into: chosen)
                    batch.commit()
                    return range.enumerated().flatMap { row, position in
                        // While everything is visible nothing needs to be written.
                        (0..<min(topK, position + 1)).map {
                            position < topK ? Float($0) : Float(chosen.row(row)[$0])
                        }
                    }
                }
            }
            if first.isEmpty { first = found }
            #expect(found == first)
        }
        var next = 0
        for t in 0..<tokens {
            var scores: [Double] = []
            for j in 0...t {
                var score = 0.0
                for h in 0..<heads {
                    var product = 0.0
                    for i in 0..<dim {
                        product += Double(queries[(t * heads + h) * dim + i]) * Double(keys[j * dim + i])
                    }
                    score += Double(weights[t * heads + h]) * max(product, 0)
                }
                scores.append(score)
            }
            let wanted = min(topK, t + 1)
            let ids = first[next..<next + wanted].map { Int($0) }
            next += wanted
            #expect(ids == ids.sorted() && Set(ids).count == wanted)
            // The worst chosen is no worse than the best left out, but for rounding.
            let worst = ids.map { scores[$0] }.min() ?? 0
            let left = Set(0...t).subtracting(ids).map { scores[$0] }.max() ?? -.infinity
            #expect(worst >= left - 1e-4)
        }
    }

    /// Ties go to the lower index; every value may be equal.
    @Test func topK() {
        for values: [Float] in [[0, 0, 0, 0, 0], [3, 1, 3, 2, 3], [-1, -2, 0, -0.5, -3, 7, 7, 7, 1e30, -1e30], [5]] {
            for k in 1...values.count {
                let found = sameBitsEverywhere { _ in
                    var ids = [Int32](repeating: -1, count: k)
                    ck_top_k(values, values.count, k, &ids)
                    return ids.map { Float($0) }
                }
                let expected = values.indices.sorted { (values[$1], $0) < (values[$0], $1) }.prefix(k).sorted()
                #expect(found.map { Int($0) } == expected)
            }
        }
    }
}
