import CKernels
import Engine
import Foundation
import TestSupport
import Testing

/// Queries, keys and values of one sequence, and what attention must make of them.
private struct AttentionCase {
    var heads = 4
    var kvHeads = 2
    var keyDim = 32
    var valueDim = 32
    var tokens = 40
    var window: Int?
    var sinks = false
    var type = CacheType.f32
    var seed: UInt64 = 1

    let q: [Float]
    let k: [Float]
    let v: [Float]
    let sinkBuffer: FloatBuffer

    init(
        heads: Int, kvHeads: Int, keyDim: Int, valueDim: Int? = nil, tokens: Int, window: Int? = nil,
        sinks: Bool = false, type: CacheType = .f32, seed: UInt64 = 1
    ) {
        self.heads = heads
        self.kvHeads = kvHeads
        self.keyDim = keyDim
        self.valueDim = valueDim ?? keyDim
        self.tokens = tokens
        self.window = window
        self.sinks = sinks
        self.type = type
        var random = SeededRandom(seed: seed)
        q = random.floats(tokens * heads * keyDim, scale: 2)
        k = random.floats(tokens * kvHeads * keyDim, scale: 2)
        v = random.floats(tokens * kvHeads * self.valueDim)
        sinkBuffer = kept(FloatBuffer(random.floats(heads, scale: 3)))
    }

    var scale: Float { 1 / Float(keyDim).squareRoot() }
    var layout: StateLayout {
        get throws {
            try StateLayout(
                layers: [.none, .attention(kvHeads: kvHeads, keyDim: keyDim, valueDim: valueDim)], keyType: type,
                valueType: type)
        }
    }

    /// Appends tokens `range` to a batch of `rows` rows and gives their operands.
    func operands(_ range: Range<Int>) -> (q: [Float], k: [Float], v: [Float]) {
        (
            slice(q, range, cols: heads * keyDim), slice(k, range, cols: kvHeads * keyDim),
            slice(v, range, cols: kvHeads * valueDim)
        )
    }

    /// One pass over a batch that holds `parts` (cases of the same shape).
    static func pass(
        _ compute: Compute, _ workspace: Workspace, _ parts: [(AttentionCase, SequenceState, Range<Int>)]
    ) -> [[Float]] {
        let shape = parts[0].0
        let batch = Batch(capacity: 1024)
        var (q, k, v): ([Float], [Float], [Float]) = ([], [], [])
        for (part, state, range) in parts {
            batch.append(range.map { Int32($0) }, to: state, logits: .none)
            let operands = part.operands(range)
            q += operands.q
            k += operands.k
            v += operands.v
        }
        let rows = batch.count
        let queries = OwnedMatrix(q, rows: rows, cols: shape.heads * shape.keyDim)
        let keys = OwnedMatrix(k, rows: rows, cols: shape.kvHeads * shape.keyDim)
        let values = OwnedMatrix(v, rows: rows, cols: shape.kvHeads * shape.valueDim)
        let out = OwnedMatrix(rows: rows, cols: shape.heads * shape.valueDim)
        workspace.reset()
        compute.store(
            keys: keys.view.heads(shape.kvHeads, dim: shape.keyDim),
            values: values.view.heads(shape.kvHeads, dim: shape.valueDim), layer: 1, batch)
        compute.attention(
            queries.view.heads(shape.heads, dim: shape.keyDim),
            AttentionOptions(
                scale: shape.scale, window: shape.window, sinks: shape.sinks ? shape.sinkBuffer.vector : nil),
            layer: 1, batch, workspace, into: out.view.heads(shape.heads, dim: shape.valueDim))
        batch.commit()
        let all = out.values
        return batch.segments.map { slice(all, $0.rows, cols: shape.heads * shape.valueDim) }
    }

    func run(_ compute: Compute, _ split: [Range<Int>]) throws -> [Float] {
        let state = try SequenceState(layout, capacity: tokens)
        let workspace = kept(Workspace())
        return split.flatMap { Self.pass(compute, workspace, [(self, state, $0)])[0] }
    }

