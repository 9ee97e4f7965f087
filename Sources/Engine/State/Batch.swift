/// Consecutive tokens of one sequence inside a ``Batch``.
package struct Segment {
    package let sequence: SequenceState
    /// The batch's rows that hold these tokens.
    package let rows: Range<Int>
    /// The position of the first of them.
    package let start: Int

    /// The position just behind the last of them.
    package var end: Int { start + rows.count }
}

/// Which of a segment's rows are asked for logits.
package enum LogitRows: Sendable {
    case none, last, all
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
    /// Rows that are asked for logits, rising.
    package let logitRows: UnsafeMutablePointer<Int32>
    package private(set) var logitCount = 0

    package init(capacity: Int, maximumSegments: Int = 64) {
        precondition(capacity > 0 && maximumSegments > 0)
        self.capacity = capacity
        self.maximumSegments = maximumSegments
        tokens = .allocate(capacity: capacity)
        positions = .allocate(capacity: capacity)
        logitRows = .allocate(capacity: capacity)
        segments.reserveCapacity(maximumSegments)
    }

    deinit {
        tokens.deallocate()
        positions.deallocate()
        logitRows.deallocate()
    }

    package func removeAll() {
        count = 0
        logitCount = 0
        segments.removeAll(keepingCapacity: true)
    }

    /// Adds the next tokens of a sequence, which must have room for them. A sequence may appear once per batch.
    package func append(_ ids: some Collection<Int32>, to sequence: SequenceState, logits: LogitRows) {
        let added = ids.count
        precondition(count + added <= capacity && segments.count < maximumSegments && added > 0)
        precondition(added <= sequence.remaining)
        precondition(added <= sequence.layout.batchSize || !sequence.layout.hasWindows)
        assert(!segments.contains { $0.sequence === sequence })
        var row = count
        for id in ids {
            tokens[row] = id
            positions[row] = Int32(truncatingIfNeeded: sequence.count + row - count)
            if logits == .all || (logits == .last && row == count + added - 1) {
                logitRows[logitCount] = Int32(truncatingIfNeeded: row)
                logitCount += 1
            }
            row += 1
        }
        segments.append(Segment(sequence: sequence, rows: count..<row, start: sequence.count))
        count = row
    }

    /// Makes the tokens part of their sequences, once the forward pass has run.
    package func commit() {
        for segment in segments { segment.sequence.advance(by: segment.rows.count) }
    }
}
