/// Sees what goes through a model's products and routers: for calibration, importance matrices, statistics of experts.
///
/// It is given with ``EngineOptions/observer``; without one, nothing is called and nothing is allocated, and with one
/// every result has the same bits.
///
///     final class Loads: ComputeObserver {
///         let picks = Mutex<[Int: [Int]]>([:])  // layer → picks of each expert
///         func route(_ router: Weight, _ routing: Routing) {
///             guard let layer = router.layer else { return }
///             picks.withLock { picks in
///                 for slot in 0..<routing.tokens * routing.topK {
///                     picks[layer, default: Array(repeating: 0, count: routing.experts)][Int(routing.ids[slot])] += 1
///                 }
///             }
///         }
///     }
///     var options = EngineOptions()
///     options.observer = loads
///     let generator = try Model.load(path: path, options: options).makeGenerator()
///     try generator.sync(tokens)
///
/// Rows and tokens are those of the ``Batch`` of the forward pass that runs, in its order: with a ``Generator`` the
/// tokens of the sequence one after another, `batchSize` of them at a time. Layers of a pass come in their order. All
/// calls come from the thread that runs the pass. Pointers are valid during the call only.
package protocol ComputeObserver: AnyObject, Sendable {
    /// Rows that are about to be multiplied with one weight, or at once with several: q, k and v, gate and up.
    ///
    /// Experts without a token are not reported.
    /// - Parameters:
    ///   - weights: at least one, of different tensors. A tensor that holds several projections is there once, as the
    ///     slice (``Weight/rows(_:)``) that comes first. Matrices that were made at load from others have their
    ///     tensor's name and another shape.
    ///   - member: which matrix of a stack of experts or heads; 0 for plain matrices.
    ///   - rows: (rows, cols of the weights), floats, before they are quantized.
    func multiply(_ weights: [Weight], member: Int, _ rows: ObservedRows)

    /// The experts of every token of the pass, in one layer.
    /// - Parameter router: the weight that scored them; ``Weight/layer`` tells the layer.
    func route(_ router: Weight, _ routing: Routing)
}

extension ComputeObserver {
    package func multiply(_: [Weight], member _: Int, _: ObservedRows) {}
    package func route(_: Weight, _: Routing) {}
}

/// Some rows of a matrix: row i begins at `self[i]` and has `cols` values.
package struct ObservedRows {
    package let matrix: Matrix
    package let count: Int
    /// Row numbers in `matrix`; nil: the first `count`.
    private let indices: UnsafePointer<Int32>?

    init(_ matrix: Matrix) {
        self.matrix = matrix
        count = matrix.rows
        indices = nil
    }

    init(_ matrix: Matrix, _ indices: UnsafePointer<Int32>, count: Int) {
        self.matrix = matrix
        self.count = count
        self.indices = indices
    }

    package var cols: Int { matrix.cols }

    package subscript(index: Int) -> UnsafePointer<Float> {
        UnsafePointer(matrix.row(indices.map { Int($0[index]) } ?? index))
    }
}

extension Weight {
    /// The layer in the tensor's name, `blk.N.…`.
    package var layer: Int? {
        let parts = name.split(separator: ".", maxSplits: 2)
        return parts.count == 3 && parts[0] == "blk" ? Int(parts[1]) : nil
    }
}
