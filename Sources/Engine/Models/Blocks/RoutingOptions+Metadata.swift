extension RoutingOptions {
    /// What the family fixes, and for the rest what the file states. A file that contradicts its family is refused.
    init(_ hyper: Hyperparameters, _ counts: ExpertCounts, _ options: ExpertsBlock.Options) throws(EngineError) {
        self.init(
            topK: counts.used, score: try Self.score(hyper, options.score),
            normalize: try Self.normalize(hyper, options.normalize))
        normalizeEpsilon = options.normalizeEpsilon
        normalizeMinimum = options.normalizeMinimum
        // Absent and 0 both mean 1.
        let scale = Float(try hyper.float("expert_weights_scale", in: 0...1e6, default: 1))
        self.scale = scale == 0 ? 1 : scale
        if options.grouped { try readGroups(hyper, counts) }
    }

    private static func score(
        _ hyper: Hyperparameters, _ setting: ExpertsBlock.Setting<Score>
    ) throws(EngineError) -> Score {
        let key = "expert_gating_func"
        // 0 is written for "not stated".
        let found = try hyper.optionalInt(key, in: 0...Int(UInt32.max)) ?? 0
        switch setting {
        case .always(let score):
            guard found == 0 || found == score.gatingFunction else {
                throw hyper.conflict(key, found: found, expected: score.described)
            }
            return score
        case .stated(let fallback):
            if found == 0 { return fallback }
            guard let score = Score.stated.first(where: { $0.gatingFunction == found }) else {
                let known = Score.stated.map(\.described).joined(separator: ", ")
                throw hyper.conflict(key, found: found, expected: "one of \(known)")
            }
            return score
        }
    }

    private static func normalize(
        _ hyper: Hyperparameters, _ setting: ExpertsBlock.Setting<Bool>
    ) throws(EngineError) -> Bool {
        let key = "expert_weights_norm"
        switch setting {
        case .always(let normalizes):
            let found = try hyper.bool(key, default: normalizes)
            guard found == normalizes else { throw hyper.conflict(key, found: found, expected: "\(normalizes)") }
            return normalizes
        case .stated(let fallback):
            return try hyper.bool(key, default: fallback)
        }
    }

    private mutating func readGroups(_ hyper: Hyperparameters, _ counts: ExpertCounts) throws(EngineError) {
        // Absent and 0 both mean one group.
        groups = max(1, try hyper.int("expert_group_count", in: 0...4096, default: 1))
        groupsUsed = max(1, try hyper.int("expert_group_used_count", in: 0...4096, default: 1))
        guard counts.count.isMultiple(of: groups) else {
            throw hyper.conflict(
                "expert_group_count", found: groups, expected: "a divisor of expert_count \(counts.count)")
        }
        guard groupsUsed <= groups, groupsUsed * (counts.count / groups) >= counts.used else {
            throw hyper.conflict(
                "expert_group_used_count", found: groupsUsed,
                expected: "at most expert_group_count \(groups), and groups with room for \(counts.used) experts")
        }
    }
}

extension RoutingOptions.Score {
    /// Those that `expert_gating_func` can name.
    fileprivate static let stated: [Self] = [.softmax, .sigmoid, .softmaxOfChosen, .sqrtSoftplus]

    /// The number that `expert_gating_func` has for this score.
    fileprivate var gatingFunction: Int? {
        switch self {
        case .softmax: 1
        case .sigmoid: 2
        case .softmaxOfChosen: 3
        case .sqrtSoftplus: 4
        case .sparseMixer: nil
        }
    }

    fileprivate var described: String {
        gatingFunction.map { "\($0) (\(self))" } ?? "no such key: the family routes by \(self)"
    }
}
