import Engine

/// Steps on the engine: one batch of rows and one workspace, used again for every step.
final class EngineRunner: StepRunner {
    let promptRows: Int
    let longContext: Int?
    private let model: Model
    private let contextLength: Int
    private let batch: Batch
    private let work: Workspace
    private let checkpointBytes: Int
    /// Made to learn its size, and given out first.
    private var spare: SequenceState?
    private var embedder: Embedder?

    /// - Parameter parallel: sequences that a step may have.
    /// - Throws: `EngineError`.
    init(_ model: Model, contextLength: Int, parallel: Int) throws {
        self.model = model
        self.contextLength = contextLength
        promptRows = model.options.batchSize
        longContext = model.architecture.longContext
        batch = Batch(capacity: promptRows + parallel, maximumSegments: parallel)
        work = Workspace(bytes: min(model.memory(contextLength: contextLength).scratch, 1 << 32))
        let sequence = try model.makeSequence(contextLength: contextLength)
        checkpointBytes = sequence.checkpointBytes
        spare = sequence
    }

    var copies: SequenceCopies? {
        guard !model.architecture.isEncoder else { return nil }
        return SequenceCopies(layout: model.stateLayout, checkpointBytes: checkpointBytes) { [unowned self] in
            fingerprint()
        }
    }

    func makeSequence() throws -> any StepSequence {
        if let sequence = spare.take() { return sequence }
        return try model.makeSequence(contextLength: contextLength)
    }

    func run(
        _ pieces: [StepPiece], advanced: () -> Void,
        deliver: (Int, Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) {
        batch.removeAll()
        for piece in pieces {
            guard let state = piece.sequence as? SequenceState else {
                preconditionFailure("a sequence of another runner")
            }
            batch.append(piece.tokens, to: state, logits: piece.logits)
        }
        var isTold = false
        func tell() {
            guard !isTold else { return }
            isTold = true
            advanced()
        }
        var segment = 0
        model.forward(batch, work) { first, logits in
            tell()
            var deliveries: [Delivery] = []
            for row in 0..<logits.rows {
                let batchRow = Int(batch.logitRows[first + row])
                while batch.segments[segment].rows.upperBound <= batchRow { segment += 1 }
                let rows = batch.segments[segment]
                if deliveries.last?.piece != segment { deliveries.append(Delivery(piece: segment)) }
                deliveries[deliveries.count - 1].rows.append(
                    (
                        rows.start + batchRow - rows.rows.lowerBound,
                        UnsafeMutableBufferPointer(start: logits.row(row), count: logits.cols)
                    ))
            }
            // Each sequence chooses for itself: with a large vocabulary that is work enough to share.
            withoutActuallyEscaping(deliver) { deliver in
                model.compute.forEach(deliveries.count) { [deliveries] index in
                    for (position, logits) in deliveries[index].rows {
                        deliver(deliveries[index].piece, position, logits)
                    }
                }
            }
        }
        tell()
    }

    /// Logits for one sequence.
    private struct Delivery {
        let piece: Int
        var rows: [(position: Int, logits: UnsafeMutableBufferPointer<Float>)] = []
    }

    func embed(_ tokens: [Int32]) throws -> [Float] {
        if let embedder { return try embedder.embed(tokens) }
        let made = try Embedder(model, contextLength: contextLength)
        embedder = made
        return try made.embed(tokens)
    }

    /// What this model says to a few tokens, bit for bit.
    private func fingerprint() -> UInt64 {
        var checksum = Checksum(seed: 1)
        let layout = model.stateLayout
        let facts = "\(layout.layers) \(layout.keyType) \(layout.valueType) \(model.info.weightBytes)"
        var text = Array(facts.utf8)
        text.withUnsafeMutableBytes { checksum.add(UnsafeRawBufferPointer($0)) }
        guard let state = try? makeSequence() as? SequenceState else { return checksum.value }
        let size = model.info.vocabularySize
        let probe = (1...min(8, contextLength)).map { Int32($0 * 7919 % size) }
        batch.removeAll()
        batch.append(probe.prefix(batch.capacity), to: state, logits: .last)
        model.forward(batch, work) { _, logits in
            checksum.add(UnsafeRawBufferPointer(UnsafeBufferPointer(start: logits.row(0), count: logits.cols)))
        }
        state.reset()
        spare = state
        return checksum.value
    }
}
