/// The first Mamba mixer (Gu & Dao 2023): a selective state space layer whose memory is a few numbers for each channel,
/// decayed by a step that the channel's input makes, with a short convolution before and a gate behind it.
package struct Mamba1Block: Mixer {
    /// Norms of step, B and C before they are used.
    package enum Norms: Sendable {
        case none
        /// RMS norms without weights.
        case weightless
        /// RMS norms `ssm_dt_norm`, `ssm_b_norm`, `ssm_c_norm`.
        case weighted
    }

    let inner: Int
    let stateSize: Int
    let rank: Int
    let epsilon: Float
    let norms: Norms

    let ssmIn: Weight  // (embedding → 2 · inner): x | z
    let ssmConv1d: ConvWeight  // taps × inner
    let ssmConv1dBias: FloatVector?  // (inner)
    let ssmX: Weight  // (inner → rank + 2 · state): step | B | C
    let ssmDt: Weight  // (rank → inner)
    let ssmDtBias: FloatVector  // (inner)
    let ssmA: ChannelDecays  // (inner, state) in the file, already −exp(A_log)
    let ssmD: FloatVector  // (inner)
    let ssmDtNorm: FloatVector?  // (rank)
    let ssmBNorm: FloatVector?  // (state)
    let ssmCNorm: FloatVector?  // (state)
    let ssmOut: Weight  // (inner → embedding)

    package init(
        _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape, norms: Norms
    ) throws(EngineError) {
        inner = try hyper.int("ssm.inner_size", in: 1...(1 << 20))
        stateSize = try hyper.int("ssm.state_size", in: 1...1024)
        rank = try hyper.int("ssm.time_step_rank", in: 1...(1 << 16))
        let taps = try hyper.int("ssm.conv_kernel", in: 1...16)
        epsilon = shape.epsilon
        self.norms = norms
        ssmIn = try tensors.matrix("ssm_in", in: shape.embeddingLength, out: 2 * inner)
        ssmConv1d = ConvWeight(try tensors.table("ssm_conv1d", cols: taps, rows: inner), channels: inner, taps: taps)
        ssmConv1dBias = try tensors.bias("ssm_conv1d", inner, .optional)
        ssmX = try tensors.matrix("ssm_x", in: inner, out: rank + 2 * stateSize)
        ssmDt = try tensors.matrix("ssm_dt", in: rank, out: inner)
        ssmDtBias = try tensors.vector(exactly: "ssm_dt.bias", inner)
        ssmA = ChannelDecays(
            try tensors.table(exactly: "ssm_a", cols: stateSize, rows: inner), channels: inner, states: stateSize)
        ssmD = try tensors.vector(exactly: "ssm_d", inner)
        if case .weighted = norms {
            ssmDtNorm = try tensors.vector("ssm_dt_norm", rank)
            ssmBNorm = try tensors.vector("ssm_b_norm", stateSize)
            ssmCNorm = try tensors.vector("ssm_c_norm", stateSize)
        } else {
            (ssmDtNorm, ssmBNorm, ssmCNorm) = (nil, nil, nil)
        }
        ssmOut = try tensors.matrix("ssm_out", in: inner, out: shape.embeddingLength)
    }

    package var kind: String { "Mamba" }
    package var state: LayerState {
        .recurrent(
            convChannels: ssmConv1d.channels, convTaps: ssmConv1d.taps, heads: 1, keyDim: stateSize, valueDim: inner)
    }

    package func forward(_ x: Matrix, _: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        let cpu = pass.cpu
        pass.work.scoped {
            let u = pass.matrix(ssmIn.rows)
            cpu.matmul(ssmIn, pass.prepare(x, for: ssmIn), into: u)
            let c = pass.matrix(inner)
            cpu.causalConv(
                u.columns(0..<inner), ssmConv1d, bias: ssmConv1dBias, layer: layer, pass.batch, into: c)
            let parts = pass.matrix(ssmX.rows)
            cpu.matmul(ssmX, pass.prepare(c, for: ssmX), into: parts)
            let step = parts.columns(0..<rank)
            let b = parts.columns(rank..<rank + stateSize)
            let read = parts.columns(rank + stateSize..<rank + 2 * stateSize)
            norm(step, ssmDtNorm, cpu)
            norm(b, ssmBNorm, cpu)
            norm(read, ssmCNorm, cpu)
            let dt = pass.matrix(inner)
            cpu.matmul(ssmDt, pass.prepare(step, for: ssmDt), bias: ssmDtBias, into: dt)
            let y = pass.matrix(inner)
            cpu.mamba1(c, b: b, c: read, dt: dt, a: ssmA, d: ssmD, layer: layer, pass.batch, into: y)
            cpu.gated(.silu, gate: u.columns(inner..<2 * inner), up: y, into: y)
            cpu.matmul(ssmOut, pass.prepare(y, for: ssmOut), into: out)
        }
    }

    private func norm(_ x: Matrix, _ weight: FloatVector?, _ cpu: Compute) {
        if case .none = norms { return }
        cpu.rmsNorm(x, weight, eps: epsilon, into: x)
    }
}
