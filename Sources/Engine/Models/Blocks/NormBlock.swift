/// A norm of every row with a learned weight.
package struct Norm: Sendable {
    package enum Kind: Sendable {
        /// x / sqrt(mean(x²) + eps) · weight
        case rms
        /// (x − mean) / sqrt(variance + eps) · weight + bias
        case layer
    }

    /// What a family's norm is and which tensors it has.
    package enum Form: Sendable, Equatable {
        /// RMS norm `name.weight`.
        case rms
        /// Layer norm `name.weight`, and `name.bias` as said.
        case layer(bias: Presence)
        /// Layer norm without tensors.
        case weightless
    }

    let kind: Kind
    let weight: FloatVector  // (width)
    let bias: FloatVector?  // (width), layer norm only
    let epsilon: Float

    /// The RMS norm `name.weight`.
    package init(_ tensors: LayerWeights, _ name: String, _ width: Int, epsilon: Float) throws(EngineError) {
        kind = .rms
        weight = try tensors.vector(name, width)
        bias = nil
        self.epsilon = epsilon
    }

    package init(
        _ tensors: LayerWeights, _ name: String, _ width: Int, epsilon: Float, _ form: Form
    ) throws(EngineError) {
        kind = form == .rms ? .rms : .layer
        self.epsilon = epsilon
        switch form {
        case .rms:
            (weight, bias) = (try tensors.vector(name, width), nil)
        case .layer(let presence):
            (weight, bias) = (try tensors.vector(name, width), try tensors.bias(name, width, presence))
        case .weightless:
            (weight, bias) = (tensors.map.ones(width), nil)
        }
    }

    /// The RMS norm `name`, whose name has no suffix.
    package init(_ tensors: LayerWeights, exactly name: String, _ width: Int, epsilon: Float) throws(EngineError) {
        kind = .rms
        weight = try tensors.vector(exactly: name, width)
        bias = nil
        self.epsilon = epsilon
    }

    /// The layer norm `name.weight`, `name.bias`.
    package init(layer tensors: LayerWeights, _ name: String, _ width: Int, epsilon: Float) throws(EngineError) {
        kind = .layer
        weight = try tensors.vector(name, width)
        bias = try tensors.bias(name, width, .required)
        self.epsilon = epsilon
    }
}

extension Pass {
    /// x, out (rows, width); `out` may be `x`.
    package func norm(_ x: Matrix, _ norm: Norm, into out: Matrix) {
        switch norm.kind {
        case .rms: cpu.rmsNorm(x, norm.weight, eps: norm.epsilon, into: out)
        case .layer: cpu.layerNorm(x, norm.weight, norm.bias, eps: norm.epsilon, into: out)
        }
    }

    /// x += y, then out = norm(x). All (rows, width).
    package func add(_ y: Matrix, to x: Matrix, thenNorm norm: Norm, into out: Matrix) {
        switch norm.kind {
        case .rms:
            cpu.addRMSNorm(y, to: x, norm.weight, eps: norm.epsilon, into: out)
        case .layer:
            cpu.add(y, to: x)
            cpu.layerNorm(x, norm.weight, norm.bias, eps: norm.epsilon, into: out)
        }
    }
}
