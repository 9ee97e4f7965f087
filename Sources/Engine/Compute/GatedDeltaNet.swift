import CKernels

/// Which key head serves a value head when there are fewer key heads.
package enum KeyHeadOrder: Sendable {
    /// value head v uses key head v mod keyHeads (qwen35 files)
    case tiled
    /// value head v uses key head v / (valueHeads / keyHeads)
    case grouped
}

extension Compute {
    /// alpha = a · softplus(alpha + dtBias), beta = sigmoid(beta), in place: the log decay and the write strength of
    /// the gated delta rule. alpha, beta (tokens, heads); a, dtBias (heads).
    package func deltaGates(alpha: Matrix, beta: Matrix, a: FloatVector, dtBias: FloatVector) {
        precondition(alpha.cols == a.count && beta.cols == a.count && dtBias.count == a.count)
        precondition(alpha.rows == beta.rows)
        pool.run(alpha.rows, grain: Self.grain(32 * alpha.cols), (alpha, beta, a, dtBias)) { job, rows, _ in
            let (alpha, beta, a, dtBias) = job
            for row in rows { ck_delta_gates(alpha.row(row), beta.row(row), a.pointer, dtBias.pointer, alpha.cols) }
        }
    }

    /// The gated delta rule (Yang et al. 2024, "Gated Delta Networks") over each sequence, with the layer's state
    /// S (keyDim × valueDim per head) updated in place. Per token and value head:
    ///
    ///     S *= exp(decay);  m = Sᵀk;  S += k ⊗ (beta · (v − m));  out = Sᵀq
    ///
    /// q, k (tokens, key heads, keyDim), already normalised and scaled; v, out (tokens, value heads, valueDim);
    /// decay (log, ≤ 0) and beta (tokens, value heads).
    package func gatedDeltaNet(
        q: Heads, k: Heads, v: Heads, decay: Matrix, beta: Matrix, keyHeads order: KeyHeadOrder = .tiled, layer: Int,
        _ batch: Batch, into out: Heads
    ) {
        precondition(q.count == k.count && q.dim == k.dim && v.count == out.count && v.dim == out.dim)
        precondition(decay.cols == v.count && beta.cols == v.count && v.count.isMultiple(of: k.count))
        precondition(out.rows == batch.count)
        let job = (q, k, v, decay, beta, order, out)
        forEachStateBlock(batch, layer: layer, heads: v.count, keyDim: k.dim, valueDim: v.dim, job) { job, part in
            let (q, k, v, decay, beta, order, out) = job
            let (head, row) = (part.head, part.row)
            let keyHead = order == .tiled ? head % k.count : head / (v.count / k.count)
            var task = ck_delta_block()
            task.state = part.state
            task.key_dim = k.dim
            task.lanes = part.lanes
            task.tokens = part.tokens
            task.q = UnsafePointer(q.at(row, keyHead))
            task.k = UnsafePointer(k.at(row, keyHead))
            task.v = UnsafePointer(v.at(row, head) + part.firstValue)
            task.decay = UnsafePointer(decay.row(row) + head)
            task.beta = UnsafePointer(beta.row(row) + head)
            task.q_stride = q.rowStride
            task.k_stride = k.rowStride
            task.v_stride = v.rowStride
            task.decay_stride = decay.stride
            task.beta_stride = beta.stride
            task.out = out.at(row, head) + part.firstValue
            task.out_stride = out.rowStride
            ck_delta_run(&task)
        }
    }
}
