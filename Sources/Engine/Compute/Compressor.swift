import CKernels

/// How the tokens of a layer are compressed: one entry for every `ratio` of them.
package struct CompressorShape: Sendable {
    let ratio: Int
    /// Values of an entry.
    let dim: Int
    /// Projections hold two halves: an entry mixes the first half of the window before with the second of its own.
    let overlaps: Bool

    var channels: Int { overlaps ? 2 * dim : dim }
}

extension Compute {
    /// Compresses the windows that the batch's tokens complete (DeepSeek-AI 2026, "DeepSeek-V4"): per channel
    ///
    ///     entry = Σ over the window's slots of softmax(gate + ape) · kv
    ///
    /// then an RMS norm, and a rotation of the last values by the position of the window's first token.
    /// kv, gate (tokens, channels); ape (ratio, channels); norm (dim).
    package func compress(
        _ kv: Matrix, gate: Matrix, _ shape: CompressorShape, ape: FloatVector, norm: FloatVector, eps: Float,
        rope: RopeTable, into place: CompressorPlace, layer: Int, _ batch: Batch
    ) {
        precondition(kv.cols == shape.channels && gate.cols == shape.channels && kv.rows == batch.count)
        precondition(ape.count == shape.ratio * shape.channels && norm.count == shape.dim)
        for segment in batch.segments {
            let windows = segment.start / shape.ratio..<segment.end / shape.ratio
            let waiting = segment.sequence.waiting(place, layer: layer)
            let work = CompressorWork(
                kv: kv, gate: gate, shape: shape, ape: ape.pointer, firstRow: segment.rows.lowerBound,
                start: segment.start, waiting: waiting.pointer, stride: waiting.stride)
            let target = (segment.sequence.latents + layer, segment.sequence.caches + layer)
            let base = segment.sequence.layout.entryBase(capacity: segment.sequence.capacity)
            let job = (work, windows.lowerBound, norm, eps, rope, place, target, base)
            let scratch = (4 * shape.dim + 2 * rope.frequencies.count + 64) * 4
            pool.run(windows.count, scratch: scratch, job) { job, units, worker in
                let (work, first, norm, eps, rope, place, target, base) = job
                let entry = worker.scratch.assumingMemoryBound(to: Float.self)
                for unit in units {
                    let window = first + unit
                    work.entry(window, into: entry)
                    ck_rms_norm(entry, norm.pointer, work.shape.dim, eps, entry)
                    let pairs = rope.frequencies.count
                    let cosines = entry + (work.shape.dim * 4 + 15) / 16 * 16
                    rope.frequencies.withUnsafeBufferPointer { frequencies in
                        guard let base = frequencies.baseAddress else { return }
                        ck_rope_angles(
                            Double(window * work.shape.ratio), base, pairs, rope.amplitude, cosines, cosines + pairs)
                    }
                    let tail = entry + work.shape.dim - 2 * pairs
                    ck_rope(tail, pairs, rope.pairing == .norm ? 1 : 0, cosines, cosines + pairs)
                    switch place {
                    case .latents: ck_latent_store(target.0, base + window, entry, nil, 0)
                    case .indexKeys: ck_kv_store(target.1, 0, window, entry, entry, 0)
                    }
                }
            }
            work.keep(tokens: segment.rows.count)
        }
    }

    /// The rows of the latent cache that each token sees: its window of single tokens, then the compressed entries
    /// that are complete, or those of them that `entries` holds.
    package func visibleRows(
        window: Int, ratio: Int, entries: ChosenPositions?, _ batch: Batch, _ workspace: Workspace
    ) -> ChosenPositions {
        let longest = batch.segments.reduce(0) { max($0, $1.end) }
        let most = ratio == 0 ? 0 : min(entries?.topK ?? .max, longest / ratio)
        let rows = ChosenPositions(
            topK: min(window, longest) + most, ids: workspace.ints(batch.count * (min(window, longest) + most)),
            counts: workspace.ints(batch.count))
        for segment in batch.segments {
            let base = segment.sequence.layout.entryBase(capacity: segment.sequence.capacity)
            pool.run(segment.rows.count, grain: 8, (segment, window, ratio, entries, rows, base)) { job, units, _ in
                let (segment, window, ratio, entries, rows, base) = job
                for unit in units {
                    let row = segment.rows.lowerBound + unit
                    let position = segment.start + unit
                    let ids = rows.row(row)
                    var count = 0
                    for local in max(0, position + 1 - window)...position {
                        ids[count] = Int32(truncatingIfNeeded: local)
                        count += 1
                    }
                    let complete = ratio == 0 ? 0 : (position + 1) / ratio
                    let seen = min(complete, entries?.topK ?? .max)
                    for index in 0..<seen {
                        let entry = seen < complete ? Int(entries?.row(row)[index] ?? 0) : index
                        ids[count] = Int32(truncatingIfNeeded: base + entry)
                        count += 1
                    }
                    rows.counts?[row] = Int32(truncatingIfNeeded: count)
                }
            }
        }
        return rows
    }
}

/// One segment's projections. Plain data.
private struct CompressorWork {
    let kv: Matrix
    let gate: Matrix
    let shape: CompressorShape
    let ape: UnsafePointer<Float>
    let firstRow: Int
    /// Position of the first token.
    let start: Int
    /// Projections of the last 2 · ratio tokens before `start`: kv, then gate; position p in row p mod (2 · ratio).
    let waiting: UnsafeMutablePointer<Float>
    let stride: Int

    private func rows(_ position: Int) -> (kv: UnsafePointer<Float>, gate: UnsafePointer<Float>) {
        if position >= start {
            let row = firstRow + position - start
            return (UnsafePointer(kv.row(row)), UnsafePointer(gate.row(row)))
        }
        let row = waiting + position % (2 * shape.ratio) * stride
        return (UnsafePointer(row), UnsafePointer(row + shape.channels))
    }

    /// entry: 4 · dim floats, the first dim of which are the result.
    func entry(_ window: Int, into entry: UnsafeMutablePointer<Float>) {
        let (dim, ratio) = (shape.dim, shape.ratio)
        let (top, sum, weight) = (entry + dim, entry + 2 * dim, entry + 3 * dim)
        top.update(repeating: -.infinity, count: dim)
        sum.update(repeating: 0, count: dim)
        entry.update(repeating: 0, count: dim)
        let first = shape.overlaps ? max(0, window - 1) * ratio : window * ratio
        for pass in 0..<2 {
            for position in first..<(window + 1) * ratio {
                let (kv, gate) = rows(position)
                let offset = shape.overlaps && position >= window * ratio ? dim : 0
                let bias = ape + position % ratio * shape.channels + offset
                if pass == 0 {
                    for i in 0..<dim { top[i] = max(top[i], gate[offset + i] + bias[i]) }
                } else {
                    for i in 0..<dim { weight[i] = gate[offset + i] + bias[i] - top[i] }
                    ck_unary_apply(CK_EXP, weight, dim, weight)
                    for i in 0..<dim {
                        sum[i] += weight[i]
                        entry[i] += weight[i] * kv[offset + i]
                    }
                }
            }
        }
        for i in 0..<dim { entry[i] /= sum[i] }
    }

    /// Keeps what later windows will need.
    func keep(tokens: Int) {
        let end = start + tokens
        for position in max(start, end - 2 * shape.ratio)..<end {
            let row = waiting + position % (2 * shape.ratio) * stride
            row.update(from: kv.row(firstRow + position - start), count: shape.channels)
            (row + shape.channels).update(from: gate.row(firstRow + position - start), count: shape.channels)
        }
    }
}
