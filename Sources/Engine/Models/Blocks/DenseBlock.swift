/// down(act(gate · x) · (up · x)), or without a gate down(act(up · x)).
package struct DenseBlock: Sendable {
    /// What one family's network does differently from another's.
    package struct Options: Sendable {
        package var activation = Activation.gated(.silu)
        package var biases = Presence.absent
        /// `ffn_up` holds the rows of the gate, then those of `up` (Phi).
        package var gateInUp = false
        /// Behind the names of the tensors: `_shexp` for the shared expert of a mixture.
        package var suffix = ""
    }

    let ffnGate: Weight?  // (embedding → width)
    let ffnUp: Weight  // (embedding → width)
    let ffnDown: Weight  // (width → embedding)
    let ffnGateBias: FloatVector?
    let ffnUpBias: FloatVector?
    let ffnDownBias: FloatVector?
    let activation: Activation
    /// Everything that the block's input is multiplied with.
    let inputKinds: ActivationKinds

    package init(
        _ tensors: LayerWeights, embedding: Int, width: Int, _ options: Options = Options()
    ) throws(EngineError) {
        let suffix = options.suffix
        activation = options.activation
        if case .plain = options.activation {
            ffnGate = nil
            ffnGateBias = nil
            ffnUp = try tensors.matrix("ffn_up\(suffix)", in: embedding, out: width)
            ffnUpBias = try tensors.bias("ffn_up\(suffix)", width, options.biases)
        } else if options.gateInUp {
            let both = try tensors.matrix("ffn_up\(suffix)", in: embedding, out: 2 * width)
            let bias = try tensors.bias("ffn_up\(suffix)", 2 * width, options.biases)
            ffnGate = both.rows(0..<width)
            ffnGateBias = bias?.slice(0..<width)
            ffnUp = both.rows(width..<2 * width)
            ffnUpBias = bias?.slice(width..<2 * width)
        } else {
            ffnGate = try tensors.matrix("ffn_gate\(suffix)", in: embedding, out: width)
            ffnGateBias = try tensors.bias("ffn_gate\(suffix)", width, options.biases)
            ffnUp = try tensors.matrix("ffn_up\(suffix)", in: embedding, out: width)
            ffnUpBias = try tensors.bias("ffn_up\(suffix)", width, options.biases)
        }
        ffnDown = try tensors.matrix("ffn_down\(suffix)", in: width, out: embedding)
        ffnDownBias = try tensors.bias("ffn_down\(suffix)", embedding, options.biases)
        inputKinds = ActivationKinds(ffnUp, ffnGate)
    }

    /// x, out (tokens, embedding).
    package func forward(_ x: Matrix, _ pass: Pass, into out: Matrix) {
        pass.work.scoped { forward(pass.prepare(x, for: inputKinds), pass, into: out) }
    }

    /// The same for input that is prepared already, for example for the routed experts beside it.
    package func forward(_ x: Activations, _ pass: Pass, into out: Matrix) {
        pass.work.scoped {
            let up = pass.matrix(ffnUp.rows)
            switch activation {
            case .gated(let function):
                let gate = pass.matrix(ffnUp.rows)
                pass.cpu.matmul(
                    x, Product(ffnUp, bias: ffnUpBias, into: up),
                    ffnGate.map { Product($0, bias: ffnGateBias, into: gate) })
                pass.cpu.gated(function, gate: gate, up: up, into: up)
            case .plain(let function):
                pass.cpu.matmul(x, Product(ffnUp, bias: ffnUpBias, into: up))
                pass.cpu.apply(function, to: up)
            }
            pass.cpu.matmul(ffnDown, pass.prepare(up, for: ffnDown), bias: ffnDownBias, into: out)
        }
    }
}
