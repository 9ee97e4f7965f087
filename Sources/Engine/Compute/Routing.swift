import CKernels

/// How router logits become experts and weights. Nothing here is inferred from missing metadata: each family says
/// what it does.
package struct RoutingOptions: Sendable {
    /// What turns a logit into a score.
    package enum Score: Sendable, Equatable {
        case softmax
        case sigmoid
        /// The chosen logits alone go through a softmax.
        case softmaxOfChosen
        case sqrtSoftplus
        /// SparseMixer: each of the two chosen has its own softmax, over the logits close to it (phimoe).
        case sparseMixer(jitter: Float)
    }

    package var topK: Int
    package var score: Score
    /// Added to the scores for the choice only, not for the weights.
    package var selectionBias: FloatVector?
    /// Divides the weights by their sum…
    package var normalize: Bool
    /// …plus this (lfm2moe), …
    package var normalizeEpsilon: Float = 0
    /// …but by no less than this (ernie4_5-moe).
    package var normalizeMinimum: Float = 0
    package var scale: Float = 1
    /// Multiplies the weight of each expert (gemma4).
    package var expertScale: FloatVector?
    /// Groups of neighbouring experts; only the best `groupsUsed` take part. 1: no groups.
    package var groups: Int = 1
    package var groupsUsed: Int = 1

    /// The experts of each token id, instead of a choice.
    package var table: ExpertTable?

    package init(topK: Int, score: Score, selectionBias: FloatVector? = nil, normalize: Bool) {
        self.topK = topK
        self.score = score
        self.selectionBias = selectionBias
        self.normalize = normalize
    }
}

/// The experts of every token, best first. Valid as long as the workspace it was made from.
package struct Routing {
    package let tokens: Int
    package let topK: Int
    package let experts: Int
    /// tokens × topK
    package let ids: UnsafeMutablePointer<Int32>
    package let weights: UnsafeMutablePointer<Float>

    package init(tokens: Int, topK: Int, experts: Int, _ workspace: Workspace) {
        self.tokens = tokens
        self.topK = topK
        self.experts = experts
        ids = workspace.ints(tokens * topK)
        weights = workspace.bytes(tokens * topK * 4).bindMemory(to: Float.self, capacity: tokens * topK)
    }
}

extension Compute {
    /// Chooses experts from router logits (tokens, experts).
    ///
    /// scores → selection scores (plus bias) → group limit → the best topK, the lower index winning a tie → weights
    /// from the scores without bias → normalisation → scale. A group's score is the sum of its two best selection
    /// scores.
    ///
    /// With a table the experts are those of the token instead.
    /// - Parameter tokens: the token id of each row, for a table.
    package func route(
        _ logits: Matrix, _ options: RoutingOptions, tokens: UnsafePointer<Int32>? = nil, _ workspace: Workspace
    ) -> Routing {
        precondition(options.table == nil || (tokens != nil && options.table?.perToken == options.topK))
        let experts = logits.cols
        if case .sparseMixer = options.score { precondition(options.topK == 2) }
        precondition(options.topK >= 1 && options.topK <= experts)
        precondition((options.selectionBias?.count ?? experts) == experts)
        precondition((options.expertScale?.count ?? experts) == experts)
        precondition(options.groups >= 1 && experts.isMultiple(of: options.groups))
        precondition(options.groupsUsed >= 1 && options.groupsUsed <= options.groups)
        precondition(options.groupsUsed * (experts / options.groups) >= options.topK)
        let routing = Routing(tokens: logits.rows, topK: options.topK, experts: experts, workspace)
        let grain = max(1, 2048 / (experts * (options.topK + 4)))
        let scratch = experts * 12 + options.groups * 4
        pool.run(logits.rows, grain: grain, scratch: scratch, (logits, options, tokens, routing)) { job, rows, worker in
            let (logits, options, tokens, routing) = job
            for row in rows {
                let fixed = options.table.flatMap { table in tokens.flatMap { table.experts(of: $0[row]) } }
                routeToken(
                    logits.row(row), options, routing.experts, fixed: fixed, ids: routing.ids + row * routing.topK,
                    weights: routing.weights + row * routing.topK, worker.scratch)
            }
        }
        return routing
    }
}

