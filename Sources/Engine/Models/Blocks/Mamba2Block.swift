/// The Mamba2 mixer (Dao & Gu 2024): a selective state space layer whose memory is one matrix per head, decayed by a
/// gate, with a short convolution before and a gated norm behind it.
package struct Mamba2Block: Mixer {
    let heads: Int
    let headDim: Int
    let groups: Int
    let stateSize: Int
    let inner: Int  // heads · headDim
    let epsilon: Float

    let ssmIn: Weight  // (embedding → inner + channels + heads): z | x, B, C | dt
    let ssmConv1d: ConvWeight  // taps × channels
    let ssmConv1dBias: FloatVector  // (channels)
    let ssmA: FloatVector  // (heads), already −exp(A_log)
    let ssmD: FloatVector  // (heads)
    let ssmDt: FloatVector  // (heads)
    let ssmNorm: FloatVector?  // (inner), a norm of each group; nil: only gated
    let ssmOut: Weight  // (inner → embedding)

    package init(
        _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape, normIsOptional: Bool = false
    ) throws(EngineError) {
        inner = try hyper.int("ssm.inner_size", in: 1...(1 << 20))
        stateSize = try hyper.int("ssm.state_size", in: 1...1024)
        groups = try hyper.int("ssm.group_count", in: 1...1024)
        heads = try hyper.int("ssm.time_step_rank", in: 1...4096)
        let taps = try hyper.int("ssm.conv_kernel", in: 1...16)
        guard inner.isMultiple(of: heads), inner.isMultiple(of: groups) else {
            throw hyper.conflict(
                "ssm.inner_size", found: inner,
                expected: "a multiple of ssm.time_step_rank \(heads) and of ssm.group_count \(groups)")
        }
        guard heads.isMultiple(of: groups) else {
            throw hyper.conflict(
                "ssm.time_step_rank", found: heads, expected: "a multiple of ssm.group_count \(groups)")
        }
        headDim = inner / heads
        epsilon = shape.epsilon
        let channels = inner + 2 * groups * stateSize
        ssmIn = try tensors.matrix("ssm_in", in: shape.embeddingLength, out: inner + channels + heads)
        ssmConv1d = ConvWeight(
            try tensors.table("ssm_conv1d", cols: taps, rows: channels), channels: channels, taps: taps)
        ssmConv1dBias = try tensors.vector(exactly: "ssm_conv1d.bias", channels)
        ssmA = try tensors.vector(exactly: "ssm_a", heads)
        ssmD = try tensors.vector(exactly: "ssm_d", heads)
        ssmDt = try tensors.vector(exactly: "ssm_dt.bias", heads)
        ssmNorm =
            normIsOptional && !tensors.contains("ssm_norm")
            ? nil : try tensors.table("ssm_norm", cols: inner / groups, rows: groups)
        ssmOut = try tensors.matrix("ssm_out", in: inner, out: shape.embeddingLength)
    }

    package var kind: String { "Mamba2" }
    package var state: LayerState {
        .recurrent(
            convChannels: ssmConv1d.channels, convTaps: ssmConv1d.taps, heads: heads, keyDim: stateSize,
            valueDim: headDim)
    }

    package func forward(_ x: Matrix, _: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        let cpu = pass.cpu
        pass.work.scoped {
            let u = pass.matrix(ssmIn.rows)
            cpu.matmul(ssmIn, pass.prepare(x, for: ssmIn), into: u)
            let channels = ssmConv1d.channels
            let xbc = pass.matrix(channels)
            cpu.causalConv(
                u.columns(inner..<inner + channels), ssmConv1d, bias: ssmConv1dBias, layer: layer, pass.batch,
                into: xbc)
            let y = pass.matrix(inner)
            cpu.mamba2(
                xbc.heads(heads, dim: headDim), b: xbc.heads(groups, dim: stateSize, offset: inner),
                c: xbc.heads(groups, dim: stateSize, offset: inner + groups * stateSize),
                dt: u.columns(inner + channels..<u.cols), a: ssmA, dtBias: ssmDt, d: ssmD, layer: layer, pass.batch,
                into: y.heads(heads, dim: headDim))
            let width = inner / groups
            if let ssmNorm {
                let gate = u.heads(groups, dim: width)
                cpu.gatedGroupNorm(y.heads(groups, dim: width), ssmNorm, gate: gate, eps: epsilon)
            } else {
                cpu.gated(.silu, gate: u.columns(0..<inner), up: y, into: y)
            }
            cpu.matmul(ssmOut, pass.prepare(y, for: ssmOut), into: out)
        }
    }
}
