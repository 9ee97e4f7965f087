/// The feed-forward half of a layer: one gated network, or experts.
package enum FeedForward: Sendable {
    case dense(DenseBlock)
    case experts(ExpertsBlock)

    /// x, out (tokens, embedding).
    package func forward(_ x: Matrix, _ pass: Pass, into out: Matrix) {
        switch self {
        case .dense(let block): block.forward(x, pass, into: out)
        case .experts(let block): block.forward(x, pass, into: out)
        }
    }
}

/// down(act(gate · x) · (up · x)).
package struct DenseBlock: Sendable {
    let ffnGate: Weight  // (embedding → width)
    let ffnUp: Weight  // (embedding → width)
    let ffnDown: Weight  // (width → embedding)
    let ffnGateBias: FloatVector?
    let ffnUpBias: FloatVector?
    let ffnDownBias: FloatVector?
    let activation: GatedActivation
    /// Everything that the block's input is multiplied with.
    let inputKinds: ActivationKinds

    /// - Parameter suffix: `_shexp` for the shared expert of a mixture.
    package init(
        _ tensors: LayerWeights, embedding: Int, width: Int, suffix: String = "", biases: Presence = .absent,
        activation: GatedActivation = .silu
    ) throws(EngineError) {
        ffnGate = try tensors.matrix("ffn_gate\(suffix)", in: embedding, out: width)
        ffnUp = try tensors.matrix("ffn_up\(suffix)", in: embedding, out: width)
        ffnDown = try tensors.matrix("ffn_down\(suffix)", in: width, out: embedding)
        ffnGateBias = try tensors.bias("ffn_gate\(suffix)", width, biases)
        ffnUpBias = try tensors.bias("ffn_up\(suffix)", width, biases)
        ffnDownBias = try tensors.bias("ffn_down\(suffix)", embedding, biases)
        self.activation = activation
        inputKinds = ActivationKinds(ffnGate, ffnUp)
    }

    /// x, out (tokens, embedding).
    package func forward(_ x: Matrix, _ pass: Pass, into out: Matrix) {
        forward(pass.prepare(x, for: inputKinds), pass, into: out)
    }

    /// The same for input that is prepared already, for example for the routed experts beside it.
    package func forward(_ x: Activations, _ pass: Pass, into out: Matrix) {
        pass.work.scoped {
            let (gate, up) = (pass.matrix(ffnGate.rows), pass.matrix(ffnUp.rows))
            pass.cpu.matmul(
                x, Product(ffnGate, bias: ffnGateBias, into: gate), Product(ffnUp, bias: ffnUpBias, into: up))
            pass.cpu.gated(activation, gate: gate, up: up, into: gate)
            pass.cpu.matmul(ffnDown, pass.prepare(gate, for: ffnDown), bias: ffnDownBias, into: out)
        }
    }
}
