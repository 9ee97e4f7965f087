/// A mixture of experts: a router picks a few of many gated networks for each token; a further expert may be
/// shared by all tokens.
package struct ExpertsBlock: Sendable {
    /// What one family's mixture does differently from another's. How scores become weights is a property of the
    /// family: metadata may state it, but a missing key means nothing.
    package struct Options: Sendable {
        package var score: Setting<RoutingOptions.Score>
        /// The weights of the chosen are divided by their sum…
        package var normalize: Setting<Bool>
        /// …plus this, …
        package var normalizeEpsilon: Float = 0
        /// …but by no less than this.
        package var normalizeMinimum: Float = 0
        /// `exp_probs_b.bias`, added to the scores for the choice only.
        package var selectionBias = Presence.absent
        /// Takes part in `expert_group_count`, `expert_group_used_count`.
        package var grouped = false
        package var shared = Shared.none
        /// `ffn_gate_inp.bias` [experts], added to the logits.
        package var routerBias = Presence.absent
        /// `ffn_{gate,up,down}_exps.bias` [width, experts].
        package var expertBias = Presence.absent
        package var activation = Activation.gated(.silu)
        /// The shared expert's, if it differs.
        package var sharedActivation: Activation?
        /// The experts are those that `ffn_gate_tid2eid` lists for the token's id; the router only weighs them.
        package var byToken = false
        /// The routed experts work on this many values instead of the embedding's: `ffn_latent_down` before them,
        /// `ffn_latent_up` behind their sum. Router and shared expert do not.
        package var latentWidth: Int?
        /// Values within an expert, where the family's files do not state them as others do.
        package var width: Int?
        /// `ffn_down_exps.scale` [experts], multiplies the weight of each.
        package var scalesExperts = false

        package init(score: Setting<RoutingOptions.Score>, normalize: Setting<Bool>, shared: Shared = .none) {
            self.score = score
            self.normalize = normalize
            self.shared = shared
        }
    }

    /// Something that a family fixes, or that its files state.
    package enum Setting<Value: Sendable>: Sendable {
        /// A file that says otherwise is refused.
        case always(Value)
        /// What the file says, or else this.
        case stated(default: Value)
    }

    /// How the expert that every token visits joins in.
    package enum Shared: Sendable {
        case none
        /// Times sigmoid(`ffn_gate_inp_shexp` · x), one number per token.
        case gated
        /// As it is.
        case added
        /// The same for files that have one.
        case addedIfPresent
        /// Where a file has one, half of the sum counts.
        case averaged
    }

    let routing: RoutingOptions
    let ffnGateInp: Weight  // (embedding → experts), the router
    let ffnGateInpBias: FloatVector?  // (experts)
    let experts: Experts  // ffn_gate_exps, ffn_up_exps, ffn_down_exps
    let ffnLatentDown: Weight?  // (embedding → latent)
    let ffnLatentUp: Weight?  // (latent → embedding)
    let ffnGateInpShexp: Weight?  // (embedding → 1)
    let sharedExpert: DenseBlock?
    /// Half of the sum of routed and shared experts counts.
    let averages: Bool
    /// Everything that the layer's input is multiplied with.
    private let inputKinds: ActivationKinds

    package init(
        _ tensors: LayerWeights, _ hyper: Hyperparameters, _ shape: DecoderShape, _ options: Options
    ) throws(EngineError) {
        let counts = try ExpertCounts(hyper)
        let (embedding, count) = (shape.embeddingLength, counts.count)
        var routing = try RoutingOptions(hyper, counts, options)
        routing.selectionBias = try tensors.bias("exp_probs_b", count, options.selectionBias)
        if options.scalesExperts, !tensors.hasFactors("ffn_down_exps") {
            routing.expertScale = try tensors.vector(exactly: "ffn_down_exps.scale", count)
        }
        if options.byToken {
            routing.table = try tensors.expertTable("ffn_gate_tid2eid", perToken: counts.used, experts: count)
        }
        self.routing = routing
        ffnGateInp = try tensors.matrix("ffn_gate_inp", in: embedding, out: count)
        ffnGateInpBias = try tensors.bias("ffn_gate_inp", count, options.routerBias)

        let width: Int
        if let stated = options.width {
            width = stated
        } else {
            width = try Self.width(hyper, "expert_feed_forward_length", tensors, "ffn_down_exps")
        }
        let inner = options.latentWidth ?? embedding
        if options.latentWidth != nil {
            ffnLatentDown = try tensors.matrix("ffn_latent_down", in: embedding, out: inner)
            ffnLatentUp = try tensors.matrix("ffn_latent_up", in: inner, out: embedding)
        } else {
            (ffnLatentDown, ffnLatentUp) = (nil, nil)
        }
        let gate: Weight?
        let up: Weight
        if case .plain = options.activation {
            gate = nil
            up = try tensors.experts("ffn_up_exps", in: inner, out: width, count: count)
        } else if tensors.contains("ffn_gate_up_exps") {
            let both = try tensors.experts("ffn_gate_up_exps", in: inner, out: 2 * width, count: count)
            gate = both.rows(0..<width)
            up = both.rows(width..<2 * width)
        } else {
            gate = try tensors.experts("ffn_gate_exps", in: inner, out: width, count: count)
            up = try tensors.experts("ffn_up_exps", in: inner, out: width, count: count)
        }
        let down = try tensors.experts("ffn_down_exps", in: width, out: inner, count: count)
        experts = Experts(
            gate: gate, up: up, down: down,
            gateBias: try tensors.expertBias("ffn_gate_exps", width, count: count, options.expertBias),
            upBias: try tensors.expertBias("ffn_up_exps", width, count: count, options.expertBias),
            downBias: try tensors.expertBias("ffn_down_exps", inner, count: count, options.expertBias),
            activation: options.activation)

        if case .averaged = options.shared { averages = true } else { averages = false }
        switch options.shared {
        case .addedIfPresent where !tensors.contains("ffn_down_shexp"),
            .averaged where !tensors.contains("ffn_down_shexp"), .none:
            sharedExpert = nil
            ffnGateInpShexp = nil
        case .gated:
            let width = try Self.width(hyper, "expert_shared_feed_forward_length", tensors, "ffn_down_shexp")
            sharedExpert = try Self.shared(tensors, embedding, width: width, options)
            ffnGateInpShexp = try tensors.matrix("ffn_gate_inp_shexp", in: embedding, out: 1)
        case .added, .addedIfPresent, .averaged:
            // Converters write widths that do not fit the tensor (ernie4_5-moe).
            let width = try tensors.cols(of: "ffn_down_shexp")
            sharedExpert = try Self.shared(tensors, embedding, width: width, options)
            ffnGateInpShexp = nil
        }
        var kinds = ActivationKinds(ffnGateInp, ffnLatentDown ?? up, ffnLatentDown ?? gate, ffnGateInpShexp)
        if let sharedExpert { kinds.formUnion(sharedExpert.inputKinds) }
        inputKinds = kinds
    }

    /// The expert that every token visits.
    private static func shared(
        _ tensors: LayerWeights, _ embedding: Int, width: Int, _ options: Options
    ) throws(EngineError) -> DenseBlock {
        var dense = DenseBlock.Options()
        dense.activation = options.sharedActivation ?? options.activation
        dense.suffix = "_shexp"
        return try DenseBlock(tensors, embedding: embedding, width: width, dense)
    }

    /// Old files do not state the width; there it is what the last projection reads.
    private static func width(
        _ hyper: Hyperparameters, _ key: String, _ tensors: LayerWeights, _ down: String
    ) throws(EngineError) -> Int {
        if let stated = try hyper.optionalInt(key, in: 1...(1 << 20)) { return stated }
        return try tensors.cols(of: down)
    }

    /// x, out (tokens, embedding).
    /// - Parameter routerInput: what the router sees, if it is not x.
    package func forward(_ x: Matrix, routerInput: Matrix? = nil, _ pass: Pass, into out: Matrix) {
        let (cpu, work) = (pass.cpu, pass.work)
        work.scoped {
            let input = cpu.prepare(x, for: inputKinds, work)
            let logits = pass.matrix(ffnGateInp.rows)
            let sharedGate = pass.matrix(1)
            cpu.matmul(
                routerInput.map { pass.prepare($0, for: ffnGateInp) } ?? input,
                Product(ffnGateInp, bias: ffnGateInpBias, into: logits),
                ffnGateInpShexp.map { Product($0, into: sharedGate) })
            let shared = pass.matrix(sharedExpert == nil ? 0 : out.cols)
            sharedExpert?.forward(input, pass, into: shared)
            let routes = cpu.route(logits, routing, tokens: pass.batch.tokens, work)
            cpu.observer?.route(ffnGateInp, routes)
            if let ffnLatentDown, let ffnLatentUp {
                let (latent, sum) = (pass.matrix(ffnLatentDown.rows), pass.matrix(ffnLatentDown.rows))
                cpu.matmul(ffnLatentDown, input, into: latent)
                cpu.moe(pass.prepare(latent, for: experts.inputKinds), routes, experts, work, into: sum)
                cpu.matmul(ffnLatentUp, pass.prepare(sum, for: ffnLatentUp), into: out)
            } else {
                cpu.moe(input, routes, experts, work, into: out)
            }
            if ffnGateInpShexp != nil {
                cpu.add(shared, to: out, rowGate: sharedGate)
            } else if sharedExpert != nil {
                cpu.add(shared, to: out)
                if averages { cpu.scale(out, by: 0.5) }
            }
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
