import CKernels

/// The stacked experts of one layer: down(act(gate · x) · (up · x)), or without gates down(act(up · x)).
package struct Experts: Sendable {
    /// (experts, width, dim); nil without gates.
    package let gate: Weight?
    package let up: Weight
    /// (experts, dim, width)
    package let down: Weight
    /// (experts, width) and (experts, dim), if the family has them.
    package let gateBias: FloatVector?
    package let upBias: FloatVector?
    package let downBias: FloatVector?
    package let activation: Activation

    /// - Parameter activation: a gated one if there is a `gate`, else a plain one.
    package init(
        gate: Weight?, up: Weight, down: Weight, gateBias: FloatVector? = nil, upBias: FloatVector? = nil,
        downBias: FloatVector? = nil, activation: Activation = .gated(.silu)
    ) {
        precondition(up.experts == down.experts && down.cols == up.rows)
        switch activation {
        case .gated:
            precondition(gate?.experts == up.experts && gate?.rows == up.rows && gate?.cols == up.cols)
        case .plain:
            precondition(gate == nil)
        }
        self.gate = gate
        self.up = up
        self.down = down
        self.gateBias = gateBias
        self.upBias = upBias
        self.downBias = downBias
        self.activation = activation
    }

    package var count: Int { up.experts }
    package var width: Int { up.rows }
    package var dim: Int { down.rows }
    /// What ``Compute/prepare(_:for:_:)`` must make of the layer's input.
    package var inputKinds: ActivationKinds { ActivationKinds(up, gate) }
}

extension Compute {
    /// out[t] = Σ over the chosen experts e, in rising order, of weight · expert_e(x[t]). out (tokens, dim).
    ///
    /// `x` is prepared for `experts.inputKinds`. Tokens are grouped by expert, and all (expert, rows) pieces of a
    /// projection run in one parallel pass.
    package func moe(
        _ x: Activations, _ routing: Routing, _ experts: Experts, _ workspace: Workspace, into out: Matrix
    ) {
        precondition(x.cols == experts.up.cols && out.cols == experts.dim && routing.experts == experts.count)
        precondition(x.rows == routing.tokens && out.rows == routing.tokens)
        workspace.scoped {
            let groups = ExpertGroups(routing, workspace)
            let gate = workspace.matrix(rows: experts.gate == nil ? 0 : groups.pairs, cols: experts.width)
            let up = workspace.matrix(rows: groups.pairs, cols: experts.width)
            if let observer {
                // Gate and up may be one tensor.
                let gate = experts.gate.flatMap { $0.name == experts.up.name ? nil : $0 }
                groups.report([gate, experts.up].compactMap { $0 }, x, byToken: true, to: observer)
            }
            project(groups, x, experts, gate, up)
            let kind = experts.down.format.activation
            let hidden = activate(experts.activation, gate, up, kind, workspace)
            if let observer { groups.report([experts.down], hidden, byToken: false, to: observer) }
            combine(groups, hidden, experts, workspace, into: out)
        }
    }

    /// out[t] = Σ over t's pairs of weight · (down_expert · hidden[pair] + bias), experts in rising order.
    private func combine(
        _ groups: ExpertGroups, _ hidden: Activations, _ experts: Experts, _ workspace: Workspace, into out: Matrix
    ) {
        if MatmulTiling.streams(tokens: groups.mostPairs) {
            // Long pieces of memory in a row matter more than storing the few results before they are added.
            let results = workspace.matrix(rows: groups.pairs, cols: experts.dim)
            let chunk = ExpertProduct.rowChunk(experts.down)
            let down = ExpertProduct(experts.down, experts.downBias, hidden, results, rowChunk: chunk)
            multiply(groups, down, nil, byToken: false)
            sum(groups, results, into: out)
        } else {
            combineByColumns(groups, hidden, experts, into: out)
        }
    }

    /// out[t] = Σ over t's pairs of weight · results[pair].
    private func sum(_ groups: ExpertGroups, _ results: Matrix, into out: Matrix) {
        let width = 64
        let pieces = (out.cols + width - 1) / width
        let grain = Self.grain(groups.pairs * width)
        pool.run(pieces, grain: grain, (groups, results, out)) { job, pieces, _ in
            let (groups, results, out) = job
            let first = pieces.lowerBound * width
            let count = min(pieces.count * width, out.cols - first)
            for token in 0..<out.rows { (out.row(token) + first).update(repeating: 0, count: count) }
            for pair in 0..<groups.pairs {
                ck_add_scaled(
                    out.row(Int(groups.tokenOfPair[pair])) + first, results.row(pair) + first,
                    groups.weightOfPair[pair], count)
            }
        }
    }

