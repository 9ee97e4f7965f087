import CKernels

/// The positions that each token of a batch may see, chosen by an indexer; rising. Valid as long as the workspace it
/// was made from.
package struct ChosenPositions {
    /// Most per token.
    let topK: Int
    /// (batch rows, topK)
    let ids: UnsafeMutablePointer<Int32>
    /// How many each row has (batch rows); nil: topK, or all positions while there are no more.
    var counts: UnsafeMutablePointer<Int32>?

    func count(_ row: Int, position: Int) -> Int { counts.map { Int($0[row]) } ?? min(topK, position + 1) }
    func row(_ row: Int) -> UnsafeMutablePointer<Int32> { ids + row * topK }
}

extension Compute {
    /// Writes the latents of the batch's tokens into the layer's cache. `tails` are further key values behind a
    /// latent's own, if the layer has any: the shared rotated key. latents (tokens, dim), tails (tokens, ≤ tail).
    package func store(latents: Matrix, tails: Matrix?, layer: Int, _ batch: Batch) {
        precondition(latents.rows == batch.count && (tails?.rows ?? batch.count) == batch.count)
        let grain = Self.grain(8 * latents.cols)
        pool.run(batch.count, grain: grain, (latents, tails, layer, batch)) { job, rows, _ in
            let (latents, tails, layer, batch) = job
            for row in rows {
                guard let segment = batch.segments.first(where: { $0.rows.contains(row) }) else { continue }
                ck_latent_store(
                    segment.sequence.latents + layer, segment.start + row - segment.rows.lowerBound,
                    latents.row(row), tails?.row(row), tails?.cols ?? 0)
            }
        }
    }

    /// The first values of each head of `out`, the others being 0. x (rows, heads, dim), out (rows, heads, ≥ dim).
    package func copy(_ x: Heads, into out: Heads) {
        precondition(x.rows == out.rows && x.count == out.count && x.dim <= out.dim)
        pool.run(x.rows, grain: Self.grain(x.count * out.dim), (x, out)) { job, rows, _ in
            let (x, out) = job
            for row in rows {
                for head in 0..<x.count {
                    out.at(row, head).update(from: x.at(row, head), count: x.dim)
                    (out.at(row, head) + x.dim).update(repeating: 0, count: out.dim - x.dim)
                }
            }
        }
    }

    /// Causal softmax attention of every token over its sequence's latents, which serve all heads as keys and, without
    /// their tails, as values. q (tokens, heads, dim + tail), out (tokens, heads, dim).
    ///
    /// Blocks and their order are as in ``attention(_:_:layer:_:_:into:)``; with `chosen`, blocks of 256 are counted
    /// among a token's chosen positions. A token that may see everything gets the same bits either way.
    package func latentAttention(
        _ q: Heads, _ options: AttentionOptions, chosen: ChosenPositions? = nil, layer: Int, _ batch: Batch,
        _ workspace: Workspace, into out: Heads
    ) {
        precondition(q.rows == batch.count && out.rows == q.rows && out.count == q.count)
        precondition((options.sinks?.count ?? q.count) == q.count && (options.window ?? 1) > 0)
        workspace.scoped {
            let count = batch.segments.count
            let parts = workspace.bytes(count * MemoryLayout<LatentPart>.stride)
                .bindMemory(to: LatentPart.self, capacity: count)
            var units = 0
            var scratch = 0
            var anySplit = false
            for index in 0..<count {
                let part = LatentPart(
                    batch.segments[index], q: q, out: out, options, chosen, layer: layer, firstUnit: units, workspace)
                (parts + index).initialize(to: part)
                units += part.units
                anySplit = anySplit || part.partials != nil
                scratch = max(scratch, part.scratchBytes)
            }
            pool.run(units, scratch: scratch, (parts, count)) { job, units, worker in
                let (parts, count) = job
                for unit in units {
                    var index = count - 1
                    while parts[index].firstUnit > unit { index -= 1 }
                    parts[index].run(unit - parts[index].firstUnit, worker.scratch)
                }
            }
            guard anySplit else { return }
            pool.run(count * q.count, scratch: scratch, (parts, q.count)) { job, units, worker in
                let (parts, heads) = job
                for unit in units { parts[unit / heads].merge(head: unit % heads, worker.scratch) }
            }
        }
    }
}

/// The work of one segment. Plain data: the cache belongs to the segment's sequence, which the batch keeps alive.
private struct LatentPart {
    let cache: UnsafeMutablePointer<ck_latent>
    let q: Heads
    let out: Heads
    let options: AttentionOptions
    /// The first token's, if this segment is sparse.
    let chosen: ChosenPositions?
    let firstRow: Int
    let tokens: Int
    /// Position of the first token.
    let start: Int
    /// Query heads that one unit takes.
    let headChunk: Int
    let headChunks: Int
    /// Tokens per tile; a tile has `headChunk` rows for each.
    let tileTokens: Int
    let firstBlock: Int
    let blocks: Int
    let firstUnit: Int
    /// Results of every (block, token, head) when the work is split over blocks.
    let partials: UnsafeMutablePointer<Float>?

    private static let tileRows = 32
    private static let block = Int(CK_ATTENTION_BLOCK)

