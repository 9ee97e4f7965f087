import Engine
import Foundation
import TestSupport
import Testing

@Suite("Mixture of experts", .keepsMemory)
struct ComputeMoETests {
    /// ids and weights of each token.
    private func route(_ logits: [Float], tokens: Int, _ options: RoutingOptions) -> (ids: [[Int]], weights: [[Float]])
    {
        let experts = logits.count / tokens
        var ids: [[Int]] = []
        let weights = sameBitsEverywhere { compute in
            let workspace = kept(Workspace())
            let routing = compute.route(OwnedMatrix(logits, rows: tokens, cols: experts).view, options, workspace)
            let found = (0..<tokens).map { t in (0..<options.topK).map { Int(routing.ids[t * options.topK + $0]) } }
            if ids.isEmpty { ids = found }
            #expect(ids == found)
            return (0..<tokens * options.topK).map { routing.weights[$0] }
        }
        return (ids, (0..<tokens).map { slice(weights, $0..<$0 + 1, cols: options.topK) })
    }

    private static func softmax(_ x: [Double]) -> [Double] {
        let weights = x.map { exp($0 - (x.max() ?? 0)) }
        return weights.map { $0 / weights.reduce(0, +) }
    }

    @Test("scores, normalisation and scale", arguments: [8, 33, 256])
    func scores(experts: Int) {
        var random = SeededRandom(seed: 1)
        let tokens = 9
        let logits = random.floats(tokens * experts, scale: 4)
        let bias = kept(FloatBuffer(random.floats(experts)))
        for score in [RoutingOptions.Score.softmax, .sigmoid, .softmaxOfChosen, .sqrtSoftplus] {
            for normalize in [false, true] {
                for biased in [false, true] {
                    var options = RoutingOptions(
                        topK: 4, score: score, selectionBias: biased ? bias.vector : nil, normalize: normalize)
                    options.scale = 2.5
                    let found = route(logits, tokens: tokens, options)
                    for token in 0..<tokens {
                        let row = slice(logits, token..<token + 1, cols: experts).map(Double.init)
                        let scores: [Double] =
                            switch score {
                            case .sparseMixer: []  // has a test of its own
                            case .softmax: Self.softmax(row)
                            case .sigmoid: row.map { 1 / (1 + exp(-$0)) }
                            case .softmaxOfChosen: row
                            case .sqrtSoftplus: row.map { log1p(exp($0)).squareRoot() }
                            }
                        let chosen = (0..<experts).sorted {
                            scores[$0] + (biased ? Double(bias.pointer[$0]) : 0)
                                > scores[$1] + (biased ? Double(bias.pointer[$1]) : 0)
                        }.prefix(4)
                        #expect(found.ids[token] == Array(chosen))
                        var weights = chosen.map { scores[$0] }
                        if score == .softmaxOfChosen { weights = Self.softmax(weights) }
                        if normalize { weights = weights.map { $0 / weights.reduce(0, +) } }
                        #expect(largestError(found.weights[token], weights.map { $0 * 2.5 }, floor: 1e-6) < 2e-6)
                    }
                }
            }
        }
    }

    /// The two softmaxes by hand: logits within 2 % of the best take part, the first choice not in the second.
    @Test("SparseMixer")
    func sparseMixer() {
        let logits: [Float] = [1, 2, 1.98, 0.5, 1.97, -1, -1.01, -1.5, -1.03, -3]
        let options = RoutingOptions(topK: 2, score: .sparseMixer(jitter: 0.01), normalize: false)
        let (ids, weights) = route(logits, tokens: 2, options)
        #expect(ids == [[1, 2], [0, 1]])
        func close(_ a: Float, _ b: Double) -> Bool { abs(Double(a) - b) < 1e-6 }
        #expect(close(weights[0][0], 1 / (1 + exp(-0.02) + exp(-0.03))))
        #expect(close(weights[0][1], 1 / (1 + exp(-0.01))))
        #expect(close(weights[1][0], 1 / (1 + exp(-0.01))))
        #expect(close(weights[1][1], 1 / (1 + exp(-0.02))))
    }

    @Test("ties go to the lower index, not-a-numbers still choose distinct experts")
    func ties() {
        let options = RoutingOptions(topK: 3, score: .sigmoid, normalize: true)
        #expect(route([0, 1, 1, 0, 1, 1], tokens: 1, options).ids == [[1, 2, 4]])
        #expect(route([0, 0, 0, 0, 0, 0], tokens: 1, options).ids == [[0, 1, 2]])
        let nan = route([.nan, .nan, 1, .nan, .nan, .nan], tokens: 1, options).ids[0]
        #expect(Set(nan).count == 3 && nan.allSatisfy { (0..<6).contains($0) })
    }

    @Test("the sum of a group's two best decides which groups take part")
    func groups() {
        var options = RoutingOptions(topK: 2, score: .softmaxOfChosen, normalize: false)
        options.groups = 4
        options.groupsUsed = 2
        // Group sums: 9+0, 5+5, 6+5, 1+1: groups 1 and 2 stay, the best single expert goes.
        let logits: [Float] = [9, 0, 0, 5, 5, 0, 6, 5, 0, 1, 1, 0]
        #expect(route(logits, tokens: 1, options).ids == [[6, 3]])
    }

    @Test("normalisation bounds")
    func normalizationBounds() {
        var options = RoutingOptions(topK: 1, score: .sigmoid, normalize: true)
        options.normalizeEpsilon = 0.5
        #expect(route([0, -9], tokens: 1, options).weights == [[0.5]])
        options.normalizeEpsilon = 0
        options.normalizeMinimum = 2
        #expect(route([0, -9], tokens: 1, options).weights == [[0.25]])
    }

