import CKernels

/// What stands between the two halves of a feed-forward network.
package enum Activation: Sendable, Equatable {
    /// act(gate) · up, of two projections.
    case gated(GatedActivation)
    /// act(up), of one.
    case plain(UnaryActivation)
}

/// An activation of one argument.
package enum UnaryActivation: Sendable {
    /// max(x, 0)²
    case reluSquared
    /// x Φ(x), the exact form by the error function
    case gelu

    var kernel: ck_unary {
        switch self {
        case .reluSquared: CK_RELU_SQUARED
        case .gelu: CK_GELU_ERF
        }
    }
}

extension Compute {
    /// x = act(x), elementwise.
    package func apply(_ activation: UnaryActivation, to x: Matrix) {
        pool.run(x.rows, grain: Self.grain(4 * x.cols), (x, activation)) { job, rows, _ in
            let (x, activation) = job
            for row in rows { ck_unary_apply(activation.kernel, x.row(row), x.cols, x.row(row)) }
        }
    }

    /// x = limit · tanh(x / limit), elementwise.
    package func softCap(_ x: Matrix, at limit: Float) {
        pool.run(x.rows, grain: Self.grain(4 * x.cols), (x, limit)) { job, rows, _ in
            let (x, limit) = job
            for row in rows {
                ck_scale(x.row(row), x.row(row), 1 / limit, x.cols)
                ck_unary_apply(CK_TANH, x.row(row), x.cols, x.row(row))
                ck_scale(x.row(row), x.row(row), limit, x.cols)
            }
        }
    }
}
