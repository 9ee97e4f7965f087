import CKernels

/// How the values of a head form the pairs that are rotated.
package enum RopePairing: Sendable {
    /// (i, i + n/2): NEOX, half split.
    case neox
    /// (2i, 2i + 1): NORM, interleaved.
    case norm
}

/// Rotary position embedding (Su et al. 2021) of the first 2 · `frequencies.count` values of a head.
///
/// Every scaling method reduces to a frequency per pair and one factor on cosine and sine.
package final class RopeTable: Sendable {
    package let pairing: RopePairing
    /// Radians per position of each pair.
    package let frequencies: [Double]
    /// Multiplies cosine and sine.
    package let amplitude: Double
    /// Which axis of a position turns each pair (multimodal rotation, Wang et al. 2024); nil: positions are numbers.
    package let axisOfPair: [UInt8]?

    package init(
        pairing: RopePairing, frequencies: [Double], amplitude: Double = 1, axisOfPair: [UInt8]? = nil
    ) {
        precondition(axisOfPair.map { $0.count == frequencies.count && $0.allSatisfy { $0 < Batch.axes } } ?? true)
        self.axisOfPair = axisOfPair
        self.pairing = pairing
        self.frequencies = frequencies
        self.amplitude = amplitude
    }
}

/// Cosines and sines of a batch's positions. Valid as long as the workspace it was made from.
package struct RopeAngles {
    private(set) var pairing: RopePairing
    let pairs: Int
    /// (rows, pairs) each.
    let cosines: Matrix
    private(set) var sines: Matrix

    fileprivate init(_ table: RopeTable, rows: Int, _ workspace: Workspace) {
        pairing = table.pairing
        pairs = table.frequencies.count
        cosines = workspace.matrix(rows: rows, cols: pairs)
        sines = workspace.matrix(rows: rows, cols: pairs)
    }

    func with(sines: Matrix) -> RopeAngles {
        var angles = self
        angles.sines = sines
        return angles
    }

    /// The same angles for pairs of another form.
    package func paired(_ pairing: RopePairing) -> RopeAngles {
        var angles = self
        angles.pairing = pairing
        return angles
    }
}

extension Compute {
    /// The angles of every row of a batch, made once per forward pass and used by all layers that share a table.
    package func angles(_ table: RopeTable, _ batch: Batch, _ workspace: Workspace) -> RopeAngles {
        let angles = RopeAngles(table, rows: batch.count, workspace)
        fill(angles, table, batch, rows: 0..<batch.count)
        return angles
    }

    /// The same for sequences that do not share a table; the tables rotate equally many values in the same pairing.
    package func angles(_ batch: Batch, _ workspace: Workspace, table: (Segment) -> RopeTable) -> RopeAngles {
        let first = table(batch.segments[0])
        let angles = RopeAngles(first, rows: batch.count, workspace)
        for segment in batch.segments { fill(angles, table(segment), batch, rows: segment.rows) }
        return angles
    }

    package func angles(
        _ table: RopeTable, positions: UnsafePointer<Int32>, rows: Int, _ workspace: Workspace
    ) -> RopeAngles {
        let angles = RopeAngles(table, rows: rows, workspace)
        fill(angles, table, positions, rows: 0..<rows)
        return angles
    }

    private func fill(_ angles: RopeAngles, _ table: RopeTable, _ batch: Batch, rows: Range<Int>) {
        fill(angles, table, batch.turns(axis: 0), rows: rows)
        guard batch.hasAxes, let axes = table.axisOfPair else { return }
        for row in rows
        where batch.turns(axis: 1)[row] != batch.turns(axis: 0)[row]
            || batch.turns(axis: 2)[row] != batch.turns(axis: 0)[row]
        {
            for (pair, axis) in axes.enumerated() where axis > 0 {
                var frequency = table.frequencies[pair]
                ck_rope_angles(
                    Double(batch.turns(axis: Int(axis))[row]), &frequency, 1, table.amplitude,
                    angles.cosines.row(row) + pair, angles.sines.row(row) + pair)
            }
        }
    }

    private func fill(
        _ angles: RopeAngles, _ table: RopeTable, _ positions: UnsafePointer<Int32>, rows: Range<Int>
    ) {
        precondition(table.frequencies.count == angles.pairs && table.pairing == angles.pairing)
        let job = (table, angles, positions, rows.lowerBound)
        pool.run(rows.count, grain: Self.grain(64 * angles.pairs), job) { job, rows, _ in
            let (table, angles, positions, first) = job
            table.frequencies.withUnsafeBufferPointer { frequencies in
                guard let base = frequencies.baseAddress else { return }
                for row in rows.lowerBound + first..<rows.upperBound + first {
                    ck_rope_angles(
                        Double(positions[row]), base, angles.pairs, table.amplitude, angles.cosines.row(row),
                        angles.sines.row(row))
                }
            }
        }
    }

    /// Rotates the first values of every head in place; the rest of a head passes through.
    package func rope(_ x: Heads, _ angles: RopeAngles) {
        precondition(2 * angles.pairs <= x.dim && x.rows <= angles.cosines.rows)
        pool.run(x.rows, grain: Self.grain(2 * x.count * x.dim), (x, angles)) { job, rows, _ in
            let (x, angles) = job
            let interleaved: Int32 = angles.pairing == .norm ? 1 : 0
            for row in rows {
                for head in 0..<x.count {
                    ck_rope(
                        x.at(row, head), angles.pairs, interleaved, angles.cosines.row(row), angles.sines.row(row))
                }
            }
        }
    }
}