    /// A head's values as a cache of this type would give them back, 16 bits as half floats; nil: as they are.
    private static func rounded(_ x: ArraySlice<Float>, _ type: CacheType?) -> [Double] {
        switch type {
        case nil, .f32: return x.map(Double.init)
        case .f16: return x.map { Double(Float(Float16($0))) }
        case .q8_0:
            return stride(from: x.startIndex, to: x.endIndex, by: 32).flatMap { start -> [Double] in
                let group = x[start..<start + 32]
                let scale = Float(Float16((group.map(abs).max() ?? 0) / 127))
                let inverse = scale > 0 ? 1 / scale : 0
                return group.map { Double(min(max(($0 * inverse).rounded(.toNearestOrEven), -127), 127) * scale) }
            }
        }
    }

    /// In double precision, with keys and values rounded as `cache` rounds them.
    func exact(_ cache: CacheType?) -> [Double] {
        let keys = (0..<tokens * kvHeads).map { Self.rounded(k[$0 * keyDim..<($0 + 1) * keyDim], cache) }
        let values = (0..<tokens * kvHeads).map { Self.rounded(v[$0 * valueDim..<($0 + 1) * valueDim], cache) }
        var out: [Double] = []
        for token in 0..<tokens {
            for head in 0..<heads {
                let kvHead = head / (heads / kvHeads)
                let visible = max(0, token + 1 - (window ?? tokens))...token
                let query = q[(token * heads + head) * keyDim..<(token * heads + head + 1) * keyDim].map(Double.init)
                var scores = visible.map { j in
                    zip(query, keys[j * kvHeads + kvHead]).reduce(0) { $0 + $1.0 * $1.1 } * Double(scale)
                }
                if sinks { scores.append(Double(sinkBuffer.pointer[head])) }
                let top = scores.max() ?? 0
                let weights = scores.map { Foundation.exp($0 - top) }
                let sum = weights.reduce(0, +)
                for i in 0..<valueDim {
                    out.append(
                        zip(visible, weights).reduce(0) { $0 + $1.1 * values[$1.0 * kvHeads + kvHead][i] } / sum)
                }
            }
        }
        return out
    }

    /// n values as integers of at most 8191 with one scale.
    private static func integers(_ x: ArraySlice<Float>, top: Float? = nil) -> (integers: [Double], scale: Double) {
        let top = top ?? x.map(abs).max() ?? 0
        guard top > 0 else { return (x.map { _ in 0 }, 0) }
        let inverse = Double(8191 / top)
        return (x.map { (Double($0) * inverse).rounded(.toNearestOrEven) }, Double(top * (1 / Float(8191))))
    }

    /// The definition of attention in integers (float_words.inc), with double precision where it has floats.
    private var inIntegers: [Double] {
        let keys = (0..<tokens * kvHeads).map { row -> [Double] in
            let key = k[row * keyDim..<(row + 1) * keyDim]
            if type == .q8_0 { return Self.rounded(key, type) }
            return stride(from: key.startIndex, to: key.endIndex, by: 32).flatMap { start -> [Double] in
                let (integers, scale) = Self.integers(key[start..<min(start + 32, key.endIndex)])
                return integers.map { $0 * scale }
            }
        }
        let values = (0..<tokens * kvHeads).map { row in
            let value = v[row * valueDim..<(row + 1) * valueDim]
            guard type == .q8_0 else { return Self.integers(value) }
            let scales = stride(from: value.startIndex, to: value.endIndex, by: 32).map { start in
                Float(Float16((value[start..<start + 32].map(abs).max() ?? 0) / 127))
            }
            return Self.integers(Self.rounded(value, type).map(Float.init)[...], top: (scales.max() ?? 0) * 127)
        }
        var out: [Double] = []
        for token in 0..<tokens {
            for head in 0..<heads {
                let kvHead = head / (heads / kvHeads)
                let (query, queryScale) = Self.integers(
                    q[(token * heads + head) * keyDim..<(token * heads + head + 1) * keyDim])
                let first = max(0, token + 1 - (window ?? tokens))
                let scores = (first...token).map { j in
                    zip(query, keys[j * kvHeads + kvHead]).reduce(0) { $0 + $1.0 * $1.1 } * queryScale * Double(scale)
                }
                let sink = sinks ? Double(sinkBuffer.pointer[head]) : -.infinity
                let top = max(scores.max() ?? 0, sink)
                var sum = Foundation.exp(sink - top)
                var sums = [Double](repeating: 0, count: valueDim)
                // A group of 32 weights has the scale of its largest; the block's maximum cancels.
                for group in first / 32...token / 32 {
                    let positions = max(first, group * 32)...min(token, group * 32 + 31)
                    let weights = positions.map { Foundation.exp(scores[$0 - first] - top) }
                    sum += weights.reduce(0, +)
                    let scaled = zip(positions, weights).map { $1 * values[$0 * kvHeads + kvHead].scale }
                    guard let most = scaled.max(), most > 0 else { continue }
                    for (j, weight) in zip(positions, scaled) {
                        let integer = (weight * 8191 / most).rounded(.toNearestOrEven)
                        let row = values[j * kvHeads + kvHead].integers
                        for i in 0..<valueDim { sums[i] += integer * row[i] * most / 8191 }
                    }
                }
                out += sums.map { $0 / sum }
            }
        }
        return out
    }

