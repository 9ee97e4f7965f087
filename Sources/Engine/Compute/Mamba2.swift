import CKernels

extension Compute {
    /// The selective state space recurrence (Dao & Gu 2024, "Transformers are SSMs") over each sequence, with the
    /// layer's state S (state size × head dim per head) updated in place. Per token and head, with
    /// step = softplus(dt + dtBias):
    ///
    ///     S = exp(step · a) S + b ⊗ (step · x);  out = Sᵀc + d · x
    ///
    /// x, out (tokens, heads, head dim); b, c (tokens, groups, state size): head h reads group h / (heads / groups);
    /// dt (tokens, heads); a, dtBias, d (heads).
    package func mamba2(
        _ x: Heads, b: Heads, c: Heads, dt: Matrix, a: FloatVector, dtBias: FloatVector, d: FloatVector, layer: Int,
        _ batch: Batch, into out: Heads
    ) {
        precondition(x.count == out.count && x.dim == out.dim && b.count == c.count && b.dim == c.dim)
        precondition(dt.cols == x.count && a.count == x.count && dtBias.count == x.count && d.count == x.count)
        precondition(x.count.isMultiple(of: b.count) && out.rows == batch.count && dt.rows == batch.count)
        let job = (x, b, c, dt, a, dtBias, d, out)
        forEachStateBlock(batch, layer: layer, heads: x.count, keyDim: b.dim, valueDim: x.dim, job) { job, part in
            let (x, b, c, dt, a, dtBias, d, out) = job
            let (head, row) = (part.head, part.row)
            let group = head / (x.count / b.count)
            var task = ck_mamba_block()
            task.state = part.state
            task.key_dim = b.dim
            task.lanes = part.lanes
            task.tokens = part.tokens
            task.x = UnsafePointer(x.at(row, head) + part.firstValue)
            task.b = UnsafePointer(b.at(row, group))
            task.c = UnsafePointer(c.at(row, group))
            task.dt = UnsafePointer(dt.row(row) + head)
            task.x_stride = x.rowStride
            task.b_stride = b.rowStride
            task.c_stride = c.rowStride
            task.dt_stride = dt.stride
            task.a = a.pointer[head]
            task.dt_bias = dtBias.pointer[head]
            task.d = d.pointer[head]
            task.out = out.at(row, head) + part.firstValue
            task.out_stride = out.rowStride
            ck_mamba_run(&task)
        }
    }

    /// x = rmsNorm(x · silu(gate)) per group (gate first, norm after), in place: the output norm of Mamba2.
    /// x, gate (rows, groups, dim); weight (groups · dim).
    package func gatedGroupNorm(_ x: Heads, _ weight: FloatVector, gate: Heads, eps: Float) {
        precondition(x.count == gate.count && x.dim == gate.dim && x.rows == gate.rows)
        precondition(weight.count == x.count * x.dim)
        pool.run(x.rows, grain: Self.grain(6 * x.count * x.dim), (x, weight, gate, eps)) { job, rows, _ in
            let (x, weight, gate, eps) = job
            for row in rows {
                for group in 0..<x.count {
                    let values = x.at(row, group)
                    ck_glu_apply(CK_GLU_SILU, gate.at(row, group), values, x.dim, 0, 0, values)
                    ck_rms_norm(values, weight.pointer + group * x.dim, x.dim, eps, values)
                }
            }
        }
    }

    /// x *= y. Both (rows, cols).
    package func multiply(_ x: Matrix, by y: Matrix) {
        precondition(x.rows == y.rows && x.cols == y.cols)
        pool.run(x.rows, grain: Self.grain(x.cols), (x, y)) { job, rows, _ in
            let (x, y) = job
            for row in rows { ck_mul(x.row(row), y.row(row), x.cols) }
        }
    }
}
