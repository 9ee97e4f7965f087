import CKernels

extension Compute {
    /// Writes the index keys of the batch's tokens into the layer's cache. keys (tokens, key dim)
    package func store(indexKeys keys: Matrix, layer: Int, _ batch: Batch) {
        precondition(keys.rows == batch.count)
        pool.run(batch.count, grain: Self.grain(8 * keys.cols), (keys, layer, batch)) { job, rows, _ in
            let (keys, layer, batch) = job
            for row in rows {
                guard let segment = batch.segments.first(where: { $0.rows.contains(row) }) else { continue }
                ck_kv_store(
                    segment.sequence.caches + layer, 0, segment.start + row - segment.rows.lowerBound, keys.row(row),
                    keys.row(row), 0)
            }
        }
    }

    /// Room for the choice of every token of a batch.
    package func chosenPositions(topK: Int, _ batch: Batch, _ workspace: Workspace) -> ChosenPositions {
        ChosenPositions(topK: topK, ids: workspace.ints(batch.count * topK))
    }

    /// Chooses for every token the positions that attention may see (DeepSeek-AI 2025, "DeepSeek Sparse Attention"):
    /// the topK largest of Σ over heads h of weights[h] · max(q_h · k_j, 0), or all while there are no more. The
    /// layer's index keys must already hold the batch's own. q (tokens, heads, key dim), weights (tokens, heads).
    ///
    /// The cost per token is heads · key dim products per position behind it, instead of the far larger cost of
    /// attending to it; nothing is scored while everything is visible.
    /// - Parameter ratio: positions per key, where keys are compressed; the keys of complete windows count.
    package func choosePositions(
        _ q: Heads, weights: Matrix, ratio: Int = 1, layer: Int, _ batch: Batch, _ workspace: Workspace,
        into chosen: ChosenPositions
    ) {
        precondition(q.rows == batch.count && weights.rows == batch.count && weights.cols == q.count)
        for segment in batch.segments where segment.end / ratio > chosen.topK {
            // The first row with more keys than it may see.
            let choosing = segment.rows.lowerBound + (chosen.topK + 1) * ratio - 1 - segment.start
            let first = max(segment.rows.lowerBound, choosing)
            if ratio == 1 { allPositions(segment, before: first, chosen) }
            // A few tokens at a time, so that their scores take little memory.
            for low in stride(from: first, to: segment.rows.upperBound, by: Self.scoredTokens) {
                let rows = low..<min(low + Self.scoredTokens, segment.rows.upperBound)
                choose(rows, q, weights, ratio, layer, segment, workspace, chosen)
            }
        }
    }

    private static let scoredTokens = 32

    /// The tokens of a segment that see no more than topK positions see them all.
    private func allPositions(_ segment: Segment, before end: Int, _ chosen: ChosenPositions) {
        for row in segment.rows.lowerBound..<end {
            let ids = chosen.row(row)
            for position in 0...segment.start + row - segment.rows.lowerBound {
                ids[position] = Int32(truncatingIfNeeded: position)
            }
        }
    }

    private func choose(
        _ rows: Range<Int>, _ q: Heads, _ weights: Matrix, _ ratio: Int, _ layer: Int, _ segment: Segment,
        _ workspace: Workspace,
        _ chosen: ChosenPositions
    ) {
        workspace.scoped {
            let cache = segment.sequence.caches + layer
            let block = Int(CK_ATTENTION_BLOCK)
            let scores = workspace.matrix(rows: rows.count, cols: segment.end / ratio)
            let position = segment.start - segment.rows.lowerBound
            let blocks = ((position + rows.upperBound) / ratio + block - 1) / block
            let job = (rows.lowerBound, q, weights, cache, scores, position, blocks, ratio)
            pool.run(rows.count * blocks, grain: 4, scratch: ck_index_scratch_bytes(cache), job) { job, units, worker in
                let (firstRow, q, weights, cache, scores, position, blocks, ratio) = job
                for unit in units {
                    let row = firstRow + unit / blocks
                    let count = (position + row + 1) / ratio
                    guard unit % blocks * Int(CK_ATTENTION_BLOCK) < count else { continue }
                    ck_index_block(
                        cache, unit % blocks, count, q.at(row, 0), q.headStride, weights.row(row), q.count,
                        scores.row(unit / blocks), worker.scratch)
                }
            }
            pool.run(rows.count, (rows.lowerBound, scores, position, chosen, ratio)) { job, units, _ in
                let (firstRow, scores, position, chosen, ratio) = job
                for unit in units {
                    let row = firstRow + unit
                    ck_top_k(scores.row(unit), (position + row + 1) / ratio, chosen.topK, chosen.row(row))
                }
            }
        }
    }
}