    private struct Layer {
        let dim = 32
        let width: Int
        let count: Int
        let gate: OwnedWeight
        let up: OwnedWeight
        let down: OwnedWeight
        let biases: [FloatBuffer]
        let experts: Experts

        init(width: Int, count: Int, biased: Bool, activation: GatedActivation = .silu) throws {
            var random = SeededRandom(seed: 2)
            self.width = width
            self.count = count
            gate = try OwnedWeight(random.floats(count * width * dim), rows: width, cols: dim, experts: count)
            up = try OwnedWeight(random.floats(count * width * dim), rows: width, cols: dim, experts: count)
            down = try OwnedWeight(random.floats(count * width * dim), rows: dim, cols: width, experts: count)
            biases = [width, width, dim].map { kept(FloatBuffer(random.floats(count * $0))) }
            experts = Experts(
                gate: gate.weight, up: up.weight, down: down.weight, gateBias: biased ? biases[0].vector : nil,
                upBias: biased ? biases[1].vector : nil, downBias: biased ? biases[2].vector : nil,
                activation: .gated(activation))
        }

        func run(_ compute: Compute, _ x: [Float], _ logits: [Float], _ options: RoutingOptions) -> [Float] {
            let tokens = x.count / dim
            let workspace = kept(Workspace())
            let input = OwnedMatrix(x, rows: tokens, cols: dim)
            let routing = compute.route(OwnedMatrix(logits, rows: tokens, cols: count).view, options, workspace)
            let out = OwnedMatrix(rows: tokens, cols: dim)
            let prepared = compute.prepare(input.view, for: experts.inputKinds, workspace)
            compute.moe(prepared, routing, experts, workspace, into: out.view)
            return out.values
        }

        func exact(_ x: [Float], _ ids: [[Int]], _ weights: [[Float]], biased: Bool) -> [Double] {
            var out: [Double] = []
            for token in ids.indices {
                var sum = [Double](repeating: 0, count: dim)
                for (expert, weight) in zip(ids[token], weights[token]) {
                    let hidden = (0..<width).map { r -> Double in
                        let row = (expert * width + r) * dim
                        func dot(_ w: [Float], _ bias: FloatBuffer) -> Double {
                            var sum = biased ? Double(bias.pointer[expert * width + r]) : 0
                            for i in 0..<dim { sum += Double(w[row + i]) * Double(x[token * dim + i]) }
                            return sum
                        }
                        let (g, u) = (dot(gate.values, biases[0]), dot(up.values, biases[1]))
                        return g / (1 + exp(-g)) * u
                    }
                    for r in 0..<dim {
                        let row = (expert * dim + r) * width
                        var value = biased ? Double(biases[2].pointer[expert * dim + r]) : 0
                        for i in 0..<width { value += Double(down.values[row + i]) * hidden[i] }
                        sum[r] += Double(weight) * value
                    }
                }
                out += sum
            }
            return out
        }
    }

    @Test("agrees with a loop over experts", arguments: [1, 3, 40], [false, true])
    func experts(tokens: Int, biased: Bool) throws {
        let layer = try Layer(width: 48, count: 9, biased: biased)
        var random = SeededRandom(seed: 3)
        let x = random.floats(tokens * layer.dim)
        let logits = random.floats(tokens * layer.count, scale: 3)
        let options = RoutingOptions(topK: 3, score: .softmax, normalize: true)
        let routes = route(logits, tokens: tokens, options)
        let values = sameBitsEverywhere { layer.run($0, x, logits, options) }
        #expect(largestError(values, layer.exact(x, routes.ids, routes.weights, biased: biased), floor: 10) < 2e-6)
        // Token by token.
        let single = (0..<tokens).flatMap { token in
            layer.run(
                Compute(threads: 2), slice(x, token..<token + 1, cols: layer.dim),
                slice(logits, token..<token + 1, cols: layer.count), options)
        }
        #expect(firstDifference(single, values) == nil)
    }

    @Test("gate and up in one tensor")
    func fusedGateUp() throws {
        let layer = try Layer(width: 16, count: 4, biased: false)
        let size = layer.width * layer.dim
        var stacked: [Float] = []
        for expert in 0..<4 {
            stacked += layer.gate.values[expert * size..<(expert + 1) * size]
            stacked += layer.up.values[expert * size..<(expert + 1) * size]
        }
        let fused = try OwnedWeight(stacked, rows: 32, cols: layer.dim, experts: 4)
        let experts = Experts(
            gate: fused.weight.rows(0..<16), up: fused.weight.rows(16..<32), down: layer.down.weight)
        var random = SeededRandom(seed: 4)
        let x = random.floats(5 * layer.dim)
        let logits = random.floats(5 * 4)
        let options = RoutingOptions(topK: 2, score: .softmax, normalize: false)
        let compute = Compute(threads: 2)
        let workspace = kept(Workspace())
        let routing = compute.route(OwnedMatrix(logits, rows: 5, cols: 4).view, options, workspace)
        let out = OwnedMatrix(rows: 5, cols: layer.dim)
        let input = OwnedMatrix(x, rows: 5, cols: layer.dim)
        compute.moe(
            compute.prepare(input.view, for: experts.inputKinds, workspace), routing, experts, workspace, into: out.view
        )
        #expect(firstDifference(out.values, layer.run(compute, x, logits, options)) == nil)
    }
}
