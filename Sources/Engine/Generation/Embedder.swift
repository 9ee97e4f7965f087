import GGUF

/// Turns texts into vectors: one sequence at a time, its hidden states behind the final norm pooled into one.
///
/// Not Sendable: one owner at a time.
package final class Embedder {
    /// How the hidden states of a text become one vector.
    package enum Pooling: Int, Sendable, CaseIterable {
        case mean = 1
        /// The first token's.
        case cls = 2
        case last = 3
    }

    package let model: Model
    package let pooling: Pooling
    /// Values per vector.
    package var dimension: Int { model.architecture.pooledLayers.last?.rows ?? width }
    /// Values per hidden state.
    private var width: Int { model.info.embeddingLength }
    /// Tokens of the longest text.
    package var capacity: Int { sequence.capacity }

    private let sequence: SequenceState
    private let batch: Batch
    private let work: Workspace
    private let isCancelled: () -> Bool

    /// - Parameters:
    ///   - pooling: nil: as the file says (`pooling_type`), or else the mean for an encoder and the last token for
    ///     a decoder, whose last token alone has seen the whole text.
    ///   - isCancelled: asked before each forward pass.
    /// - Throws: ``EngineError`` for a file that wants something else, such as a score by a classifier.
    package init(
        _ model: Model, pooling: Pooling? = nil, contextLength: Int? = nil,
        isCancelled: @escaping () -> Bool = { false }
    ) throws(EngineError) {
        self.model = model
        if let pooling {
            self.pooling = pooling
        } else if let stated = try model.statedPooling {
            self.pooling = stated
        } else {
            self.pooling = model.architecture.isEncoder ? .mean : .last
        }
        self.isCancelled = isCancelled
        // Keys and values last for one text, so four bytes each cost little, and the vector of a text is the same
        // however the caches of the model's conversations are stored.
        sequence = try model.makeSequence(contextLength: contextLength, cache: .f32)
        // Learned positions end where training did.
        let trained = model.architecture.shape.contextLength
        guard !model.architecture.isEncoder || sequence.capacity <= trained else {
            throw .contextBeyondTraining(wanted: sequence.capacity, trained: trained)
        }
        // An encoder sees a text in one pass.
        let rows = model.architecture.isEncoder ? sequence.capacity : min(model.options.batchSize, sequence.capacity)
        batch = Batch(capacity: rows, maximumSegments: 1)
        work = Workspace()
    }

    /// The vector of a text.
    /// - Parameter normalize: to a length of 1.
    package func embed(_ tokens: [Int32], normalize: Bool = true) throws(EngineError) -> [Float] {
        let width = width
        var sum = [Double](repeating: 0, count: width)
        var vector = [Float](repeating: 0, count: width)
        let wanted: LogitRows = pooling == .last ? .last : .all
        try run(tokens, wanted) { position, row in
            switch pooling {
            case .mean: for index in 0..<width { sum[index] += Double(row[index]) }
            case .cls: if position == 0 { vector = [Float](UnsafeBufferPointer(start: row, count: width)) }
            case .last: vector = [Float](UnsafeBufferPointer(start: row, count: width))
            }
        }
        if pooling == .mean { vector = sum.map { Float($0 / Double(tokens.count)) } }
        vector = project(vector)
        guard normalize else { return vector }
        let length = vector.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        return length > 0 ? vector.map { Float(Double($0) / length) } : vector
    }

    /// What the family has behind a pooled vector.
    private func project(_ vector: [Float]) -> [Float] {
        model.architecture.pooledLayers.reduce(vector) { vector, layer in
            work.reset()
            let (x, y) = (work.matrix(rows: 1, cols: layer.cols), work.matrix(rows: 1, cols: layer.rows))
            x.row(0).update(from: vector, count: layer.cols)
            model.compute.matmul(layer, model.compute.prepare(x, for: layer, work), into: y)
            return [Float](UnsafeBufferPointer(start: y.row(0), count: layer.rows))
        }
    }

    /// The hidden state of every token, behind the final norm.
    package func hiddenStates(_ tokens: [Int32]) throws(EngineError) -> [[Float]] {
        var states: [[Float]] = []
        try run(tokens, .all) { _, row in states.append([Float](UnsafeBufferPointer(start: row, count: width))) }
        return states
    }

    /// `deliver` receives rows that are asked for, in order, with their positions. With `.last` these are the last
    /// rows of all passes.
    private func run(
        _ tokens: [Int32], _ wanted: LogitRows, _ deliver: (Int, UnsafeMutablePointer<Float>) -> Void
    ) throws(EngineError) {
        try model.validate(tokens)
        guard tokens.count <= capacity else { throw .contextFull(limit: capacity, wanted: tokens.count) }
        sequence.reset()
        sequence.isLong = model.architecture.longContext.map { tokens.count > $0 } ?? false
        for start in stride(from: 0, to: tokens.count, by: batch.capacity) {
            if isCancelled() { throw .cancelled }
            let piece = tokens[start..<min(start + batch.capacity, tokens.count)]
            batch.removeAll()
            batch.append(piece, to: sequence, logits: wanted)
            model.hiddenStates(batch, work) { hidden in
                for row in 0..<hidden.rows { deliver(start + Int(batch.logitRows[row]), hidden.row(row)) }
            }
        }
    }
}

extension Model {
    /// `pooling_type`; nil when the file has none or leaves it open (0).
    fileprivate var statedPooling: Embedder.Pooling? {
        get throws(EngineError) {
            let hyper = try Hyperparameters(file.metadata)
            guard let type = try hyper.optionalInt("pooling_type", in: 0...Int(UInt32.max)), type != 0 else {
                return nil
            }
            guard let pooling = Embedder.Pooling(rawValue: type) else {
                throw hyper.conflict("pooling_type", found: type, expected: "1 (mean), 2 (CLS) or 3 (last token)")
            }
            return pooling
        }
    }
}
