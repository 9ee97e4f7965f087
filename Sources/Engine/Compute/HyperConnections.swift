import CKernels

extension Compute {
    /// The mixing weights of hyper-connections (Xie et al. 2026) from their projections, in place. A row is
    /// [pre (n) | post (n) | comb (n × n)], or pre alone for the model's end:
    ///
    ///     pre = sigmoid(f · s₀ + b) + eps;  post = 2 sigmoid(f · s₁ + b)
    ///     comb = softmax over rows of (f · s₂ + b) + eps, then columns and rows in turn divided by their sums
    package func hyperWeights(
        _ f: Matrix, streams n: Int, scale: FloatVector, base: FloatVector, iterations: Int, eps: Float
    ) {
        precondition(f.cols == base.count && (f.cols == n || (f.cols == n * (n + 2) && scale.count == 3)))
        let job = (f, n, scale, base, iterations, eps)
        pool.run(f.rows, grain: 8, job) { job, rows, _ in
            let (f, n, scale, base, iterations, eps) = job
            for row in rows {
                let w = f.row(row)
                for i in 0..<f.cols { w[i] = w[i] * scale.pointer[i < n ? 0 : i < 2 * n ? 1 : 2] + base.pointer[i] }
                ck_unary_apply(CK_SIGMOID, w, min(f.cols, 2 * n), w)
                for i in 0..<n { w[i] += eps }
                guard f.cols > n else { continue }
                for i in n..<2 * n { w[i] *= 2 }
                let comb = w + 2 * n
                for i in 0..<n {
                    ck_softmax(comb + i * n, n)
                    for k in 0..<n { comb[i * n + k] += eps }
                }
                for round in 0..<iterations {
                    if round > 0 { divide(comb, n, along: 1, step: n, eps) }
                    divide(comb, n, along: n, step: 1, eps)
                }
            }
        }
    }

    /// out = Σᵢ weights[i] · x[i]: the input of a branch. x (rows, n · dim), weights (rows, ≥ n), out (rows, dim).
    package func collapseStreams(_ x: Matrix, weights: Matrix, into out: Matrix) {
        precondition(x.cols.isMultiple(of: out.cols) && x.rows == out.rows && weights.rows == x.rows)
        pool.run(x.rows, grain: Self.grain(x.cols), (x, weights, out)) { job, rows, _ in
            let (x, weights, out) = job
            for row in rows {
                out.row(row).update(repeating: 0, count: out.cols)
                for stream in 0..<x.cols / out.cols {
                    ck_add_scaled(
                        out.row(row), x.row(row) + stream * out.cols, weights.row(row)[stream], out.cols)
                }
            }
        }
    }

    /// x[k] = post[k] · y + Σⱼ comb[j][k] · x[j]: what a branch leaves. x (rows, n · dim), y (rows, dim),
    /// weights (rows, n · (n + 2)).
    package func expandStreams(_ y: Matrix, weights: Matrix, into x: Matrix) {
        let n = x.cols / y.cols
        precondition(x.cols == n * y.cols && weights.cols == n * (n + 2) && y.rows == x.rows)
        pool.run(x.rows, grain: Self.grain(n * x.cols), scratch: x.cols * 4, (x, y, weights, n)) { job, rows, worker in
            let (x, y, weights, n) = job
            let old = worker.scratch.assumingMemoryBound(to: Float.self)
            for row in rows {
                let (streams, w, dim) = (x.row(row), weights.row(row), y.cols)
                old.update(from: streams, count: x.cols)
                for k in 0..<n {
                    ck_scale(streams + k * dim, y.row(row), w[n + k], dim)
                    for j in 0..<n { ck_add_scaled(streams + k * dim, old + j * dim, w[2 * n + j * n + k], dim) }
                }
            }
        }
    }

    /// Each of the n streams of x is a copy of y. x (rows, n · dim), y (rows, dim)
    package func copyToStreams(_ y: Matrix, into x: Matrix) {
        for stream in 0..<x.cols / y.cols {
            copy(y.heads(1, dim: y.cols), into: x.heads(1, dim: y.cols, offset: stream * y.cols))
        }
    }

    /// The angles of the opposite rotation.
    package func inverse(_ angles: RopeAngles, _ workspace: Workspace) -> RopeAngles {
        let sines = workspace.matrix(rows: angles.sines.rows, cols: angles.pairs)
        for row in 0..<sines.rows { ck_scale(sines.row(row), angles.sines.row(row), -1, angles.pairs) }
        return angles.with(sines: sines)
    }
}

/// Divides the lines of an n × n matrix by their sums; the elements of a line are `along` apart, the lines `step`.
private func divide(_ matrix: UnsafeMutablePointer<Float>, _ n: Int, along: Int, step: Int, _ eps: Float) {
    for line in 0..<n {
        var sum: Float = 0
        for i in 0..<n { sum += matrix[line * step + i * along] }
        for i in 0..<n { matrix[line * step + i * along] /= sum + eps }
    }
}
