import CKernels

extension Compute {
    /// The gates of Kimi delta attention, per key channel: decay = exp(a · softplus(decay + dtBias)) in place, and
    /// decayed = k · decay. decay, k, decayed (tokens, heads, keyDim); a (heads); dtBias (heads · keyDim).
    /// - Parameter floor: the log of a decay is instead this · sigmoid(|a| · (decay + dtBias)), and never below it.
    package func channelGates(
        decay: Heads, k: Heads, a: FloatVector, dtBias: FloatVector, floor: Float? = nil, decayed: Heads
    ) {
        precondition(decay.count == k.count && decay.dim == k.dim && decayed.count == k.count && decayed.dim == k.dim)
        precondition(a.count == k.count && dtBias.count == k.count * k.dim && decay.rows == k.rows)
        let job = (decay, k, a, dtBias, floor ?? 0, decayed)
        pool.run(decay.rows, grain: Self.grain(32 * k.count * k.dim), job) { job, rows, _ in
            let (decay, k, a, dtBias, floor, decayed) = job
            for row in rows {
                for head in 0..<k.count {
                    ck_channel_gates(
                        decay.at(row, head), k.at(row, head), a.pointer[head], dtBias.pointer + head * k.dim, floor,
                        k.dim, decayed.at(row, head))
                }
            }
        }
    }

    /// x = sigmoid(x). (rows, cols)
    package func sigmoid(_ x: Matrix) {
        pool.run(x.rows, grain: Self.grain(8 * x.cols), x) { x, rows, _ in
            for row in rows { ck_unary_apply(CK_SIGMOID, x.row(row), x.cols, x.row(row)) }
        }
    }

    /// The gated delta rule with a decay per key channel (Kimi Team 2025, "Kimi Linear") over each sequence, with the
    /// layer's state S (keyDim × valueDim per head) updated in place. Per token and head:
    ///
    ///     S = diag(decay) S;  m = Sᵀk;  S += k ⊗ (beta · (v − m));  out = Sᵀq
    ///
    /// q, k (normalised and scaled), decay (a factor, not its log) and decayed = k · decay (tokens, heads, keyDim);
    /// v, out (tokens, heads, valueDim); beta (tokens, heads).
    package func kimiDelta(
        q: Heads, k: Heads, v: Heads, decay: Heads, decayed: Heads, beta: Matrix, layer: Int, _ batch: Batch,
        into out: Heads
    ) {
        precondition(q.count == k.count && q.dim == k.dim && v.count == out.count && v.dim == out.dim)
        precondition(decay.dim == k.dim && decayed.dim == k.dim && beta.cols == v.count && v.count == k.count)
        precondition(out.rows == batch.count && beta.rows == batch.count)
        let job = (q, k, v, decay, decayed, beta, out)
        forEachStateBlock(batch, layer: layer, heads: v.count, keyDim: k.dim, valueDim: v.dim, job) { job, part in
            let (q, k, v, decay, decayed, beta, out) = job
            let (head, row) = (part.head, part.row)
            var task = ck_channel_delta_block()
            task.state = part.state
            task.key_dim = k.dim
            task.lanes = part.lanes
            task.tokens = part.tokens
            task.q = UnsafePointer(q.at(row, head))
            task.k = UnsafePointer(k.at(row, head))
            task.v = UnsafePointer(v.at(row, head) + part.firstValue)
            task.decay = UnsafePointer(decay.at(row, head))
            task.decayed = UnsafePointer(decayed.at(row, head))
            task.beta = UnsafePointer(beta.row(row) + head)
            task.q_stride = q.rowStride
            task.k_stride = k.rowStride
            task.v_stride = v.rowStride
            task.decay_stride = decay.rowStride
            task.decayed_stride = decayed.rowStride
            task.beta_stride = beta.stride
            task.out = out.at(row, head) + part.firstValue
            task.out_stride = out.rowStride
            ck_channel_delta_run(&task)
        }
    }
}