    init(
        _ segment: Segment, q: Heads, out: Heads, _ options: AttentionOptions, _ chosen: ChosenPositions?, layer: Int,
        firstUnit: Int, _ workspace: Workspace
    ) {
        let (dim, tail) = Self.dims(segment.sequence.layout.layers[layer])
        precondition(out.dim == dim && q.dim == dim + StateLayout.padded(tail))
        cache = segment.sequence.latents + layer
        self.q = q
        self.out = out
        self.options = options
        // While everything is visible the dense tiles are faster.
        self.chosen = chosen.flatMap { $0.counts != nil || segment.end > $0.topK ? $0 : nil }
        firstRow = segment.rows.lowerBound
        tokens = segment.rows.count
        start = segment.start
        self.firstUnit = firstUnit
        let block = Self.block
        let visible =
            self.chosen.map { $0.count(segment.rows.upperBound - 1, position: segment.end - 1) } ?? segment.end
        firstBlock = options.window.map { max(0, segment.start + 1 - $0) / block } ?? 0
        blocks = (visible + block - 1) / block - firstBlock
        // One token over few blocks: fewer heads per unit, so that there is work for all threads.
        headChunk = min(q.count, tokens == 1 && blocks < 8 ? 8 : Self.tileRows)
        headChunks = (q.count + headChunk - 1) / headChunk
        tileTokens = self.chosen == nil ? max(1, Self.tileRows / headChunk) : 1
        if tokens <= tileTokens && blocks > 1 {
            let floats = blocks * tokens * q.count * (16 + dim)
            partials = workspace.bytes(floats * 4).bindMemory(to: Float.self, capacity: floats)
        } else {
            partials = nil
        }
    }

    private static func dims(_ layer: LayerState) -> (dim: Int, tail: Int) {
        switch layer {
        case .latent(let dim, let tail, _): (dim, tail)
        case .compressed(let dim, _, _, _, _): (dim, 0)
        default: preconditionFailure("the layer has no latent cache")
        }
    }

    private var rowFloats: Int { 16 + cache.pointee.dim }
    var units: Int { headChunks * (partials == nil ? (tokens + tileTokens - 1) / tileTokens : blocks) }
    private var rows: Int { min(tileTokens, tokens) * headChunk }
    private var kernelScratch: Int { (ck_latent_scratch_bytes(cache, rows, chosen == nil ? 0 : 1) + 63) & ~63 }
    var scratchBytes: Int { kernelScratch + 2 * rows * rowFloats * 4 }

    private func tile(_ firstHead: Int, _ firstToken: Int) -> ck_latent_tile {
        var tile = ck_latent_tile()
        tile.cache = UnsafePointer(cache)
        tile.q = UnsafePointer(q.at(firstRow + firstToken, firstHead))
        tile.q_token_stride = q.rowStride
        tile.q_head_stride = q.headStride
        tile.tokens = min(tileTokens, tokens - firstToken)
        tile.heads = min(headChunk, q.count - firstHead)
        tile.position = start + firstToken
        tile.window = options.window ?? 0
        tile.scale = options.scale
        if let chosen {
            tile.chosen = UnsafePointer(chosen.row(firstRow + firstToken))
            tile.chosen_count = chosen.count(firstRow + firstToken, position: start + firstToken)
        }
        return tile
    }

    func run(_ unit: Int, _ scratch: UnsafeMutableRawPointer) {
        let firstHead = unit % headChunks * headChunk
        let other = unit / headChunks
        let sums = (scratch + kernelScratch).assumingMemoryBound(to: Float.self)
        if let partials {
            var tile = tile(firstHead, 0)
            ck_latent_block(&tile, firstBlock + other, sums, scratch)
            for row in 0..<tile.tokens * tile.heads {
                let target = partials + partial(other, row / tile.heads, firstHead + row % tile.heads)
                target.update(from: sums + row * rowFloats, count: rowFloats)
            }
            return
        }
        let firstToken = other * tileTokens
        var tile = tile(firstHead, firstToken)
        let rows = tile.tokens * tile.heads
        let blockSums = sums + rows * rowFloats
        for row in 0..<rows { ck_attention_start(sums + row * rowFloats, cache.pointee.dim) }
        let first = options.window.map { max(0, tile.position + 1 - $0) / Self.block } ?? 0
        let visible = chosen == nil ? tile.position + tile.tokens : tile.chosen_count
        for block in first..<(visible + Self.block - 1) / Self.block {
            ck_latent_block(&tile, block, blockSums, scratch)
            for row in 0..<rows {
                ck_attention_merge(sums + row * rowFloats, blockSums + row * rowFloats, cache.pointee.dim)
            }
        }
        for row in 0..<rows {
            finish(sums + row * rowFloats, firstToken + row / tile.heads, firstHead + row % tile.heads)
        }
    }

    /// Index of the partial result of a block, a token and a head.
    private func partial(_ block: Int, _ token: Int, _ head: Int) -> Int {
        ((block * tokens + token) * q.count + head) * rowFloats
    }

    /// Joins the blocks of one query head, if they were computed apart.
    func merge(head: Int, _ scratch: UnsafeMutableRawPointer) {
        guard let partials else { return }
        let sums = scratch.assumingMemoryBound(to: Float.self)
        for token in 0..<tokens {
            ck_attention_start(sums, cache.pointee.dim)
            for block in 0..<blocks {
                ck_attention_merge(sums, partials + partial(block, token, head), cache.pointee.dim)
            }
            finish(sums, token, head)
        }
    }

    private func finish(_ sums: UnsafePointer<Float>, _ token: Int, _ head: Int) {
        ck_attention_finish(
            sums, cache.pointee.dim, options.sinks.map { $0.pointer + head }, out.dim, out.at(firstRow + token, head))
    }
}
