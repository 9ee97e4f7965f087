/// Sixteen value channels of one head's state in one segment: what a recurrence is split into. The block stays in the
/// first-level cache while all tokens of the segment sweep it.
struct StateBlock {
    static let channels = 16

    let head: Int
    /// Of the head's values, the first in this block.
    let firstValue: Int
    /// Values in this block: ``channels``, or what is left of the head.
    let lanes: Int
    /// The segment's first row in the batch, and how many it has.
    let row: Int
    let tokens: Int
    /// (key dim, ``channels``)
    let state: UnsafeMutablePointer<Float>
}

extension Compute {
    /// Runs `body` for every block of the layer's states in every segment of the batch.
    ///
    /// `body` must not capture anything: what it needs comes in through `context`.
    @inline(__always)
    func forEachStateBlock<Context>(
        _ batch: Batch, layer: Int, heads: Int, keyDim: Int, valueDim: Int, _ context: Context,
        _ body: @escaping (Context, StateBlock) -> Void
    ) {
        let blocks = (valueDim + StateBlock.channels - 1) / StateBlock.channels
        // A block of state is 64 · keyDim bytes: hand out a few at a time while tokens are few.
        let grain = max(1, 8 * batch.segments.count / batch.count)
        let work = StateWork(
            context: context, body: body, batch: batch, layer: layer, heads: heads, keyDim: keyDim, valueDim: valueDim,
            blocks: blocks)
        pool.run(batch.segments.count * heads * blocks, grain: grain, work) { work, units, _ in
            for unit in units { work.run(unit) }
        }
    }
}

/// Plain data and a function without captures: nothing here is allocated.
private struct StateWork<Context> {
    let context: Context
    let body: (Context, StateBlock) -> Void
    let batch: Batch
    let layer: Int
    let heads: Int
    let keyDim: Int
    let valueDim: Int
    /// Of one head.
    let blocks: Int

    @inline(__always)
    func run(_ unit: Int) {
        let segment = batch.segments[unit / (heads * blocks)]
        let head = unit / blocks % heads
        let first = unit % blocks * StateBlock.channels
        let recurrent = segment.sequence.recurrent[layer]
        body(
            context,
            StateBlock(
                head: head, firstValue: first, lanes: min(StateBlock.channels, valueDim - first),
                row: segment.rows.lowerBound, tokens: segment.rows.count,
                state: recurrent.state + head * recurrent.headStride + first * keyDim))
    }
}
