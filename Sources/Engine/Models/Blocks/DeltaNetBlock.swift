/// The Gated DeltaNet mixer (Yang, Kautz & Hatamizadeh 2024): a linear-time layer whose memory is one matrix per
/// head, corrected towards each new value by the delta rule and decayed by a gate.
package struct DeltaNetBlock: Mixer {
    let keyHeads: Int
    let valueHeads: Int
    /// Values per key head and per value head.
    let headDim: Int
    let epsilon: Float
    /// Which key head serves a value head; files of one family agree on it.
    let order: KeyHeadOrder

    let attnQkv: Weight  // (embedding → channels): q | k | v
    let attnGate: Weight  // (embedding → valueHeads · headDim): z
    let gates: Gates
    let ssmConv1d: ConvWeight  // taps × channels
    let ssmA: FloatVector  // (valueHeads), already −exp(A_log)
    let ssmDt: FloatVector  // (valueHeads)
    let ssmNorm: FloatVector  // (headDim)
    let ssmOut: Weight  // (valueHeads · headDim → embedding)
    /// Everything that the layer's input is multiplied with.
    private let inputKinds: ActivationKinds

    /// What decay and write strength are made from.
    enum Gates: Sendable {
        case apart(alpha: Weight, beta: Weight)  // (embedding → valueHeads) each
        /// Per key head the write strengths of its value heads, then their decays.
        case joined(Weight)  // (embedding → 2 · valueHeads)
    }

    package init(
        _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape, order: KeyHeadOrder
    ) throws(EngineError) {
        keyHeads = try hyper.int("ssm.group_count", in: 1...1024)
        valueHeads = try hyper.int("ssm.time_step_rank", in: 1...1024)
        headDim = try hyper.int("ssm.state_size", in: 1...1024)
        let taps = try hyper.int("ssm.conv_kernel", in: 1...16)
        let inner = try hyper.int("ssm.inner_size", in: 1...(1 << 20))
        guard valueHeads.isMultiple(of: keyHeads) else {
            throw hyper.conflict(
                "ssm.time_step_rank", found: valueHeads, expected: "a multiple of ssm.group_count \(keyHeads)")
        }
        guard inner == valueHeads * headDim else {
            throw hyper.conflict(
                "ssm.inner_size", found: inner,
                expected: "ssm.time_step_rank · ssm.state_size = \(valueHeads * headDim)")
        }
        epsilon = shape.epsilon
        self.order = order

        let width = shape.embeddingLength
        let channels = 2 * keyHeads * headDim + inner
        attnQkv = try tensors.matrix("attn_qkv", in: width, out: channels)
        attnGate = try tensors.matrix("attn_gate", in: width, out: inner)
        if order == .grouped, tensors.contains("ssm_ba") || !tensors.contains("ssm_alpha") {
            gates = .joined(try tensors.matrix("ssm_ba", in: width, out: 2 * valueHeads))
        } else {
            gates = .apart(
                alpha: try tensors.matrix("ssm_alpha", in: width, out: valueHeads),
                beta: try tensors.matrix("ssm_beta", in: width, out: valueHeads))
        }
        ssmConv1d = ConvWeight(
            try tensors.table("ssm_conv1d", cols: taps, rows: channels), channels: channels, taps: taps)
        ssmA = try tensors.vector(exactly: "ssm_a", valueHeads)
        ssmDt = try tensors.vector(exactly: "ssm_dt.bias", valueHeads)
        ssmNorm = try tensors.vector("ssm_norm", headDim)
        ssmOut = try tensors.matrix("ssm_out", in: inner, out: width)
        switch gates {
        case .apart(let alpha, let beta): inputKinds = ActivationKinds(attnQkv, attnGate, alpha, beta)
        case .joined(let both): inputKinds = ActivationKinds(attnQkv, attnGate, both)
        }
    }

    package var state: LayerState {
        .recurrent(
            convChannels: ssmConv1d.channels, convTaps: ssmConv1d.taps, heads: valueHeads, keyDim: headDim,
            valueDim: headDim)
    }

    package func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        let cpu = pass.cpu
        pass.work.scoped {
            let (u, z) = (pass.matrix(attnQkv.rows), pass.matrix(attnGate.rows))
            let (alpha, beta) = (pass.matrix(valueHeads), pass.matrix(valueHeads))
            let input = pass.prepare(x, for: inputKinds)
            switch gates {
            case .apart(let ssmAlpha, let ssmBeta):
                cpu.matmul(
                    input, Product(attnQkv, into: u), Product(attnGate, into: z), Product(ssmAlpha, into: alpha),
                    Product(ssmBeta, into: beta))
            case .joined(let ssmBa):
                let both = pass.matrix(ssmBa.rows)
                cpu.matmul(input, Product(attnQkv, into: u), Product(attnGate, into: z), Product(ssmBa, into: both))
                let group = valueHeads / keyHeads
                for (offset, target) in [(0, beta), (group, alpha)] {
                    cpu.copy(
                        both.heads(keyHeads, dim: group, offset: offset, stride: 2 * group),
                        into: target.heads(keyHeads, dim: group))
                }
            }

            let qkv = pass.matrix(u.cols)
            cpu.causalConv(u, ssmConv1d, layer: layer, pass.batch, into: qkv)
            let q = qkv.heads(keyHeads, dim: headDim)
            let k = qkv.heads(keyHeads, dim: headDim, offset: keyHeads * headDim)
            let v = qkv.heads(valueHeads, dim: headDim, offset: 2 * keyHeads * headDim)
            cpu.l2Norm(q, scale: 1 / Float(headDim).squareRoot())
            cpu.l2Norm(k)

            cpu.deltaGates(alpha: alpha, beta: beta, a: ssmA, dtBias: ssmDt)
            let remembered = pass.matrix(attnGate.rows)
            let y = remembered.heads(valueHeads, dim: headDim)
            cpu.gatedDeltaNet(
                q: q, k: k, v: v, decay: alpha, beta: beta, keyHeads: order, layer: layer, pass.batch, into: y)
            cpu.gatedRMSNorm(y, ssmNorm, gate: z.heads(valueHeads, dim: headDim), eps: epsilon, into: y)
            cpu.matmul(ssmOut, pass.prepare(remembered, for: ssmOut), into: out)
        }
    }
}