private func routeToken(
    _ logits: UnsafePointer<Float>, _ options: RoutingOptions, _ experts: Int, fixed: UnsafePointer<Int32>?,
    ids: UnsafeMutablePointer<Int32>, weights: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer
) {
    let scores = scratch.assumingMemoryBound(to: Float.self)
    let selection = scores + experts
    let groupScores = selection + experts
    let taken = UnsafeMutableRawPointer(groupScores + options.groups).bindMemory(to: Bool.self, capacity: experts)

    if case .sparseMixer(let jitter) = options.score {
        return sparseMixer(logits, experts, jitter: jitter, ids: ids, weights: weights, scores)
    }
    switch options.score {
    case .sparseMixer:
        break
    case .softmax:
        scores.update(from: logits, count: experts)
        ck_softmax(scores, experts)
    case .sigmoid:
        ck_unary_apply(CK_SIGMOID, logits, experts, scores)
    case .softmaxOfChosen:
        scores.update(from: logits, count: experts)
    case .sqrtSoftplus:
        ck_unary_apply(CK_SOFTPLUS, logits, experts, scores)
        for expert in 0..<experts { scores[expert] = scores[expert].squareRoot() }
    }
    selection.update(from: scores, count: experts)
    if let bias = options.selectionBias { ck_add(selection, bias.pointer, experts) }

    taken.update(repeating: false, count: experts)
    if options.groups > 1 {
        let size = experts / options.groups
        for group in 0..<options.groups {
            groupScores[group] = twoBestSum(selection + group * size, size)
        }
        // Whole groups that are not among the best count as taken. `ids` is big enough only for topK, so the
        // ranking is by counting: a group stays if fewer than groupsUsed others come before it.
        for group in 0..<options.groups {
            var better = 0
            for other in 0..<options.groups where other != group {
                if comesBefore(groupScores[other], other, groupScores[group], group) { better += 1 }
            }
            if better >= options.groupsUsed { (taken + group * size).update(repeating: true, count: size) }
        }
    }

    for rank in 0..<options.topK {
        if let fixed {
            ids[rank] = fixed[rank]
            weights[rank] = scores[Int(fixed[rank])]
            continue
        }
        // Written so that NaN scores still choose distinct experts.
        var best = -1
        for expert in 0..<experts where !taken[expert] {
            if best < 0 || selection[expert] > selection[best] { best = expert }
        }
        if best < 0 { best = 0 }
        taken[best] = true
        ids[rank] = Int32(truncatingIfNeeded: best)
        weights[rank] = scores[best]
    }

    if options.score == .softmaxOfChosen { ck_softmax(weights, options.topK) }
    if options.normalize {
        var sum: Float = 0
        for rank in 0..<options.topK { sum += weights[rank] }
        sum += options.normalizeEpsilon
        if sum < options.normalizeMinimum { sum = options.normalizeMinimum }
        for rank in 0..<options.topK { weights[rank] /= sum }
    }
    if let factors = options.expertScale {
        for rank in 0..<options.topK { weights[rank] *= factors.pointer[Int(ids[rank])] }
    }
    if options.scale != 1 { ck_scale(weights, weights, options.scale, options.topK) }
}

/// The order of groups: higher score first, then the lower index; NaN last. A strict total order.
private func comesBefore(_ a: Float, _ indexA: Int, _ b: Float, _ indexB: Int) -> Bool {
    if a > b { return true }
    if b > a { return false }
    if a.isNaN != b.isNaN { return b.isNaN }
    return indexA < indexB
}

private func twoBestSum(_ values: UnsafePointer<Float>, _ count: Int) -> Float {
    var first = -Float.infinity
    var second = -Float.infinity
    for index in 0..<count {
        if values[index] > first {
            second = first
            first = values[index]
        } else if values[index] > second {
            second = values[index]
        }
    }
    return count > 1 ? first + second : first
}
