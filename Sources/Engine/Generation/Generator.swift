/// The owner of one sequence: takes whole token lists, reuses what it has already computed, and gives the logits
/// of the last token.
///
/// Not Sendable: one owner at a time. Results do not depend on how the tokens arrived: in one list, in pieces,
/// one by one, or after a longer or different list.
package final class Generator {
    package let model: Model
    /// The tokens whose effect the sequence holds.
    package private(set) var tokens: [Int32] = []
    /// Logits of the last token, valid after a successful ``sync(_:isCancelled:progress:)`` or ``decode(_:)``.
    package let logits: UnsafeMutableBufferPointer<Float>

    private let sequence: SequenceState
    private let batch: Batch
    private let work: Workspace
    /// True while ``logits`` belong to the last of ``tokens``.
    private var logitsAreCurrent = false
    private var checkpoint: Checkpoint?

    /// A recurrent state cannot rewind, and a layer with a window not far, so the state at the end of the last prompt is kept: what usually follows
    /// is the same prompt with another ending.
    private struct Checkpoint {
        let state: RecurrentSnapshot
        let logits: [Float]
    }

    init(_ model: Model, capacity: Int) throws(EngineError) {
        self.model = model
        sequence = try model.makeSequence(contextLength: capacity)
        batch = Batch(capacity: min(model.options.batchSize, capacity), maximumSegments: 1)
        // It grows if the estimate is too low.
        work = Workspace(bytes: min(model.memory(contextLength: capacity).scratch, 1 << 32))
        logits = .allocate(capacity: model.architecture.head.vocabularySize)
        logits.initialize(repeating: 0)
        tokens.reserveCapacity(min(capacity, EngineOptions.defaultContextLength))
    }

    deinit {
        logits.deallocate()
    }

    package var count: Int { tokens.count }
    /// Tokens the sequence has room for.
    package var capacity: Int { sequence.capacity }

    /// Makes the sequence hold exactly `wanted`, computing only what is new behind the longest usable prefix.
    ///
    /// After an error the sequence holds the tokens in ``tokens``; calling again goes on from there.
    /// - Parameters:
    ///   - isCancelled: asked before each forward pass.
    ///   - progress: receives the tokens done and the tokens in all, both without the reused prefix.
    package func sync(
        _ wanted: [Int32], isCancelled: () -> Bool = { false }, progress: (Int, Int) -> Void = { _, _ in }
    ) throws(EngineError) {
        try validate(wanted)
        chooseRotation(for: wanted.count)
        keepPrefix(of: wanted)
        let start = tokens.count
        if start == wanted.count, logitsAreCurrent { return }
        try prefill(wanted[start...], isCancelled, progress)
        if sequence.needsSnapshots {
            checkpoint = Checkpoint(state: sequence.snapshot(), logits: [Float](logits))
        }
    }

    /// Adds one token and computes the logits that follow it.
    package func decode(_ token: Int32) throws(EngineError) {
        try model.validate(CollectionOfOne(token))
        guard sequence.remaining > 0 else { throw .contextFull(limit: capacity, wanted: count + 1) }
        guard rotation(for: count + 1) == sequence.isLong else { return try sync(tokens + [token]) }
        run(CollectionOfOne(token), logits: .last)
    }

    /// Adds tokens and gives the logits behind each of them.
    /// - Parameter deliver: receives every new position with its logits, in order; the buffer is reused.
    package func extend(
        by more: [Int32], isCancelled: () -> Bool = { false },
        deliver: (Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) throws(EngineError) {
        try model.validate(more)
        guard more.count <= sequence.remaining else { throw .contextFull(limit: capacity, wanted: count + more.count) }
        guard rotation(for: count + more.count) == sequence.isLong else {
            // A position's logits are those of the sequence that ends there.
            for token in more {
                if isCancelled() { throw .cancelled }
                try decode(token)
                deliver(count - 1, logits)
            }
            return
        }
        for start in stride(from: 0, to: more.count, by: batch.capacity) {
            if isCancelled() { throw .cancelled }
            run(more[start..<min(start + batch.capacity, more.count)], logits: .all, deliver: deliver)
        }
    }

    /// Forgets everything and runs `wanted` as a new sequence.
    /// - Parameter deliver: receives every position with its logits, in order; the buffer is reused.
    package func evaluate(
        _ wanted: [Int32], isCancelled: () -> Bool = { false },
        deliver: (Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) throws(EngineError) {
        try validate(wanted)
        reset()
        var delivered = 0
        // A position's logits are those of the sequence that ends there.
        if let limit = model.architecture.longContext, wanted.count > limit {
            sequence.isLong = false
            try evaluate(wanted[..<limit], from: 0, isCancelled, deliver)
            delivered = limit
            reset()
        }
        chooseRotation(for: wanted.count)
        try evaluate(wanted[...], from: delivered, isCancelled, deliver)
    }

    private func evaluate(
        _ wanted: ArraySlice<Int32>, from first: Int, _ isCancelled: () -> Bool,
        _ deliver: (Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) throws(EngineError) {
        for start in stride(from: 0, to: wanted.count, by: batch.capacity) {
            if isCancelled() { throw .cancelled }
            run(wanted[start..<min(start + batch.capacity, wanted.count)], logits: .all) { position, logits in
                if position >= first { deliver(position, logits) }
            }
        }
    }

    /// Forgets the sequence; its memory is kept.
    package func reset() {
        sequence.reset()
        tokens.removeAll(keepingCapacity: true)
        checkpoint = nil
        logitsAreCurrent = false
    }

    // MARK: Rotation

    private func rotation(for length: Int) -> Bool {
        model.architecture.longContext.map { length > $0 } ?? false
    }

    /// Starts anew if a sequence of this length rotates in another way than the one at hand.
    private func chooseRotation(for length: Int) {
        let isLong = rotation(for: length)
        if isLong != sequence.isLong { reset() }
        sequence.isLong = isLong
    }

    // MARK: Prefix

    /// Drops what differs from `wanted`, leaving at least its last token to compute unless the logits are there.
    private func keepPrefix(of wanted: [Int32]) {
        var common = 0
        while common < min(tokens.count, wanted.count), tokens[common] == wanted[common] { common += 1 }
        if common == tokens.count, common < wanted.count || logitsAreCurrent { return }
        let keep = min(common, wanted.count - 1)
        let isCut = !model.stateLayout.isRecurrent && sequence.truncate(to: keep)
        if !isCut, let checkpoint, checkpoint.state.count <= common { return restore(checkpoint) }
        logitsAreCurrent = false
        if isCut || sequence.truncate(to: keep) {
            tokens.removeSubrange(keep...)
        } else {
            reset()
        }
        if let checkpoint, checkpoint.state.count > tokens.count { self.checkpoint = nil }
    }

    private func restore(_ checkpoint: Checkpoint) {
        sequence.restore(checkpoint.state)
        tokens.removeSubrange(checkpoint.state.count...)
        _ = logits.update(fromContentsOf: checkpoint.logits)
        logitsAreCurrent = true
    }

    // MARK: Running

    private func prefill(
        _ rest: ArraySlice<Int32>, _ isCancelled: () -> Bool, _ progress: (Int, Int) -> Void
    ) throws(EngineError) {
        var start = rest.startIndex
        while start < rest.endIndex {
            if isCancelled() { throw .cancelled }
            let end = min(start + batch.capacity, rest.endIndex)
            run(rest[start..<end], logits: end == rest.endIndex ? .last : .none)
            start = end
            progress(start - rest.startIndex, rest.count)
        }
    }

    /// One forward pass. Keeps the logits of the last row; `deliver` sees those of every row asked for.
    private func run(
        _ ids: some Collection<Int32>, logits wanted: LogitRows,
        deliver: (Int, UnsafeMutableBufferPointer<Float>) -> Void = { _, _ in }
    ) {
        let start = tokens.count
        batch.removeAll()
        batch.append(ids, to: sequence, logits: wanted)
        tokens.append(contentsOf: ids)
        model.forward(batch, work) { first, rows in
            for row in 0..<rows.rows {
                let values = UnsafeMutableBufferPointer(start: rows.row(row), count: rows.cols)
                deliver(start + first + row, values)
                if first + row == batch.logitCount - 1 { _ = logits.update(fromContentsOf: values) }
            }
        }
        logitsAreCurrent = wanted != .none
    }

    // MARK: Checks

    private func validate(_ wanted: [Int32]) throws(EngineError) {
        try model.validate(wanted)
        guard wanted.count <= capacity else { throw .contextFull(limit: capacity, wanted: wanted.count) }
    }
}
