import CKernels

extension Compute {
    /// out = (x − mean(x)) / sqrt(variance(x) + eps) · weight + bias, per row. x, out (rows, cols), weight and bias
    /// (cols). `out` may be `x`.
    package func layerNorm(_ x: Matrix, _ weight: FloatVector, _ bias: FloatVector?, eps: Float, into out: Matrix) {
        precondition(x.rows == out.rows && x.cols == out.cols && weight.count == x.cols)
        precondition((bias?.count ?? x.cols) == x.cols)
        pool.run(x.rows, grain: Self.grain(2 * x.cols), (x, weight, bias, eps, out)) { job, rows, _ in
            let (x, weight, bias, eps, out) = job
            for row in rows { ck_layer_norm(x.row(row), weight.pointer, bias?.pointer, x.cols, eps, out.row(row)) }
        }
    }
}
