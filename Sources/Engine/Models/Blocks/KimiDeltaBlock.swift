/// Kimi delta attention (Kimi Team 2025): the gated delta rule with a decay for every key channel, made by a
/// low-rank projection, and an output gate made by another.
package struct KimiDeltaBlock: Mixer {
    let heads: Int
    let headDim: Int
    let epsilon: Float

    let attnQ: Weight  // (embedding → heads · headDim), as k and v
    let attnK: Weight
    let attnV: Weight
    let conv: ConvWeight  // taps × (q | k | v): ssm_conv1d_q, _k, _v
    let ssmBeta: Weight  // (embedding → heads)
    let ssmFA: Weight  // (embedding → headDim), the decay; without ssmFB (embedding → heads · headDim)
    let ssmFB: Weight?  // (headDim → heads · headDim)
    let ssmGA: Weight  // (embedding → headDim), the output gate; without ssmGB as ssmFA
    let ssmGB: Weight?  // (headDim → heads · headDim)
    /// The least log of a decay, which is then this times a sigmoid; nil: decays as in Kimi Linear.
    let floor: Float?
    let ssmA: FloatVector  // (heads), already −exp(A_log)
    let ssmDt: FloatVector  // (heads · headDim)
    let ssmNorm: FloatVector  // (headDim)
    let attnOutput: Weight  // (heads · headDim → embedding)
    /// Everything that the layer's input is multiplied with.
    private let inputKinds: ActivationKinds

    /// - Parameters:
    ///   - floor: see ``floor``.
    ///   - lowRank: gates are made by two projections.
    package init(
        _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape, floor: Float? = nil,
        lowRank: Bool = true
    ) throws(EngineError) {
        self.floor = floor
        heads = shape.headCount
        headDim = try hyper.int("kda.head_dim", in: 1...1024)
        let taps = try hyper.int("ssm.conv_kernel", in: 1...16)
        epsilon = shape.epsilon
        let (width, inner) = (shape.embeddingLength, heads * headDim)
        attnQ = try tensors.matrix("attn_q", in: width, out: inner)
        attnK = try tensors.matrix("attn_k", in: width, out: inner)
        attnV = try tensors.matrix("attn_v", in: width, out: inner)
        let kernels = FloatBuffer(count: 3 * inner * taps)
        for (index, name) in ["q", "k", "v"].enumerated() {
            let kernel = try tensors.table("ssm_conv1d_\(name)", cols: taps, rows: inner)
            (kernels.pointer + index * kernel.count).update(from: kernel.pointer, count: kernel.count)
        }
        conv = ConvWeight(kernels.vector, channels: 3 * inner, taps: taps)
        ssmBeta = try tensors.matrix("ssm_beta", in: width, out: heads)
        ssmFA = try tensors.matrix("ssm_f_a", in: width, out: lowRank ? headDim : inner)
        ssmFB = lowRank ? try tensors.matrix("ssm_f_b", in: headDim, out: inner) : nil
        ssmGA = try tensors.matrix("ssm_g_a", in: width, out: lowRank ? headDim : inner)
        ssmGB = lowRank ? try tensors.matrix("ssm_g_b", in: headDim, out: inner) : nil
        ssmA = try tensors.vector(exactly: "ssm_a", heads)
        ssmDt = try tensors.vector(exactly: "ssm_dt.bias", inner)
        ssmNorm = try tensors.vector("ssm_norm", headDim)
        attnOutput = try tensors.matrix("attn_output", in: inner, out: width)
        inputKinds = ActivationKinds(attnQ, attnK, attnV, ssmBeta).union(ActivationKinds(ssmFA, ssmGA))
    }

    package var kind: String { "Kimi delta attention" }
    package var state: LayerState {
        .recurrent(
            convChannels: conv.channels, convTaps: conv.taps, heads: heads, keyDim: headDim, valueDim: headDim)
    }

    package func forward(_ x: Matrix, _: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        let cpu = pass.cpu
        pass.work.scoped {
            let inner = heads * headDim
            let input = pass.prepare(x, for: inputKinds)
            let (u, beta) = (pass.matrix(3 * inner), pass.matrix(heads))
            let (g, z) = (pass.matrix(inner), pass.matrix(inner))
            let decayLow = ssmFB == nil ? g : pass.matrix(ssmFA.rows)
            let gateLow = ssmGB == nil ? z : pass.matrix(ssmGA.rows)
            cpu.matmul(
                input, Product(attnQ, into: u.columns(0..<inner)), Product(attnK, into: u.columns(inner..<2 * inner)),
                Product(attnV, into: u.columns(2 * inner..<3 * inner)), Product(ssmBeta, into: beta))
            cpu.matmul(input, Product(ssmFA, into: decayLow), Product(ssmGA, into: gateLow))
            if let ssmFB { cpu.matmul(ssmFB, pass.prepare(decayLow, for: ssmFB), into: g) }
            if let ssmGB { cpu.matmul(ssmGB, pass.prepare(gateLow, for: ssmGB), into: z) }

            let qkv = pass.matrix(3 * inner)
            cpu.causalConv(u, conv, layer: layer, pass.batch, into: qkv)
            let q = qkv.heads(heads, dim: headDim)
            let k = qkv.heads(heads, dim: headDim, offset: inner)
            cpu.l2Norm(q, scale: 1 / Float(headDim).squareRoot())
            cpu.l2Norm(k)

            let (decay, decayed) = (g.heads(heads, dim: headDim), pass.matrix(inner).heads(heads, dim: headDim))
            cpu.channelGates(decay: decay, k: k, a: ssmA, dtBias: ssmDt, floor: floor, decayed: decayed)
            cpu.sigmoid(beta)
            let remembered = pass.matrix(inner)
            let y = remembered.heads(heads, dim: headDim)
            cpu.kimiDelta(
                q: q, k: k, v: qkv.heads(heads, dim: headDim, offset: 2 * inner), decay: decay, decayed: decayed,
                beta: beta, layer: layer, pass.batch, into: y)
            cpu.gatedRMSNorm(y, ssmNorm, gate: z.heads(heads, dim: headDim), sigmoid: true, eps: epsilon, into: y)
            cpu.matmul(attnOutput, pass.prepare(remembered, for: attnOutput), into: out)
        }
    }
}