    /// The same for many tokens: each chunk makes some columns of `out` from all experts, so nothing but the sum is ever
    /// stored.
    private func combineByColumns(
        _ groups: ExpertGroups, _ hidden: Activations, _ experts: Experts, into out: Matrix
    ) {
        // Every expert begins anew in every chunk, so these are no smaller than it takes to come out nearly even.
        let chunk = max(64, (experts.dim / (4 * threads) + 31) / 32 * 32)
        let down = ExpertProduct(experts.down, experts.downBias, hidden, out, rowChunk: chunk)
        let matmulScratch = (down.scratch + 63) & ~63
        let job = (groups, down, out, matmulScratch)
        pool.run(down.chunks, scratch: matmulScratch + groups.mostPairs * chunk * 4, job) { job, chunks, worker in
            let (groups, down, out, matmulScratch) = job
            let tile = (worker.scratch + matmulScratch).assumingMemoryBound(to: Float.self)
            let first = chunks.lowerBound * down.rowChunk
            let count = min(chunks.count * down.rowChunk, down.rows - first)
            for token in 0..<out.rows { (out.row(token) + first).update(repeating: 0, count: count) }
            for group in 0..<groups.active {
                let pairs = down.run(chunks, groups, group, byToken: false, tile, count, worker.scratch)
                for (index, pair) in pairs.enumerated() {
                    ck_add_scaled(
                        out.row(Int(groups.tokenOfPair[pair])) + first, tile + index * count,
                        groups.weightOfPair[pair], count)
                }
            }
        }
    }

    /// up = act(gate) · up or act(up), then prepared for the next product. All (pairs, width).
    private func activate(
        _ activation: Activation, _ gate: Matrix, _ up: Matrix, _ kind: ck_act, _ workspace: Workspace
    ) -> Activations {
        let stride = ck_act_row_bytes(kind, up.cols)
        let prepared = kind == CK_ACT_F32 ? UnsafeMutableRawPointer(up.pointer) : workspace.bytes(stride * up.rows)
        var hidden = Activations(up)
        hidden[kind] = .init(pointer: prepared, stride: kind == CK_ACT_F32 ? up.stride * 4 : stride)
        let job = (activation, gate, up, kind, prepared, stride)
        pool.run(up.rows, grain: Self.grain(6 * up.cols), job) { job, rows, _ in
            let (activation, gate, up, kind, prepared, stride) = job
            for row in rows {
                switch activation {
                case .gated(let function): function.apply(gate.row(row), up.row(row), up.cols, up.row(row))
                case .plain(let function): ck_unary_apply(function.kernel, up.row(row), up.cols, up.row(row))
                }
                if kind != CK_ACT_F32 { ck_quantize(kind, up.row(row), up.cols, prepared + row * stride) }
            }
        }
        return hidden
    }

    /// Gate (if any) and up projections of every pair by its expert.
    private func project(_ groups: ExpertGroups, _ x: Activations, _ experts: Experts, _ gate: Matrix, _ up: Matrix) {
        let chunk = ExpertProduct.rowChunk(experts.up)
        let second = ExpertProduct(experts.up, experts.upBias, x, up, rowChunk: chunk)
        if let weight = experts.gate {
            let first = ExpertProduct(weight, experts.gateBias, x, gate, rowChunk: chunk)
            multiply(groups, first, second, byToken: true)
        } else {
            multiply(groups, second, nil, byToken: true)
        }
    }

    /// One or two products of the same shape for every pair: all (expert, product, rows) pieces are one list.
    private func multiply(
        _ groups: ExpertGroups, _ first: ExpertProduct, _ second: ExpertProduct?, byToken: Bool
    ) {
        let products = second == nil ? 1 : 2
        let second = second ?? first
        let scratch = max(first.scratch, second.scratch)
        let units = groups.active * products * first.chunks
        let streams = MatmulTiling.streams(tokens: groups.mostPairs)
        let job = (groups, first, second, products, byToken)
        pool.run(units, tapering: streams, scratch: scratch, job) { job, units, worker in
            let (groups, first, second, products, byToken) = job
            var unit = units.lowerBound
            while unit < units.upperBound {
                let group = unit / (products * first.chunks)
                let product = unit / first.chunks % products == 0 ? first : second
                let chunk = unit % first.chunks
                let chunks = chunk..<min(chunk + units.upperBound - unit, first.chunks)
                let target = product.out.row(Int(groups.firstPair[group])) + chunk * product.rowChunk
                _ = product.run(chunks, groups, group, byToken: byToken, target, product.out.stride, worker.scratch)
                unit += chunks.count
            }
        }
    }
}

/// (token, expert) pairs sorted by expert, then by token. Plain data in a workspace.
private struct ExpertGroups {
    let pairs: Int
    /// Experts that have a pair.
    let active: Int
    /// Expert and first pair of each active expert; one more entry closes the last.
    let expertOf: UnsafeMutablePointer<Int32>
    let firstPair: UnsafeMutablePointer<Int32>
    /// The most pairs of one expert.
    let mostPairs: Int
    /// Token and weight of each pair.
    let tokenOfPair: UnsafeMutablePointer<Int32>
    let weightOfPair: UnsafeMutablePointer<Float>

