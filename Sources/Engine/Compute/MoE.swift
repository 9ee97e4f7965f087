import CKernels

/// The stacked experts of one layer: down(act(gate · x) · (up · x)).
package struct Experts: Sendable {
    /// (experts, width, dim)
    package let gate: Weight
    package let up: Weight
    /// (experts, dim, width)
    package let down: Weight
    /// (experts, width) and (experts, dim), if the family has them.
    package let gateBias: FloatVector?
    package let upBias: FloatVector?
    package let downBias: FloatVector?
    package let activation: GatedActivation

    package init(
        gate: Weight, up: Weight, down: Weight, gateBias: FloatVector? = nil, upBias: FloatVector? = nil,
        downBias: FloatVector? = nil, activation: GatedActivation = .silu
    ) {
        precondition(gate.experts == up.experts && up.experts == down.experts)
        precondition(gate.rows == up.rows && gate.cols == up.cols && down.cols == up.rows)
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
    package var inputKinds: ActivationKinds { ActivationKinds(gate, up) }
}

extension Compute {
    /// out[t] = Σ over the chosen experts e, best first, of weight · expert_e(x[t]). out (tokens, dim).
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
            let gate = workspace.matrix(rows: groups.pairs, cols: experts.width)
            let up = workspace.matrix(rows: groups.pairs, cols: experts.width)
            multiply(groups, x, byToken: true, (experts.gate, experts.gateBias, gate), (experts.up, experts.upBias, up))
            let kind = experts.down.format.activation
            let hidden = activate(experts.activation, gate, up, kind, workspace)
            let down = workspace.matrix(rows: groups.pairs, cols: experts.dim)
            multiply(groups, hidden, byToken: false, (experts.down, experts.downBias, down), nil)
            let job = (groups, routing, down, out)
            pool.run(routing.tokens, grain: Self.grain(routing.topK * out.cols), job) { job, tokens, _ in
                let (groups, routing, down, out) = job
                for token in tokens {
                    for rank in 0..<routing.topK {
                        let slot = token * routing.topK + rank
                        let row = down.row(Int(groups.pairOfSlot[slot]))
                        if rank == 0 {
                            ck_scale(out.row(token), row, routing.weights[slot], out.cols)
                        } else {
                            ck_add_scaled(out.row(token), row, routing.weights[slot], out.cols)
                        }
                    }
                }
            }
        }
    }

    /// gate = act(gate) · up, then prepared for the next product. All (pairs, width).
    private func activate(
        _ activation: GatedActivation, _ gate: Matrix, _ up: Matrix, _ kind: ck_act, _ workspace: Workspace
    ) -> Activations {
        let stride = ck_act_row_bytes(kind, gate.cols)
        let prepared = kind == CK_ACT_F32 ? UnsafeMutableRawPointer(gate.pointer) : workspace.bytes(stride * gate.rows)
        var hidden = Activations(rows: gate.rows, cols: gate.cols)
        hidden[kind] = .init(pointer: prepared, stride: kind == CK_ACT_F32 ? gate.stride * 4 : stride)
        let job = (activation, gate, up, kind, prepared, stride)
        pool.run(gate.rows, grain: Self.grain(6 * gate.cols), job) { job, rows, _ in
            let (activation, gate, up, kind, prepared, stride) = job
            for row in rows {
                activation.apply(gate.row(row), up.row(row), gate.cols, gate.row(row))
                if kind != CK_ACT_F32 { ck_quantize(kind, gate.row(row), gate.cols, prepared + row * stride) }
            }
        }
        return hidden
    }

    /// One or two projections of every pair by its expert. `byToken`: activation rows are tokens, else pairs.
    private func multiply(
        _ groups: ExpertGroups, _ x: Activations, byToken: Bool,
        _ first: (weight: Weight, bias: FloatVector?, out: Matrix),
        _ second: (weight: Weight, bias: FloatVector?, out: Matrix)?
    ) {
        let a = ExpertProduct(first.weight, first.bias, x, first.out)
        let b = second.map { ExpertProduct($0.weight, $0.bias, x, $0.out) }
        let perExpert = a.chunks + (b?.chunks ?? 0)
        let job = (groups, a, b, perExpert, byToken)
        pool.run(
            groups.active * perExpert, scratch: max(a.scratch, b?.scratch ?? 0), job
        ) { job, units, worker in
            let (groups, a, b, perExpert, byToken) = job
            for unit in units {
                let group = unit / perExpert
                let chunk = unit % perExpert
                if let b, chunk >= a.chunks {
                    b.run(chunk - a.chunks, groups, group, byToken, worker.scratch)
                } else {
                    a.run(chunk, groups, group, byToken, worker.scratch)
                }
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
    /// Token of each pair.
    let tokenOfPair: UnsafeMutablePointer<Int32>
    /// Pair of each (token, rank).
    let pairOfSlot: UnsafeMutablePointer<Int32>

    init(_ routing: Routing, _ workspace: Workspace) {
        pairs = routing.tokens * routing.topK
        expertOf = workspace.ints(routing.experts + 1)
        firstPair = workspace.ints(routing.experts + 1)
        tokenOfPair = workspace.ints(pairs)
        pairOfSlot = workspace.ints(pairs)
        let next = workspace.ints(routing.experts)
        next.update(repeating: 0, count: routing.experts)
        for slot in 0..<pairs { next[Int(routing.ids[slot])] += 1 }
        var pair: Int32 = 0
        var active = 0
        for expert in 0..<routing.experts {
            let count = next[expert]
            next[expert] = pair
            if count > 0 {
                expertOf[active] = Int32(truncatingIfNeeded: expert)
                firstPair[active] = pair
                active += 1
                pair += count
            }
        }
        firstPair[active] = pair
        self.active = active
        for slot in 0..<pairs {
            let expert = Int(routing.ids[slot])
            let pair = next[expert]
            next[expert] += 1
            tokenOfPair[Int(pair)] = Int32(truncatingIfNeeded: slot / routing.topK)
            pairOfSlot[slot] = pair
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
    let activations: Activations.Prepared
    let out: Matrix
    let rowChunk: Int
    let chunks: Int

    init(_ weight: Weight, _ bias: FloatVector?, _ x: Activations, _ out: Matrix) {
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
        activations = prepared
        self.out = out
        let tiling = MatmulTiling(rows: weight.rows, rowBytes: weight.rowBytes, tokens: 1)
        rowChunk = tiling.rowChunk
        chunks = tiling.rowChunks
    }

    var scratch: Int { ck_matmul_scratch_bytes(format, cols) }

    func run(
        _ chunk: Int, _ groups: ExpertGroups, _ group: Int, _ byToken: Bool, _ scratch: UnsafeMutableRawPointer
    ) {
        let expert = Int(groups.expertOf[group])
        let pair = Int(groups.firstPair[group])
        let pairs = Int(groups.firstPair[group + 1]) - pair
        let row = chunk * rowChunk
        let count = min(rowChunk, rows - row)
        let target = out.row(pair) + row
        ck_matmul(
            format, bytes + expert * expertBytes + row * rowBytes, count, cols,
            byToken ? activations.pointer : activations.pointer + pair * activations.stride, activations.stride,
            byToken ? groups.tokenOfPair + pair : nil, pairs, target, out.stride, scratch)
        if let bias {
            for index in 0..<pairs { ck_add(target + index * out.stride, bias + expert * rows + row, count) }
        }
    }
}
