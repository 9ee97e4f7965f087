import CKernels

/// What an attention layer does beyond its shapes.
package struct AttentionOptions: Sendable {
    /// Multiplies q·k, usually 1/sqrt(keyDim).
    package var scale: Float
    /// Keys visible behind a query, itself included; nil: all before it. Without causality as many ahead of it.
    package var window: Int?
    /// False: every token of a segment sees what lies ahead of it there too.
    package var isCausal: Bool
    /// Tokens of a segment that sees ahead do so in this layer.
    package var spansSeeAhead = true
    /// One further logit per query head, without a value (gpt-oss).
    package var sinks: FloatVector?
    /// Scores are cap · tanh(score / cap) (Gemma 2).
    package var softCap: Float?

    package init(
        scale: Float, window: Int? = nil, isCausal: Bool = true, sinks: FloatVector? = nil, softCap: Float? = nil
    ) {
        self.softCap = softCap
        self.scale = scale
        self.window = window
        self.isCausal = isCausal
        self.sinks = sinks
    }
}

extension Compute {
    /// Writes keys and values of the batch's tokens into the layer's cache.
    /// k (tokens, KV heads, keyDim), v (tokens, KV heads, valueDim).
    package func store(keys k: Heads, values v: Heads, layer: Int, _ batch: Batch) {
        precondition(k.count == v.count && k.rows == batch.count && v.rows == batch.count)
        let grain = Self.grain(4 * (k.dim + v.dim) * batch.count / batch.segments.count)
        pool.run(batch.segments.count * k.count, grain: grain, (k, v, layer, batch)) { job, units, _ in
            let (k, v, layer, batch) = job
            for unit in units {
                let segment = batch.segments[unit / k.count]
                let head = unit % k.count
                for (token, row) in segment.rows.enumerated() {
                    ck_kv_store(
                        segment.sequence.caches + layer, head, segment.start + token, k.at(row, head), v.at(row, head),
                        v.dim)
                }
            }
        }
    }

    /// Causal softmax attention of every token over its sequence's cache, which must already hold the batch's own
    /// keys and values. Query head h reads KV head h / (heads / kvHeads).
    /// q (tokens, heads, keyDim), out (tokens, heads, valueDim). Caches of 16 and 8 bits are multiplied as integers, see
    /// float_words.inc.
    ///
    /// Positions are taken in blocks of 256 counted from 0; a block yields its maximum, its sum and its weighted
    /// values, and blocks are merged in rising order (online softmax, Milakov & Gimelshein 2018). That order is the
    /// same however the work is split: over heads and tokens for many tokens, over blocks for few.
    package func attention(
        _ q: Heads, _ options: AttentionOptions, layer: Int, _ batch: Batch, _ workspace: Workspace, into out: Heads
    ) {
        precondition(q.rows == batch.count && out.rows == q.rows && out.count == q.count)
        precondition((options.sinks?.count ?? q.count) == q.count && (options.window ?? 1) > 0)
        workspace.scoped {
            let count = batch.segments.count
            let parts = workspace.bytes(count * MemoryLayout<AttentionPart>.stride)
                .bindMemory(to: AttentionPart.self, capacity: count)
            var units = 0
            var scratch = 0
            var anySplit = false
            for index in 0..<count {
                let part = AttentionPart(
                    batch.segments[index], q: q, options, layer: layer, firstUnit: units, workspace)
                (parts + index).initialize(to: part)
                units += part.units
                anySplit = anySplit || part.partials != nil
                scratch = max(scratch, part.scratchBytes)
            }
            let job = (q, options, out, parts, count)
            pool.run(units, scratch: scratch, job) { job, units, worker in
                let (q, options, out, parts, count) = job
                for unit in units {
                    var index = count - 1
                    while parts[index].firstUnit > unit { index -= 1 }
                    parts[index].run(unit - parts[index].firstUnit, q, options, out, worker.scratch)
                }
            }
            guard anySplit else { return }
            pool.run(count * q.count, scratch: scratch, job) { job, units, worker in
                let (q, options, out, parts, _) = job
                for unit in units {
                    parts[unit / q.count].merge(head: unit % q.count, q, options, out, worker.scratch)
                }
            }
        }
    }
}

/// The work of one segment. Plain data: the cache belongs to the segment's sequence, which the batch keeps alive.
private struct AttentionPart {
    let cache: UnsafeMutablePointer<ck_kv>
    let firstRow: Int
    let tokens: Int
    /// Position of the first token.
    let start: Int
    let isCausal: Bool
    let kvHeads: Int
    /// Query heads per KV head.
    let group: Int
    /// Tokens per tile; a tile has `group` rows for each.
    let tileTokens: Int
    let tiles: Int
    let firstBlock: Int
    let blocks: Int
    let firstUnit: Int
    /// Floats per row of partial results.
    let rowFloats: Int
    /// Results of every (KV head, block, row) when the work is split over blocks.
    let partials: UnsafeMutablePointer<Float>?

    /// Rows of a tile share what is read and converted of the cache. Their scores and sums come from the second-level
    /// cache or, with wide heads, from behind it; 64 and 128 rows are slower.
    private static let tileRows = 256
    /// Up to so many rows the work is split over blocks, each of which then stores its part of every row.
    private static let splitRows = 32

