extension Model {
    /// True when the file has a prediction layer that the family can run.
    package var predictsFurther: Bool { architecture.nextTokenState != nil }

    /// The logits of the prediction layer: row t, made from the hidden state at position t and token t + 1, tells
    /// what comes at position t + 2. It sees the rows before its own through a key/value cache of its own.
    /// - Parameter deliver: receives t, for every t but the last position, and the logits.
    /// - Throws: ``EngineError/option(name:found:expected:)`` when the file has no such layer,
    ///   ``EngineError/tokenOutOfRange(token:vocabularySize:)``, and what making a sequence throws.
    package func nextTokenLogits(
        _ tokens: [Int32], deliver: (Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) throws(EngineError) {
        guard let state = architecture.nextTokenState else {
            throw .option(
                name: "mtp", found: "a model without a prediction layer that can be run",
                expected: "a file of qwen35 or qwen35moe with one")
        }
        let size = architecture.head.vocabularySize
        for token in tokens where token < 0 || Int(token) >= size {
            throw .tokenOutOfRange(token: token, vocabularySize: size)
        }
        guard tokens.count > 1 else { return }
        let main = try makeSequence(contextLength: tokens.count)
        let further: SequenceState
        do {
            let layout = try StateLayout(
                layers: [state], keyType: options.keyCache, valueType: options.valueCache,
                batchSize: options.batchSize)
            further = try SequenceState(layout, capacity: tokens.count)
        } catch {
            throw .state(error)
        }
        let batch = Batch(capacity: options.batchSize, maximumSegments: 1)
        let work = Workspace()
        let width = architecture.shape.embeddingLength
        for first in stride(from: 0, to: tokens.count - 1, by: options.batchSize) {
            let rows = first..<min(first + options.batchSize, tokens.count - 1)
            work.reset()
            let hidden = work.matrix(rows: rows.count, cols: width)
            let predicted = work.matrix(rows: rows.count, cols: width)
            run(tokens[rows], main, batch) { architecture.forward(Pass(batch, on: compute, work), into: hidden) }
            run(tokens[rows.lowerBound + 1..<rows.upperBound + 1], further, batch) {
                work.scoped { architecture.predictFurther(Pass(batch, on: compute, work), hidden, into: predicted) }
            }
            for row in 0..<rows.count {
                work.scoped {
                    let logits = work.matrix(rows: 1, cols: size)
                    architecture.head.logits(predicted.rows(row..<row + 1), on: compute, work, into: logits)
                    deliver(
                        rows.lowerBound + row, UnsafeMutableBufferPointer(start: logits.row(0), count: logits.cols))
                }
            }
        }
    }

    private func run(_ tokens: ArraySlice<Int32>, _ sequence: SequenceState, _ batch: Batch, _ pass: () -> Void) {
        batch.removeAll()
        batch.append(tokens, to: sequence, logits: .all)
        pass()
        batch.commit()
    }
}
