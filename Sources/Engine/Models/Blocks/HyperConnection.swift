/// Hyper-connections (Xie et al. 2026): the residual stream is several streams. A branch reads a weighted sum of them,
/// and its result and the streams are mixed back by weights that depend on the token too.
package struct HyperConnection: Sendable {
    /// What all connections of a file share.
    package struct Options: Sendable {
        package let streams: Int
        let iterations: Int
        let epsilon: Float
        let normEpsilon: Float

        package init(_ hyper: Hyperparameters, _ shape: DecoderShape) throws(EngineError) {
            streams = try hyper.int("hyper_connection.count", in: 2...16)
            iterations = try hyper.int("hyper_connection.sinkhorn_iterations", in: 1...1000)
            epsilon = Float(try hyper.float("hyper_connection.epsilon", in: 0...1))
            normEpsilon = shape.epsilon
        }
    }

    let options: Options
    let fn: Weight  // (streams · embedding → streams · (streams + 2)), or at the end (→ streams)
    let scale: FloatVector  // (3): pre, post, comb; at the end (1)
    let base: FloatVector  // as many as fn makes

    /// - Parameter collapses: the connection only joins the streams: the last one.
    package init(
        _ tensors: LayerWeights, _ name: String, embedding: Int, _ options: Options, collapses: Bool = false
    ) throws(EngineError) {
        let streams = options.streams
        let weights = collapses ? streams : streams * (streams + 2)
        self.options = options
        fn = try tensors.matrix("\(name)_fn", in: streams * embedding, out: weights)
        scale = try tensors.vector("\(name)_scale", collapses ? 1 : 3)
        base = try tensors.vector("\(name)_base", weights)
    }

    package var streams: Int { options.streams }

    /// Runs a branch from h to y between the streams x.
    func around(_ x: Matrix, _ h: Matrix, _ y: Matrix, _ pass: Pass, _ branch: () -> Void) {
        pass.work.scoped {
            let weights = weights(x, pass)
            pass.cpu.collapseStreams(x, weights: weights, into: h)
            branch()
            pass.cpu.expandStreams(y, weights: weights, into: x)
        }
    }

    /// One stream of several.
    func collapse(_ x: Matrix, _ pass: Pass, into h: Matrix) {
        pass.work.scoped { pass.cpu.collapseStreams(x, weights: weights(x, pass), into: h) }
    }

    private func weights(_ x: Matrix, _ pass: Pass) -> Matrix {
        let weights = pass.matrix(fn.rows)
        pass.work.scoped {
            let normed = pass.matrix(x.cols)
            pass.cpu.rmsNorm(x, nil, eps: options.normEpsilon, into: normed)
            pass.cpu.matmul(fn, pass.prepare(normed, for: fn), into: weights)
        }
        pass.cpu.hyperWeights(
            weights, streams: streams, scale: scale, base: base, iterations: options.iterations, eps: options.epsilon)
        return weights
    }
}
