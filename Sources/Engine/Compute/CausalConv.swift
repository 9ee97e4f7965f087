import CKernels

/// The taps of a causal depthwise convolution, laid out for the kernel. Made once at load.
package final class ConvWeight: Sendable {
    package let channels: Int
    package let taps: Int
    /// taps × channels, oldest tap first, rows of `stride` floats.
    let values: FloatBuffer
    let stride: Int

    /// - Parameter weight: (channels, taps) with the taps of a channel adjoining, oldest first, as in a GGUF file's
    ///   `ssm_conv1d.weight`. At most 16 taps.
    package init(_ weight: FloatVector, channels: Int, taps: Int) {
        precondition(taps >= 1 && taps <= Int(CK_CONV_TAPS_MAX) && weight.count == channels * taps)
        self.channels = channels
        self.taps = taps
        stride = (channels + 15) & ~15
        values = FloatBuffer(count: taps * stride)
        for channel in 0..<channels {
            for tap in 0..<taps { values.pointer[tap * stride + channel] = weight.pointer[channel * taps + tap] }
        }
    }
}

extension Compute {
    /// Causal depthwise convolution over each sequence, then SiLU if asked; the inputs that the next tokens will
    /// need go to the layer's recurrent state. x, out (tokens, channels); they must not overlap.
    package func causalConv(
        _ x: Matrix, _ weight: ConvWeight, bias: FloatVector? = nil, silu: Bool = true, layer: Int, _ batch: Batch,
        into out: Matrix
    ) {
        precondition(x.cols == weight.channels && out.cols == x.cols && x.rows == batch.count && out.rows == x.rows)
        precondition(x.pointer != out.pointer && (bias?.count ?? x.cols) == x.cols)
        let chunk = 256
        let chunks = (x.cols + chunk - 1) / chunk
        let job = (x, weight, bias, silu, layer, batch, out, chunk, chunks)
        let grain = Self.grain(8 * chunk * batch.count / batch.segments.count)
        pool.run(batch.segments.count * chunks, grain: grain, job) { job, units, _ in
            let (x, weight, bias, silu, layer, batch, out, chunk, chunks) = job
            for unit in units {
                let segment = batch.segments[unit / chunks]
                let channel = unit % chunks * chunk
                let state = segment.sequence.recurrent[layer]
                let row = segment.rows.lowerBound
                ck_causal_conv(
                    x.row(row) + channel, x.stride, segment.rows.count, min(chunk, x.cols - channel),
                    weight.values.pointer + channel, weight.stride, weight.taps, bias.map { $0.pointer + channel },
                    silu ? 1 : 0, state.conv + channel, state.convStride, out.row(row) + channel, out.stride)
            }
        }
    }
}