    /// Floats: the result itself, within `tolerance`. Integers: their definition, apart from weights that lie between two
    /// integers; 16 bits nearer to the truth than half floats would be, and with Q8_0 little beside what the cache rounds.
    func expectAccurate(_ values: [Float], tolerance: Double) {
        let truth = exact(nil)
        guard type != .f32 else {
            #expect(largestError(values, truth, floor: 1) < tolerance)
            return
        }
        let defined = inIntegers
        let found = values.map(Double.init)
        #expect(rootMeanSquare(found, defined) < 1e-5)
        #expect(largestError(values, defined, floor: 1) < 1e-4)
        if type == .f16 {
            #expect(rootMeanSquare(found, truth) < rootMeanSquare(exact(.f16), truth))
        } else {
            let stored = exact(.q8_0)
            #expect(rootMeanSquare(found, stored) < 0.05 * rootMeanSquare(stored, truth))
        }
    }

    private func rootMeanSquare(_ a: [Double], _ b: [Double]) -> Double {
        guard a.count == b.count else { return .infinity }
        return (zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(a.count)).squareRoot()
    }
}

@Suite("Attention", .keepsMemory)
struct ComputeAttentionTests {
    @Test("agrees with a double-precision loop", arguments: [16, 32, 48, 64, 80, 128, 256], [1, 2, 3, 4, 7, 9])
    func accuracy(dim: Int, ratio: Int) throws {
        let test = AttentionCase(heads: 2 * ratio, kvHeads: 2, keyDim: dim, tokens: 37, seed: UInt64(dim + ratio))
        let values = try sameBitsEverywhere { try test.run($0, [0..<37]) }
        test.expectAccurate(values, tolerance: 3e-6)
    }

    @Test("values narrower than a vector, keys of any size", arguments: [(3, 5), (20, 33), (96, 24), (17, 64)])
    func oddDimensions(keyDim: Int, valueDim: Int) throws {
        for type in [CacheType.f32, .f16] {
            let test = AttentionCase(heads: 3, kvHeads: 1, keyDim: keyDim, valueDim: valueDim, tokens: 21, type: type)
            let values = try sameBitsEverywhere { try test.run($0, [0..<21]) }
            test.expectAccurate(values, tolerance: 3e-6)
        }
    }

    @Test("windows and sinks, over block borders", arguments: [nil, 1, 15, 100, 256, 300, 512], [false, true])
    func windows(window: Int?, sinks: Bool) throws {
        let test = AttentionCase(heads: 2, kvHeads: 1, keyDim: 16, tokens: 530, window: window, sinks: sinks)
        let values = try test.run(Compute(threads: 2), [0..<530])
        test.expectAccurate(values, tolerance: 4e-6)
    }

    @Test("smaller caches for heads of every size", arguments: [16, 32, 48, 64, 96, 128, 256], [CacheType.f16, .q8_0])
    func cacheAccuracy(dim: Int, type: CacheType) throws {
        guard dim.isMultiple(of: type.block) else { return }
        let test = AttentionCase(heads: 6, kvHeads: 2, keyDim: dim, tokens: 90, type: type, seed: UInt64(dim))
        test.expectAccurate(try sameBitsEverywhere { try test.run($0, [0..<90]) }, tolerance: 0)
    }

