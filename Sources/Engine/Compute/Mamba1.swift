import CKernels

/// The decay rates of Mamba's state, one for each channel and state, laid out for the kernel. Made once at load.
package final class ChannelDecays: Sendable {
    package let channels: Int
    package let states: Int
    /// states × channels, rows of `stride` floats.
    let values: FloatBuffer
    let stride: Int

    /// - Parameter weight: (channels, states) with the states of a channel adjoining, already −exp(A_log).
    package init(_ weight: FloatVector, channels: Int, states: Int) {
        precondition(weight.count == channels * states)
        self.channels = channels
        self.states = states
        stride = (channels + 15) & ~15
        values = FloatBuffer(count: states * stride)
        for channel in 0..<channels {
            for state in 0..<states {
                values.pointer[state * stride + channel] = weight.pointer[channel * states + state]
            }
        }
    }
}

extension Compute {
    /// The selective scan (Gu & Dao 2023, "Mamba") over each sequence, with the layer's state S (states × channels)
    /// updated in place. Per token and channel, with step = softplus(dt):
    ///
    ///     S[n] = exp(step · a[n]) S[n] + b[n] · step · x;  out = Σ c[n] S[n] + d · x
    ///
    /// x, dt, out (tokens, channels); b, c (tokens, states); d (channels).
    package func mamba1(
        _ x: Matrix, b: Matrix, c: Matrix, dt: Matrix, a: ChannelDecays, d: FloatVector, layer: Int, _ batch: Batch,
        into out: Matrix
    ) {
        precondition(x.cols == a.channels && out.cols == a.channels && dt.cols == a.channels && d.count == a.channels)
        precondition(b.cols == a.states && c.cols == a.states && out.rows == batch.count && x.rows == batch.count)
        let job = (x, b, c, dt, a, d, out)
        forEachStateBlock(batch, layer: layer, heads: 1, keyDim: a.states, valueDim: a.channels, job) { job, part in
            let (x, b, c, dt, a, d, out) = job
            let (first, row) = (part.firstValue, part.row)
            var task = ck_selective_block()
            task.state = part.state
            task.states = a.states
            task.lanes = part.lanes
            task.tokens = part.tokens
            task.x = UnsafePointer(x.row(row) + first)
            task.b = UnsafePointer(b.row(row))
            task.c = UnsafePointer(c.row(row))
            task.dt = UnsafePointer(dt.row(row) + first)
            task.x_stride = x.stride
            task.b_stride = b.stride
            task.c_stride = c.stride
            task.dt_stride = dt.stride
            task.a = UnsafePointer(a.values.pointer + first)
            task.a_stride = a.stride
            task.d = d.pointer + first
            task.out = out.row(row) + first
            task.out_stride = out.stride
            ck_selective_run(&task)
        }
    }
}