    init(
        _ segment: Segment, q: Heads, _ options: AttentionOptions, layer: Int, firstUnit: Int, _ workspace: Workspace
    ) {
        guard case .attention(let kvHeads, let keyDim, _, let window) = segment.sequence.layout.layers[layer] else {
            preconditionFailure("layer \(layer) has no key/value cache")
        }
        precondition(keyDim == q.dim && q.count.isMultiple(of: kvHeads))
        // The layer may have forgotten what lies behind its window.
        precondition(window == nil || (options.window ?? .max) <= window ?? 0)
        cache = segment.sequence.caches + layer
        firstRow = segment.rows.lowerBound
        tokens = segment.rows.count
        start = segment.start
        isCausal = options.isCausal && !(segment.seesAhead && options.spansSeeAhead)
        self.kvHeads = kvHeads
        group = q.count / kvHeads
        let most = max(1, Self.tileRows / group)
        tiles = (segment.rows.count + most - 1) / most
        tileTokens = (segment.rows.count + tiles - 1) / tiles
        let block = Int(CK_ATTENTION_BLOCK)
        firstBlock = options.window.map { max(0, segment.start + 1 - $0) / block } ?? 0
        blocks = (segment.end + block - 1) / block - firstBlock
        rowFloats = ck_attention_row_floats(cache)
        self.firstUnit = firstUnit
        if tokens <= max(1, Self.splitRows / group) && blocks > 1 {
            let floats = kvHeads * blocks * tokens * group * rowFloats
            partials = workspace.bytes(floats * 4).bindMemory(to: Float.self, capacity: floats)
        } else {
            partials = nil
        }
    }

    var units: Int { kvHeads * (partials == nil ? tiles : blocks) }
    var rows: Int { tileTokens * group }
    private var kernelScratch: Int { (ck_attention_scratch_bytes(cache, rows) + 63) & ~63 }
    var scratchBytes: Int { kernelScratch + 2 * rows * rowFloats * 4 }

    private func tile(_ kvHead: Int, _ firstToken: Int, _ q: Heads, _ options: AttentionOptions) -> ck_attention_tile {
        var tile = ck_attention_tile()
        tile.kv = UnsafePointer(cache)
        tile.kv_head = kvHead
        tile.q = UnsafePointer(q.at(firstRow + firstToken, kvHead * group))
        tile.q_token_stride = q.rowStride
        tile.q_head_stride = q.headStride
        tile.tokens = min(tileTokens, tokens - firstToken)
        tile.heads = group
        tile.position = start + firstToken
        tile.window = options.window ?? 0
        tile.visible = isCausal ? 0 : start + tokens
        // A span that sees ahead within a causal text sees all of itself.
        tile.ahead = options.isCausal ? .max : (options.window ?? .max) - 1
        tile.scale = options.scale
        tile.cap = options.softCap ?? 0
        return tile
    }

    func run(
        _ unit: Int, _ q: Heads, _ options: AttentionOptions, _ out: Heads, _ scratch: UnsafeMutableRawPointer
    ) {
        if let partials {
            let (kvHead, other) = (unit % kvHeads, unit / kvHeads)
            var tile = tile(kvHead, 0, q, options)
            ck_attention_queries(&tile, scratch)
            ck_attention_block(&tile, firstBlock + other, partials + partial(kvHead, other, 0), scratch)
            return
        }
        // Threads work on one KV head at a time and so share what they read; the last tiles see most, so they come
        // first.
        let kvHead = unit / tiles
        let firstToken = (tiles - 1 - unit % tiles) * tileTokens
        var tile = tile(kvHead, firstToken, q, options)
        ck_attention_queries(&tile, scratch)
        let rows = tile.tokens * group
        let sums = (scratch + kernelScratch).assumingMemoryBound(to: Float.self)
        let blockSums = sums + rows * rowFloats
        for row in 0..<rows { ck_attention_start(sums + row * rowFloats, cache.pointee.value_dim) }
        let size = Int(CK_ATTENTION_BLOCK)
        let first = options.window.map { max(0, tile.position + 1 - $0) / size } ?? 0
        let end = isCausal ? tile.position + tile.tokens : start + tokens
        for block in first..<(end + size - 1) / size {
            ck_attention_block(&tile, block, blockSums, scratch)
            for row in 0..<rows {
                ck_attention_merge(sums + row * rowFloats, blockSums + row * rowFloats, cache.pointee.value_dim)
            }
        }
        for token in 0..<tile.tokens {
            for head in 0..<group {
                finish(
                    sums + (token * group + head) * rowFloats, firstToken + token, kvHead * group + head, options, out)
            }
        }
    }

    /// Index of the partial result of a KV head, a block and a row.
    private func partial(_ kvHead: Int, _ block: Int, _ row: Int) -> Int {
        ((kvHead * blocks + block) * tokens * group + row) * rowFloats
    }

    /// Joins the blocks of one query head, if they were computed apart.
    func merge(
        head: Int, _ q: Heads, _ options: AttentionOptions, _ out: Heads, _ scratch: UnsafeMutableRawPointer
    ) {
        guard let partials else { return }
        let sums = scratch.assumingMemoryBound(to: Float.self)
        for token in 0..<tokens {
            ck_attention_start(sums, cache.pointee.value_dim)
            for block in 0..<blocks {
                let row = token * group + head % group
                ck_attention_merge(sums, partials + partial(head / group, block, row), cache.pointee.value_dim)
            }
            finish(sums, token, head, options, out)
        }
    }

    private func finish(
        _ sums: UnsafePointer<Float>, _ token: Int, _ head: Int, _ options: AttentionOptions, _ out: Heads
    ) {
        ck_attention_finish(
            sums, cache.pointee.value_dim, options.sinks.map { $0.pointer + head }, out.dim,
            out.at(firstRow + token, head))
    }
}
