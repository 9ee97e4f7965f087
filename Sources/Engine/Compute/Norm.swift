import CKernels

extension Compute {
    /// out = x / sqrt(mean(x²) + eps) · weight, per row. x, out (rows, cols), weight (cols) or nil for ones.
    /// `out` may be `x`.
    package func rmsNorm(_ x: Matrix, _ weight: FloatVector?, eps: Float, into out: Matrix) {
        precondition(x.rows == out.rows && x.cols == out.cols && (weight?.count ?? x.cols) == x.cols)
        pool.run(x.rows, grain: Self.grain(x.cols), (x, weight, eps, out)) { job, rows, _ in
            let (x, weight, eps, out) = job
            for row in rows { ck_rms_norm(x.row(row), weight?.pointer, x.cols, eps, out.row(row)) }
        }
    }

    /// x += y, then out = rmsNorm(x): a residual addition and the norm behind it in one pass.
    package func addRMSNorm(_ y: Matrix, to x: Matrix, _ weight: FloatVector?, eps: Float, into out: Matrix) {
        precondition(x.rows == out.rows && x.cols == out.cols && (weight?.count ?? x.cols) == x.cols)
        precondition(y.rows == x.rows && y.cols == x.cols)
        pool.run(x.rows, grain: Self.grain(2 * x.cols), (x, y, weight, eps, out)) { job, rows, _ in
            let (x, y, weight, eps, out) = job
            for row in rows {
                ck_add(x.row(row), y.row(row), x.cols)
                ck_rms_norm(x.row(row), weight?.pointer, x.cols, eps, out.row(row))
            }
        }
    }

    /// RMS norm of every head in place. weight (dim) or nil for ones.
    package func headNorm(_ x: Heads, _ weight: FloatVector?, eps: Float) {
        precondition((weight?.count ?? x.dim) == x.dim)
        pool.run(x.rows, grain: Self.grain(x.count * x.dim), (x, weight, eps)) { job, rows, _ in
            let (x, weight, eps) = job
            for row in rows {
                for head in 0..<x.count {
                    ck_rms_norm(x.at(row, head), weight?.pointer, x.dim, eps, x.at(row, head))
                }
            }
        }
    }

    /// x = x · scale / sqrt(Σx² + eps) for every head, in place: queries and keys of linear attention.
    package func l2Norm(_ x: Heads, eps: Float = 1e-6, scale: Float = 1) {
        pool.run(x.rows, grain: Self.grain(x.count * x.dim), (x, eps, scale)) { job, rows, _ in
            let (x, eps, scale) = job
            for row in rows {
                for head in 0..<x.count { ck_l2_norm(x.at(row, head), x.dim, eps, scale, x.at(row, head)) }
            }
        }
    }

    /// out = rmsNorm(x) · silu(gate) per head (norm first, gate after); sigmoid instead of silu if asked.
    /// weight (dim). `out` may be `x`.
    package func gatedRMSNorm(
        _ x: Heads, _ weight: FloatVector?, gate: Heads, sigmoid: Bool = false, eps: Float, into out: Heads
    ) {
        precondition(x.count == gate.count && x.dim == gate.dim && x.count == out.count && x.dim == out.dim)
        precondition(x.rows == gate.rows && x.rows == out.rows && (weight?.count ?? x.dim) == x.dim)
        let job = (x, weight, gate, sigmoid, eps, out)
        pool.run(x.rows, grain: Self.grain(4 * x.count * x.dim), job) { job, rows, _ in
            let (x, weight, gate, sigmoid, eps, out) = job
            for row in rows {
                for head in 0..<x.count {
                    ck_rms_norm_gated(
                        x.at(row, head), weight?.pointer, gate.at(row, head), x.dim, eps, sigmoid ? 1 : 0,
                        out.at(row, head))
                }
            }
        }
    }
}
