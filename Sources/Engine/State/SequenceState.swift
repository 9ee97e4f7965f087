import CKernels

/// Everything a model remembers of one sequence: the key/value cache of its attention layers and the recurrent
/// state of the others.
///
/// Memory is taken lazily: a large `capacity` costs address space only, until tokens fill it.
/// Not Sendable: it belongs to whoever runs the sequence.
package final class SequenceState {
    package let layout: StateLayout
    /// Tokens that fit.
    package let capacity: Int
    /// Tokens seen so far; the next token's position.
    package private(set) var count = 0

    /// True for a sequence that is computed with the rotation for long contexts (LongRoPE), which differs from the
    /// first position on. Set while the sequence is empty; whoever extends a sequence beyond
    /// ``Architecture/longContext`` computes it anew with this set.
    package var isLong = false {
        willSet { precondition(count == 0 || newValue == isLong) }
    }
    /// The highest ``count`` since the start: what was written last in caches with a window.
    private var written = 0

    /// Keys and values of layers that keep all positions.
    private let cacheMemory: MappedMemory
    /// Keys and values of layers that forget.
    private let windowMemory: MappedMemory
    private let recurrentMemory: MappedMemory
    /// One entry per layer; meaningful for attention layers only.
    let caches: UnsafeMutablePointer<ck_kv>
    /// One entry per layer; meaningful for recurrent layers only.
    let recurrent: UnsafeMutablePointer<RecurrentPointers>
    /// One entry per layer; meaningful for layers with latents only. The keys of their indexer are in ``caches``.
    let latents: UnsafeMutablePointer<ck_latent>

    /// Where one layer's recurrent state lies.
    struct RecurrentPointers {
        /// (taps − 1) × channels, oldest input first, rows of `convStride` floats.
        var conv: UnsafeMutablePointer<Float>
        var convStride: Int
        /// heads × value blocks × keyDim × 16: value index in the lanes.
        var state: UnsafeMutablePointer<Float>
        var headStride: Int
    }

    /// - Throws: ``StateError/outOfMemory(bytes:)`` when the system has no such address space.
    package init(_ layout: StateLayout, capacity: Int) throws(StateError) {
        precondition(capacity >= 0)
        // 2^46 bytes is beyond any machine; the estimate in floating point cannot overflow.
        let estimate = layout.cacheBytes(capacity: capacity) + Double(layout.recurrentBytes)
        guard estimate < 0x1p46 else {
            throw .outOfMemory(bytes: estimate < 0x1p62 ? Int(estimate) : Int.max)
        }
        // Every layer's keys and values begin on a cache line.
        let padding = 64 * layout.layers.count * 2
        let cacheBytes = Int(layout.cacheBytes(capacity: capacity)) + padding
        let windowBytes = layout.forgetfulBytes(capacity: capacity)
        guard let cacheMemory = MappedMemory(trying: cacheBytes - windowBytes, hugePages: false),
            let windowMemory = MappedMemory(trying: windowBytes > 0 ? windowBytes + padding : 0, hugePages: true),
            let recurrentMemory = MappedMemory(trying: layout.recurrentBytes, hugePages: true)
        else { throw .outOfMemory(bytes: cacheBytes + layout.recurrentBytes) }
        self.layout = layout
        self.capacity = capacity
        self.cacheMemory = cacheMemory
        self.windowMemory = windowMemory
        needsSnapshots = layout.isRecurrent || windowBytes > 0
        self.recurrentMemory = recurrentMemory
        caches = .allocate(capacity: max(layout.layers.count, 1))
        recurrent = .allocate(capacity: max(layout.layers.count, 1))
        latents = .allocate(capacity: max(layout.layers.count, 1))

        var cacheNext = cacheMemory.pointer
        var windowNext = windowMemory.pointer
        var floatNext = recurrentMemory.pointer.bindMemory(to: Float.self, capacity: layout.recurrentBytes / 4)
        for (index, layer) in layout.layers.enumerated() {
            var cache = ck_kv()
            var latent = ck_latent()
            var pointers = RecurrentPointers(conv: floatNext, convStride: 0, state: floatNext, headStride: 0)
            switch layer {
            case .none:
                break
            case .attention(let heads, let keyDim, let valueDim, _):
                let positions = layout.positions(layer, capacity: capacity)
                let valuePadded = StateLayout.padded(valueDim)
                cache.key_type = layout.keyType.attentionKernel
                cache.value_type = layout.valueType.attentionKernel
                cache.key_dim = keyDim
                cache.value_dim = valuePadded
                cache.key_tile_bytes = layout.keyType.keyBytes(keyDim) * 16
                cache.key_head_bytes = cache.key_tile_bytes * (positions / 16)
                cache.value_row_bytes = layout.valueType.valueBytes(valuePadded)
                cache.value_head_bytes = cache.value_row_bytes * positions
                cache.positions = max(positions, 1)
                var next = layout.forgets(layer, capacity: capacity) ? windowNext : cacheNext
                cache.keys = next
                next += (heads * cache.key_head_bytes + 63) & ~63
                cache.values = next
                next += (heads * cache.value_head_bytes + 63) & ~63
                if layout.forgets(layer, capacity: capacity) { windowNext = next } else { cacheNext = next }
            case .recurrent(let channels, let taps, let heads, let keyDim, let valueDim):
                pointers.convStride = StateLayout.padded(channels)
                pointers.headStride = StateLayout.headFloats(keyDim, valueDim)
                pointers.state = floatNext + StateLayout.convFloats(channels, taps)
                floatNext = pointers.state + heads * pointers.headStride
            case .latent(let dim, let tail, let indexKeyDim):
                let positions = layout.positions(layer, capacity: capacity)
                latent = Self.latent(layout, dim, tail, rows: positions, &cacheNext)
                cache = Self.indexKeys(layout, indexKeyDim, positions, &cacheNext)
            case .compressed(let dim, let ratio, let channels, let indexKeyDim, let indexChannels):
                let entries = StateLayout.entries(capacity: capacity, ratio: ratio)
                let rows = layout.entryBase(capacity: capacity) + entries
                latent = Self.latent(layout, dim, 0, rows: rows, &cacheNext)
                cache = Self.indexKeys(layout, indexKeyDim, entries, &cacheNext)
                pointers.convStride = StateLayout.padded(2 * channels)
                pointers.headStride = StateLayout.padded(2 * indexChannels)
                pointers.state = floatNext + 2 * ratio * pointers.convStride
                floatNext = pointers.state + 2 * ratio * pointers.headStride
            }
            (latents + index).initialize(to: latent)
            (caches + index).initialize(to: cache)
            (recurrent + index).initialize(to: pointers)
        }
    }

    private static func latent(
        _ layout: StateLayout, _ dim: Int, _ tail: Int, rows: Int, _ next: inout UnsafeMutableRawPointer
    ) -> ck_latent {
        var latent = ck_latent()
        latent.type = layout.keyType.kernel
        latent.dim = dim
        latent.tail = StateLayout.padded(tail)
        latent.row_bytes = layout.latentRowBytes(dim, tail)
        latent.rows = next
        next += (latent.row_bytes * rows + 63) & ~63
        return latent
    }

    private static func indexKeys(
        _ layout: StateLayout, _ dim: Int, _ positions: Int, _ next: inout UnsafeMutableRawPointer
    ) -> ck_kv {
        var cache = ck_kv()
        cache.key_type = layout.keyType.kernel
        cache.key_dim = dim
        cache.key_tile_bytes = layout.keyType.bytes(dim) * 16
        cache.positions = max(positions, 1)
        cache.keys = next
        next += (cache.key_tile_bytes * (positions / 16) + 63) & ~63
        return cache
    }

    /// Where projections wait that do not fill a window yet: 2 · ratio rows of `stride` floats.
    func waiting(_ place: CompressorPlace, layer: Int) -> (pointer: UnsafeMutablePointer<Float>, stride: Int) {
        let pointers = recurrent[layer]
        switch place {
        case .latents: return (pointers.conv, pointers.convStride)
        case .indexKeys: return (pointers.state, pointers.headStride)
        }
    }

    deinit {
        caches.deallocate()
        recurrent.deallocate()
        latents.deallocate()
    }

    /// Positions left.
    package var remaining: Int { capacity - count }

    /// Makes `tokens` further positions part of the sequence, after a forward pass has written them.
    package func advance(by tokens: Int) {
        precondition(tokens >= 0 && tokens <= remaining)
        count += tokens
        written = max(written, count)
    }

    /// Keeps the first `newCount` tokens.
    ///
    /// A recurrent state has no memory of its past: with such layers only the whole sequence or nothing can be
    /// kept, and false is returned (and nothing changed) for everything in between. The same holds for a layer with
    /// a window when later tokens have taken the place of what the next token would see.
    package func truncate(to newCount: Int) -> Bool {
        precondition(newCount >= 0 && newCount <= count)
        guard canTruncate(to: newCount) else { return false }
        if newCount == 0 { reset() }
        count = newCount
        return true
    }

    /// Whether ``truncate(to:)`` would.
    package func canTruncate(to newCount: Int) -> Bool {
        precondition(newCount >= 0 && newCount <= count)
        return newCount == count || newCount == 0 || !layout.isRecurrent && windowsReach(back: newCount)
    }

    /// True if ``truncate(to:)`` may fail, so that a ``snapshot()`` is worth its memory.
    package let needsSnapshots: Bool

    /// True if every layer still holds all positions that a token at position `next` sees.
    private func windowsReach(back next: Int) -> Bool {
        layout.layers.allSatisfy { layer in
            guard case .attention(_, _, _, let window?) = layer else { return true }
            return max(0, next + 1 - window) >= written - layout.positions(layer, capacity: capacity)
        }
    }

    /// Forgets everything.
    package func reset() {
        if count > 0 { recurrentMemory.zero() }
        count = 0
        written = 0
    }

    /// What cannot be had back by truncating, as it is after `count` tokens: the recurrent state and the caches of
    /// layers that forget. The other caches are not copied.
    package func snapshot() -> RecurrentSnapshot {
        RecurrentSnapshot(
            count: count, written: written, recurrent: recurrentMemory.copy(), windows: windowMemory.copy())
    }

    /// Returns to a snapshot of this same sequence: the tokens before it must still be the ones cached.
    package func restore(_ snapshot: RecurrentSnapshot) {
        precondition(snapshot.count <= count && snapshot.recurrent.count == recurrentMemory.count)
        precondition(snapshot.windows.count == windowMemory.count)
        recurrentMemory.fill(from: snapshot.recurrent)
        windowMemory.fill(from: snapshot.windows)
        count = snapshot.count
        written = snapshot.written
    }

    /// Becomes a sequence of `newCount` tokens whose keys and values have just been pasted; see
    /// ``pasteCache(_:at:)``.
    /// - Parameter checkpoint: the rest of the state after these tokens, for a layout that needs it.
    package func adopt(count newCount: Int, checkpoint: StateCheckpoint?) {
        precondition(newCount >= 0 && newCount <= capacity)
        precondition(!layout.needsCheckpoints || newCount == 0 || checkpoint?.count == newCount)
        if newCount == 0 { return reset() }
        checkpoint?.paste(into: self)
        count = newCount
        written = newCount
    }

    /// Everything of the state that only holds for the last token: the recurrent state and the caches with a window.
    var momentaryMemory: [UnsafeMutableRawBufferPointer] {
        var pieces: [UnsafeMutableRawBufferPointer] = []
        if layout.isRecurrent {
            pieces.append(UnsafeMutableRawBufferPointer(start: recurrentMemory.pointer, count: layout.recurrentBytes))
        }
        for (index, layer) in layout.layers.enumerated() {
            guard case .attention(let heads, _, _, .some) = layer else { continue }
            let cache = caches[index]
            pieces.append(UnsafeMutableRawBufferPointer(start: cache.keys, count: heads * cache.key_head_bytes))
            pieces.append(UnsafeMutableRawBufferPointer(start: cache.values, count: heads * cache.value_head_bytes))
        }
        return pieces
    }
}

/// A copy of what a sequence cannot take back. See ``SequenceState/snapshot()``.
package struct RecurrentSnapshot: Sendable {
    package let count: Int
    let written: Int
    let recurrent: MappedMemory
    let windows: MappedMemory
}