    init(_ routing: Routing, _ workspace: Workspace) {
        pairs = routing.tokens * routing.topK
        expertOf = workspace.ints(routing.experts + 1)
        firstPair = workspace.ints(routing.experts + 1)
        tokenOfPair = workspace.ints(pairs)
        weightOfPair = workspace.bytes(pairs * 4).bindMemory(to: Float.self, capacity: pairs)
        let next = workspace.ints(routing.experts)
        next.update(repeating: 0, count: routing.experts)
        for slot in 0..<pairs { next[Int(routing.ids[slot])] += 1 }
        var pair: Int32 = 0
        var active = 0
        var most: Int32 = 0
        for expert in 0..<routing.experts {
            let count = next[expert]
            next[expert] = pair
            most = max(most, count)
            if count > 0 {
                expertOf[active] = Int32(truncatingIfNeeded: expert)
                firstPair[active] = pair
                active += 1
                pair += count
            }
        }
        firstPair[active] = pair
        self.active = active
        mostPairs = Int(most)
        for slot in 0..<pairs {
            let expert = Int(routing.ids[slot])
            let pair = next[expert]
            next[expert] += 1
            tokenOfPair[Int(pair)] = Int32(truncatingIfNeeded: slot / routing.topK)
            weightOfPair[Int(pair)] = routing.weights[slot]
        }
    }

    /// Tells what each expert's matrix is about to meet. `byToken`: activation rows are tokens, else pairs.
    func report(_ weights: [Weight], _ x: Activations, byToken: Bool, to observer: any ComputeObserver) {
        for group in 0..<active {
            let first = Int(firstPair[group])
            let count = Int(firstPair[group + 1]) - first
            let rows =
                byToken
                ? ObservedRows(x.source, tokenOfPair + first, count: count)
                : ObservedRows(x.source.rows(first..<first + count))
            observer.multiply(weights, member: Int(expertOf[group]), rows)
        }
    }
}

/// One projection of all experts, cut into chunks of rows. Plain data.
private struct ExpertProduct {
    let format: UnsafePointer<ck_format>
    let bytes: UnsafeRawPointer
    let rows: Int
    let cols: Int
    let rowBytes: Int
    let expertBytes: Int
    let bias: UnsafePointer<Float>?
    let factors: Weight.Factors?
    let activations: Activations.Prepared
    let out: Matrix
    let rowChunk: Int
    let chunks: Int

    init(_ weight: Weight, _ bias: FloatVector?, _ x: Activations, _ out: Matrix, rowChunk: Int) {
        guard let prepared = x[weight.format.activation] else {
            preconditionFailure("\(weight.name): activations were not prepared for \(weight.format)")
        }
        precondition((bias?.count ?? weight.rows * weight.experts) == weight.rows * weight.experts)
        format = weight.format.kernel
        bytes = weight.bytes
        rows = weight.rows
        cols = weight.cols
        rowBytes = weight.rowBytes
        expertBytes = weight.expertBytes
        self.bias = bias?.pointer
        factors = weight.factors
        activations = prepared
        self.out = out
        self.rowChunk = rowChunk
        chunks = (weight.rows + rowChunk - 1) / rowChunk
    }

    /// Rows of a chunk, whole panels of 32: even parts of an expert, of about 256 KiB. Every beginning costs a stream from
    /// memory something, and chunks of this size still come out nearly even between threads.
    static func rowChunk(_ weight: Weight) -> Int {
        let chunks = max(1, weight.rowBytes * weight.rows >> 18)
        return ((weight.rows + chunks - 1) / chunks + 31) / 32 * 32
    }

    var scratch: Int { ck_matmul_scratch_bytes(format, cols) }

    /// Some chunks of rows for all pairs of one expert; gives those pairs. Pair i's results lie at
    /// `target + i * stride`. `byToken`: activation rows are tokens, else pairs.
    func run(
        _ chunks: Range<Int>, _ groups: ExpertGroups, _ group: Int, byToken: Bool,
        _ target: UnsafeMutablePointer<Float>,
        _ stride: Int, _ scratch: UnsafeMutableRawPointer
    ) -> Range<Int> {
        let expert = Int(groups.expertOf[group])
        let pairs = Int(groups.firstPair[group])..<Int(groups.firstPair[group + 1])
        let row = chunks.lowerBound * rowChunk
        let count = min(chunks.count * rowChunk, rows - row)
        ck_matmul(
            format, bytes + expert * expertBytes + row * rowBytes, count, cols,
            byToken ? activations.pointer : activations.pointer + pairs.lowerBound * activations.stride,
            activations.stride, byToken ? groups.tokenOfPair + pairs.lowerBound : nil, pairs.count, target, stride,
            scratch)
        if let factor = factors?[expert] {
            for index in 0..<pairs.count { ck_scale(target + index * stride, target + index * stride, factor, count) }
        }
        if let bias {
            for index in 0..<pairs.count { ck_add(target + index * stride, bias + expert * rows + row, count) }
        }
        return pairs
    }
}
