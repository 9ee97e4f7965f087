import CKernels

/// Gated activations: y = act(gate) · up.
package enum GatedActivation: Sendable, Equatable {
    /// silu(gate) · up
    case silu
    /// gelu(gate) · up, the tanh form
    case geluTanh
    /// (clamp(up, ±limit) + 1) · g · sigmoid(alpha · g) with g = min(gate, limit); gpt-oss
    case clamped(alpha: Float, limit: Float)
    /// silu(min(gate, limit)) · clamp(up, ±limit); DeepSeek-V4
    case clampedSilu(limit: Float)

    @inline(__always)
    func apply(_ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, _ n: Int, _ out: UnsafeMutablePointer<Float>) {
        switch self {
        case .silu: ck_glu_apply(CK_GLU_SILU, gate, up, n, 0, 0, out)
        case .geluTanh: ck_glu_apply(CK_GLU_GELU_TANH, gate, up, n, 0, 0, out)
        case .clamped(let alpha, let limit): ck_glu_apply(CK_GLU_CLAMPED, gate, up, n, alpha, limit, out)
        case .clampedSilu(let limit): ck_glu_apply(CK_GLU_SILU_CLAMPED, gate, up, n, 0, limit, out)
        }
    }
}

extension Compute {
    /// x += y. Both (rows, cols).
    package func add(_ y: Matrix, to x: Matrix) {
        precondition(x.rows == y.rows && x.cols == y.cols)
        pool.run(x.rows, grain: Self.grain(x.cols), (x, y)) { job, rows, _ in
            let (x, y) = job
            for row in rows { ck_add(x.row(row), y.row(row), x.cols) }
        }
    }

    /// x[r] += y[r] · sigmoid(gate[r][0]). x and y (rows, cols), gate (rows, 1): the shared expert of qwen2moe.
    package func add(_ y: Matrix, to x: Matrix, rowGate gate: Matrix) {
        precondition(x.rows == y.rows && x.cols == y.cols && gate.rows == x.rows)
        pool.run(x.rows, grain: Self.grain(x.cols), (x, y, gate)) { job, rows, _ in
            let (x, y, gate) = job
            for row in rows { ck_add_scaled(x.row(row), y.row(row), ck_sigmoid(gate.row(row)[0]), x.cols) }
        }
    }

    /// x += bias in every row. x (rows, bias.count).
    package func add(_ bias: FloatVector, to x: Matrix) {
        precondition(x.cols == bias.count)
        pool.run(x.rows, grain: Self.grain(x.cols), (x, bias)) { job, rows, _ in
            let (x, bias) = job
            for row in rows { ck_add(x.row(row), bias.pointer, x.cols) }
        }
    }

    /// x = min(max(x, −limit), limit), elementwise; not-a-numbers stay.
    package func clamp(_ x: Matrix, within limit: Float) {
        pool.run(x.rows, grain: Self.grain(x.cols), (x, limit)) { job, rows, _ in
            let (x, limit) = job
            for row in rows {
                let values = x.row(row)
                for index in 0..<x.cols where abs(values[index]) > limit {
                    values[index] = values[index] < 0 ? -limit : limit
                }
            }
        }
    }

    /// x *= factor.
    package func scale(_ x: Matrix, by factor: Float) {
        pool.run(x.rows, grain: Self.grain(x.cols), (x, factor)) { job, rows, _ in
            let (x, factor) = job
            for row in rows { ck_scale(x.row(row), x.row(row), factor, x.cols) }
        }
    }

    /// out = act(gate) · up, all (rows, cols). `out` may be `gate` or `up`.
    package func gated(_ activation: GatedActivation = .silu, gate: Matrix, up: Matrix, into out: Matrix) {
        precondition(gate.cols == up.cols && out.cols == up.cols && gate.rows == up.rows && out.rows == up.rows)
        pool.run(gate.rows, grain: Self.grain(4 * gate.cols), (activation, gate, up, out)) { job, rows, _ in
            let (activation, gate, up, out) = job
            for row in rows { activation.apply(gate.row(row), up.row(row), up.cols, out.row(row)) }
        }
    }

    /// x *= sigmoid(gate), head by head: the output gate of gated attention, one number for each value or each head.
    package func mulSigmoid(_ x: Heads, gate: Heads) {
        precondition(x.rows == gate.rows && x.count == gate.count && (x.dim == gate.dim || gate.dim == 1))
        pool.run(x.rows, grain: Self.grain(4 * x.count * x.dim), (x, gate)) { job, rows, _ in
            let (x, gate) = job
            for row in rows {
                for head in 0..<x.count {
                    if gate.dim == x.dim {
                        ck_mul_sigmoid(x.at(row, head), gate.at(row, head), x.dim)
                    } else {
                        ck_scale(x.at(row, head), x.at(row, head), ck_sigmoid(gate.at(row, head)[0]), x.dim)
                    }
                }
            }
        }
    }

    /// out[i] = x[index[i]], for the rows that are asked for logits. out (count, cols).
    package func gather(_ x: Matrix, rows index: UnsafePointer<Int32>, into out: Matrix) {
        precondition(out.cols == x.cols)
        for row in 0..<out.rows { out.row(row).update(from: x.row(Int(index[row])), count: x.cols) }
    }

    /// out = x. Both (rows, cols).
    package func copy(_ x: Matrix, into out: Matrix) {
        precondition(out.rows == x.rows && out.cols == x.cols)
        for row in 0..<out.rows { out.row(row).update(from: x.row(row), count: x.cols) }
    }
}
