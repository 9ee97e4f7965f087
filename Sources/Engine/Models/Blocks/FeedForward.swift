/// The half of a layer that looks at one token alone: one network, or experts.
package protocol FeedForward: Sendable {
    /// What it is, in the field's words: for a layer that is nothing else.
    var kind: String { get }

    /// x, out (tokens, embedding).
    /// - Parameter residual: the stream that x was normed from, for networks that read it too.
    func forward(_ x: Matrix, residual: Matrix, _ pass: Pass, into out: Matrix)
}

extension DenseBlock: FeedForward {
    package var kind: String { "feed-forward" }

    package func forward(_ x: Matrix, residual _: Matrix, _ pass: Pass, into out: Matrix) {
        forward(x, pass, into: out)
    }
}

extension ExpertsBlock: FeedForward {
    package var kind: String { "experts" }

    package func forward(_ x: Matrix, residual _: Matrix, _ pass: Pass, into out: Matrix) {
        forward(x, pass, into: out)
    }
}

/// Which layers of a stack have a dense network and which a mixture, as the family and its files say.
package struct FeedForwards {
    /// Where a family has experts.
    package enum Mixture {
        case never, always
        /// Where the file has `expert_count`.
        case stated
        /// In all layers behind the first `leading_dense_block_count`.
        case behindDense
    }

    private let hyper: Hyperparameters
    private let shape: DecoderShape
    private let dense: DenseBlock.Options
    private let routed: ExpertsBlock.Options?
    /// Of dense networks; empty where there are none.
    private let widths: [Int]
    private let firstMixture: Int
    /// Every so many layers there is a mixture, counted from one.
    private let interval: Int
    package let experts: ExpertCounts?

    /// - Parameters:
    ///   - interval: true for families that know `interleave_moe_layer_step`.
    package init(
        _ hyper: Hyperparameters, _ shape: DecoderShape, dense: DenseBlock.Options = .init(),
        routed: ExpertsBlock.Options? = nil, mixture: Mixture = .never, interval: Bool = false
    ) throws(EngineError) {
        let blocks = shape.layers + shape.nextTokenLayers
        self.hyper = hyper
        self.shape = shape
        self.dense = dense
        self.routed = routed
        switch mixture {
        case .never: firstMixture = blocks
        case .always: firstMixture = 0
        case .stated: firstMixture = try hyper.int("expert_count", in: 0...4096, default: 0) > 0 ? 0 : blocks
        case .behindDense: firstMixture = try hyper.int("leading_dense_block_count", in: 0...1024, default: 0)
        }
        self.interval = interval ? try hyper.int("interleave_moe_layer_step", in: 1...1024, default: 1) : 1
        let hasDense = firstMixture > 0 || self.interval > 1
        widths = hasDense ? try hyper.ints("feed_forward_length", count: blocks, in: 1...(1 << 20)) : []
        if firstMixture < shape.layers {
            experts = try ExpertCounts(hyper)
        } else {
            // A file that is cut off behind the dense layers still tells of experts.
            if case .behindDense = mixture { _ = try hyper.int("expert_count", in: 0...4096, default: 0) }
            experts = nil
        }
    }

    /// - Parameter layer: an index among all blocks, prediction layers included.
    package func bind(_ tensors: LayerWeights, layer: Int) throws(EngineError) -> any FeedForward {
        if let routed, layer >= firstMixture, (layer + 1).isMultiple(of: interval) {
            return try ExpertsBlock(tensors, hyper, shape, routed)
        }
        return try DenseBlock(tensors, embedding: shape.embeddingLength, width: widths[layer], dense)
    }
}