    @Test("the same bits for every split of the tokens", arguments: CacheType.allCases, [nil, 70, 256])
    func batchSplits(type: CacheType, window: Int?) throws {
        let count = 521
        let test = AttentionCase(
            heads: 6, kvHeads: 2, keyDim: 32, tokens: count, window: window, sinks: window == 70, type: type)
        let whole = try test.run(Compute(threads: 1), [0..<count])
        test.expectAccurate(whole, tolerance: 1e-5)
        for split in splits(of: count) + [[0..<255, 255..<256, 256..<257, 257..<count], [0..<300, 300..<count]] {
            for threads in [1, 3] {
                let values = try test.run(Compute(threads: threads), split)
                #expect(firstDifference(values, whole) == nil, "\(split.count) passes, \(threads) threads")
            }
        }
        // And one of them on every instruction set.
        try sameBitsEverywhere { try test.run($0, [0..<200, 200..<201, 201..<260]) }
    }

    @Test("other sequences in the batch change nothing")
    func severalSequences() throws {
        let cases = (0..<3).map { AttentionCase(heads: 4, kvHeads: 2, keyDim: 48, tokens: 300, seed: UInt64(20 + $0)) }
        let alone = try cases.map { try $0.run(Compute(threads: 1), [0..<300]) }
        let compute = Compute(threads: 3)
        let workspace = kept(Workspace())
        let states = try cases.map { try SequenceState($0.layout, capacity: 300) }
        var together: [[Float]] = [[], [], []]
        // Each advances at its own pace.
        let schedule = [[280, 1, 3], [1, 258, 90], [1, 1, 200], [18, 40, 7]]
        for step in schedule {
            let parts = zip(zip(cases, states), step).map { part, count in
                (part.0, part.1, part.1.count..<part.1.count + count)
            }
            for (index, values) in AttentionCase.pass(compute, workspace, parts).enumerated() {
                together[index] += values
            }
        }
        #expect(states.map(\.count) == [300, 300, 300])
        for (a, b) in zip(alone, together) { #expect(firstDifference(a, b) == nil) }
    }

    @Test("a truncated sequence continues as if the rest had never been")
    func truncated() throws {
        let test = AttentionCase(heads: 2, kvHeads: 2, keyDim: 16, tokens: 40)
        let state = try SequenceState(test.layout, capacity: 64)
        let compute = Compute(threads: 2)
        let workspace = kept(Workspace())
        _ = AttentionCase.pass(compute, workspace, [(test, state, 0..<40)])
        #expect(state.truncate(to: 11))
        let tail = AttentionCase.pass(compute, workspace, [(test, state, 11..<40)])[0]
        let whole = try test.run(compute, [0..<40])
        #expect(firstDifference(tail, slice(whole, 11..<40, cols: 2 * 16)) == nil)
    }

    @Test("a cache keeps finite values finite and not-a-numbers visible")
    func hostileValues() throws {
        for type in CacheType.allCases {
            let layout = try StateLayout(
                layers: [.attention(kvHeads: 1, keyDim: 32, valueDim: 32)], keyType: type, valueType: type)
            let compute = Compute(threads: 1)
            func attend(_ value: Float) throws -> [Float] {
                let state = try SequenceState(layout, capacity: 1)
                let batch = Batch(capacity: 1)
                batch.append([0], to: state, logits: .none)
                let k = OwnedMatrix([Float](repeating: 1, count: 32), rows: 1, cols: 32)
                var numbers = [Float](repeating: 1, count: 32)
                numbers[5] = value
                let v = OwnedMatrix(numbers, rows: 1, cols: 32)
                let out = OwnedMatrix(rows: 1, cols: 32)
                compute.store(keys: k.view.heads(1, dim: 32), values: v.view.heads(1, dim: 32), layer: 0, batch)
                compute.attention(
                    k.view.heads(1, dim: 32), AttentionOptions(scale: 1), layer: 0, batch, kept(Workspace()),
                    into: out.view.heads(1, dim: 32))
                return out.values
            }
            #expect(try attend(1e30).allSatisfy(\.isFinite), "\(type)")
            #expect(try attend(.nan)[5].isNaN, "\(type)")
        }
    }
}
