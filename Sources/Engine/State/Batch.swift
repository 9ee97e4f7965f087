/// Consecutive tokens of one sequence inside a ``Batch``.
package struct Segment {
    package let sequence: SequenceState
    /// The batch's rows that hold these tokens.
    package let rows: Range<Int>
    /// The position of the first of them.
    package let start: Int
    /// The tokens see each other whatever their order, and all that came before.
    package let seesAhead: Bool

    /// The position just behind the last of them.
    package var end: Int { start + rows.count }
}

/// Which of a segment's rows are asked for logits.
package enum LogitRows: Sendable {
    case none, last, all
}

/// What tokens of a segment bring beside their ids: for text, nothing.
package struct Span {
    /// What queries and keys are turned by.
    package enum Turns {
        /// The places of the tokens in their sequence, plus this.
        case places(plus: Int = 0)
        /// For each axis the positions of all tokens; a rotation without axes takes the first.
        case axes([[Int32]])
    }

    /// (tokens, embedding), takes the place of the embeddings of the ids. Valid until the pass has run.
    package var embeddings: Matrix?
    /// (tokens, embedding) each, added to the residual stream behind the first layers.
    package var behindLayers: [Matrix] = []
    package var turns = Turns.places()
    /// See ``Segment/seesAhead``. Such a segment must be a pass of its sequence as a whole.
    package var seesAhead = false

    package init() {}
}

/// Rows that enter a pass from outside.
package struct PassInput {
    package let rows: Range<Int>
    package let values: Matrix
    /// The layer behind which they are added; nil: they are the embeddings.
    package let behind: Int?
}

/// The tokens of one forward pass: one row each, in segments of one sequence each.
///
/// Made once and filled anew for every pass, so that a pass allocates nothing. Not Sendable.
package final class Batch {
    /// Rows and segments that fit.
    package let capacity: Int
    package let maximumSegments: Int
    package private(set) var count = 0
    package private(set) var segments: [Segment] = []
    /// Token id of each row.
    package let tokens: UnsafeMutablePointer<Int32>
    /// Position of each row in its sequence.
    package let positions: UnsafeMutablePointer<Int32>
    /// Axes that a position can have: time, height, width.
    package static let axes = 3
    /// axes × capacity
    private let axisPositions: UnsafeMutablePointer<Int32>
    /// True if the axes of some row differ.
    package private(set) var hasAxes = false
    package private(set) var inputs: [PassInput] = []
    /// Rows that are asked for logits, rising.
    package let logitRows: UnsafeMutablePointer<Int32>
    package private(set) var logitCount = 0

    package init(capacity: Int, maximumSegments: Int = 64) {
        precondition(capacity > 0 && maximumSegments > 0)
        self.capacity = capacity
        self.maximumSegments = maximumSegments
        tokens = .allocate(capacity: capacity)
        positions = .allocate(capacity: capacity)
        axisPositions = .allocate(capacity: Self.axes * capacity)
        logitRows = .allocate(capacity: capacity)
        segments.reserveCapacity(maximumSegments)
    }

    deinit {
        tokens.deallocate()
        positions.deallocate()
        axisPositions.deallocate()
        logitRows.deallocate()
    }

    package func removeAll() {
        count = 0
        logitCount = 0
        hasAxes = false
        inputs.removeAll(keepingCapacity: true)
        segments.removeAll(keepingCapacity: true)
    }

    /// What each row's queries and keys are turned by.
    package func turns(axis: Int) -> UnsafeMutablePointer<Int32> { axisPositions + axis * capacity }

    /// Adds the next tokens of a sequence, which must have room for them. A sequence may appear once per batch.
    package func append(
        _ ids: some Collection<Int32>, to sequence: SequenceState, logits: LogitRows, _ span: Span? = nil
    ) {
        let added = ids.count
        precondition(count + added <= capacity && segments.count < maximumSegments && added > 0)
        precondition(added <= sequence.remaining)
        precondition(added <= sequence.layout.batchSize || !sequence.layout.hasWindows)
        assert(!segments.contains { $0.sequence === sequence })
        var row = count
        for id in ids {
            tokens[row] = id
            positions[row] = Int32(truncatingIfNeeded: sequence.count + row - count)
            for axis in 0..<Self.axes { turns(axis: axis)[row] = positions[row] }
            if logits == .all || (logits == .last && row == count + added - 1) {
                logitRows[logitCount] = Int32(truncatingIfNeeded: row)
                logitCount += 1
            }
            row += 1
        }
        if let span { add(span, rows: count..<row) }
        segments.append(
            Segment(
                sequence: sequence, rows: count..<row, start: sequence.count, seesAhead: span?.seesAhead ?? false))
        count = row
    }

    private func add(_ span: Span, rows: Range<Int>) {
        switch span.turns {
        case .places(let shift):
            for axis in 0..<Self.axes {
                for row in rows { turns(axis: axis)[row] += Int32(truncatingIfNeeded: shift) }
            }
        case .axes(let positions):
            precondition(positions.count == Self.axes && positions.allSatisfy { $0.count == rows.count })
            for (axis, values) in positions.enumerated() {
                (turns(axis: axis) + rows.lowerBound).update(from: values, count: rows.count)
            }
            hasAxes = true
        }
        for (behind, values) in [(nil, span.embeddings)] + span.behindLayers.enumerated().map({ ($0, $1) }) {
            guard let values else { continue }
            precondition(values.rows == rows.count)
            inputs.append(PassInput(rows: rows, values: values, behind: behind))
        }
    }

    /// Makes the tokens part of their sequences, once the forward pass has run.
    package func commit() {
        for segment in segments { segment.sequence.advance(by: segment.rows.count) }
    }
}
