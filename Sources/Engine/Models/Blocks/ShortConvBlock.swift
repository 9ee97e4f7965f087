/// The gated short convolution of LFM2 (Liquid AI 2025): out_proj(C · conv(B · x)) with a causal depthwise
/// convolution over very few tokens, which are all it remembers.
package struct ShortConvBlock: Mixer {
    let inProj: Weight  // (embedding → 3 · embedding): B | C | x
    let conv: ConvWeight  // taps × embedding
    let outProj: Weight  // (embedding → embedding)

    package init(_ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape) throws(EngineError) {
        let width = shape.embeddingLength
        let taps = try hyper.int("shortconv.l_cache", in: 1...16)
        inProj = try tensors.matrix("shortconv.in_proj", in: width, out: 3 * width)
        conv = ConvWeight(
            try tensors.table("shortconv.conv", cols: taps, rows: width), channels: width, taps: taps)
        outProj = try tensors.matrix("shortconv.out_proj", in: width, out: width)
    }

    package var kind: String { "short convolution" }
    package var state: LayerState {
        .recurrent(convChannels: conv.channels, convTaps: conv.taps, heads: 0, keyDim: 0, valueDim: 0)
    }

    package func forward(_ x: Matrix, _: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        let cpu = pass.cpu
        pass.work.scoped {
            let width = x.cols
            let bcx = pass.matrix(3 * width)
            cpu.matmul(inProj, pass.prepare(x, for: inProj), into: bcx)
            let gated = bcx.columns(2 * width..<3 * width)
            cpu.multiply(gated, by: bcx.columns(0..<width))
            let y = pass.matrix(width)
            cpu.causalConv(gated, conv, silu: false, layer: layer, pass.batch, into: y)
            cpu.multiply(y, by: bcx.columns(width..<2 * width))
            cpu.matmul(outProj, pass.prepare(y, for: outProj), into: out)
        }
    }
}
