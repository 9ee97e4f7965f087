import Engine

/// Runs the passes of tests on one loaded model, with random tokens.
final class BenchRunner {
    let model: Model
    let batchSize: Int
    private let capacity: Int
    private let batch: Batch
    private let work: Workspace
    private let tokens: [Int32]
    private var sequences: [SequenceState] = []
    /// The sequences as they are before the clock starts.
    private var prepared: (depth: Int, snapshots: [RecurrentSnapshot])?

    /// - Parameters:
    ///   - batchSize: most prompt tokens per pass.
    ///   - tests: all that will be run; they say how much room is needed.
    init(_ model: Model, batchSize: Int, tests: [BenchTest]) {
        self.model = model
        self.batchSize = batchSize
        capacity = tests.map { $0.capacity }.max() ?? 1
        let widest = tests.map { $0.rows * $0.sequences }.max() ?? 1
        batch = Batch(capacity: max(batchSize, widest))
        work = Workspace()
        // Any ids do, as long as the experts and the rows of the embedding table that they visit are spread.
        let vocabulary = UInt64(model.info.vocabularySize)
        var state: UInt64 = 1
        tokens = (0..<4096).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32(truncatingIfNeeded: (state >> 33) % vocabulary)
        }
    }

    /// Brings the sequences to the test's depth.
    func prepare(_ test: BenchTest) throws {
        while sequences.count < test.sequences {
            sequences.append(try model.makeSequence(contextLength: capacity))
            prepared = nil
        }
        if let prepared, prepared.depth == test.depth { return }
        // A deeper one goes on from where the last one began.
        if let prepared, prepared.depth < test.depth { rewind() } else { sequences.forEach { $0.reset() } }
        for sequence in sequences { prefill(sequence, to: test.depth) }
        prepared = (test.depth, sequences.map { $0.snapshot() })
    }

    /// A short run, so that memory is there, pages are mapped and the processor is awake.
    func warmUp(_ test: BenchTest) {
        let passes = test.passes(batch: batchSize)
        for pass in [passes.first, passes.last].compactMap({ $0 }) where pass.start >= test.depth {
            rewind()
            run(BenchPass(start: test.depth, rows: pass.rows, sequences: pass.sequences, logits: pass.logits))
        }
        rewind()
    }

    /// Seconds that the test's passes take.
    func measure(_ test: BenchTest) -> Double {
        rewind()
        let passes = test.passes(batch: batchSize)
        return ContinuousClock().measure { for pass in passes { run(pass) } } / .seconds(1)
    }

    private func rewind() {
        guard let prepared else { return }
        for (sequence, snapshot) in zip(sequences, prepared.snapshots) { sequence.restore(snapshot) }
    }

    private func prefill(_ sequence: SequenceState, to depth: Int) {
        for pass in BenchTest.prefill(depth - sequence.count, from: sequence.count, batch: batchSize) {
            run(pass, on: [sequence])
        }
    }

    private func run(_ pass: BenchPass) { run(pass, on: sequences.prefix(pass.sequences)) }

    private func run(_ pass: BenchPass, on sequences: some Collection<SequenceState>) {
        batch.removeAll()
        for (index, sequence) in sequences.enumerated() {
            let first = sequence.count + 131 * index
            let ids = (0..<pass.rows).map { tokens[(first + $0) % tokens.count] }
            let logits: LogitRows = pass.logits == 0 ? .none : pass.logits == 1 ? .last : .all
            batch.append(ids, to: sequence, logits: logits)
        }
        model.forward(batch, work) { _, _ in }
    }
}
