/// A mixture of experts: a router picks a few of many gated networks for each token; a further expert may be
/// shared by all tokens.
package struct ExpertsBlock: Sendable {
    /// What one family's mixture does differently from another's. How scores become weights is a property of the
    /// family and never inferred from metadata.
    package struct Options: Sendable {
        package var score: RoutingOptions.Score
        /// The weights of the chosen are divided by their sum.
        package var normalize: Bool
        package var shared: Shared = .none

        package init(score: RoutingOptions.Score, normalize: Bool, shared: Shared = .none) {
            self.score = score
            self.normalize = normalize
            self.shared = shared
        }
    }

    /// How the expert that every token visits joins in.
    package enum Shared: Sendable {
        case none
        /// Times sigmoid(`ffn_gate_inp_shexp` · x), one number per token.
        case gated
    }

    let routing: RoutingOptions
    let ffnGateInp: Weight  // (embedding → experts), the router
    let experts: Experts  // ffn_gate_exps, ffn_up_exps, ffn_down_exps
    let ffnGateInpShexp: Weight?  // (embedding → 1)
    let sharedExpert: DenseBlock?
    /// Everything that the layer's input is multiplied with.
    private let inputKinds: ActivationKinds

    package init(
        _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape, _ options: Options
    ) throws(EngineError) {
        let counts = try ExpertCounts(hyper)
        var routing = RoutingOptions(topK: counts.used, score: options.score, normalize: options.normalize)
        try routing.check(hyper)
        // Absent and 0 both mean 1.
        let scale = Float(try hyper.float("expert_weights_scale", in: 0...1e6, default: 1))
        routing.scale = scale == 0 ? 1 : scale
        self.routing = routing

        let embedding = shape.embeddingLength
        let width = try Self.width(hyper, "expert_feed_forward_length", tensors, "ffn_down_exps")
        ffnGateInp = try tensors.matrix("ffn_gate_inp", in: embedding, out: counts.count)
        let gate: Weight
        let up: Weight
        if tensors.contains("ffn_gate_up_exps") {
            let both = try tensors.experts("ffn_gate_up_exps", in: embedding, out: 2 * width, count: counts.count)
            gate = both.rows(0..<width)
            up = both.rows(width..<2 * width)
        } else {
            gate = try tensors.experts("ffn_gate_exps", in: embedding, out: width, count: counts.count)
            up = try tensors.experts("ffn_up_exps", in: embedding, out: width, count: counts.count)
        }
        let down = try tensors.experts("ffn_down_exps", in: width, out: embedding, count: counts.count)
        experts = Experts(gate: gate, up: up, down: down)

        switch options.shared {
        case .none:
            ffnGateInpShexp = nil
            sharedExpert = nil
        case .gated:
            let width = try Self.width(hyper, "expert_shared_feed_forward_length", tensors, "ffn_down_shexp")
            ffnGateInpShexp = try tensors.matrix("ffn_gate_inp_shexp", in: embedding, out: 1)
            sharedExpert = try DenseBlock(tensors, embedding: embedding, width: width, suffix: "_shexp")
        }
        var kinds = ActivationKinds(ffnGateInp, gate, up)
        if let ffnGateInpShexp { kinds.formUnion(ActivationKinds(ffnGateInpShexp)) }
        if let sharedExpert { kinds.formUnion(sharedExpert.inputKinds) }
        inputKinds = kinds
    }

    /// Old files do not state the width; there it is what the last projection reads.
    private static func width(
        _ hyper: Hyperparameters, _ key: String, _ tensors: LayerWeights, _ down: String
    ) throws(EngineError) -> Int {
        if let stated = try hyper.optionalInt(key, in: 1...(1 << 20)) { return stated }
        return try tensors.cols(of: down)
    }

    /// x, out (tokens, embedding).
    package func forward(_ x: Matrix, _ pass: Pass, into out: Matrix) {
        let (cpu, work) = (pass.cpu, pass.work)
        work.scoped {
            let input = cpu.prepare(x, for: inputKinds, work)
            let logits = pass.matrix(ffnGateInp.rows)
            let sharedGate = pass.matrix(1)
            cpu.matmul(
                input, Product(ffnGateInp, into: logits), ffnGateInpShexp.map { Product($0, into: sharedGate) })
            let shared = pass.matrix(sharedExpert == nil ? 0 : out.cols)
            sharedExpert?.forward(input, pass, into: shared)
            cpu.moe(input, cpu.route(logits, routing, work), experts, work, into: out)
            if sharedExpert != nil { cpu.add(shared, to: out, rowGate: sharedGate) }
        }
    }
}

extension ExpertCounts {
    /// `expert_count` and `expert_used_count`.
    init(_ hyper: Hyperparameters) throws(EngineError) {
        count = try hyper.int("expert_count", in: 1...4096)
        used = try hyper.int("expert_used_count", in: 1...4096)
        guard used <= count else {
            throw hyper.conflict("expert_used_count", found: used, expected: "at most expert_count \(count)")
        }
    }
}

extension RoutingOptions {
    /// Refuses a file whose metadata contradicts what the family does.
    fileprivate func check(_ hyper: Hyperparameters) throws(EngineError) {
        if let function = try hyper.optionalInt("expert_gating_func", in: 0...Int(UInt32.max)), function != 0,
            function != gatingFunction
        {
            throw hyper.conflict("expert_gating_func", found: function, expected: "\(gatingFunction) (\(score))")
        }
        let normalizes = try hyper.bool("expert_weights_norm", default: normalize)
        guard normalizes == normalize else {
            throw hyper.conflict("expert_weights_norm", found: normalizes, expected: "\(normalize)")
        }
    }

    /// The number that `expert_gating_func` has for this score.
    private var gatingFunction: Int {
        switch score {
        case .softmax: 1
        case .sigmoid: 2
        case .softmaxOfChosen: 3
        case .sqrtSoftplus: 4
        }
    }
}
