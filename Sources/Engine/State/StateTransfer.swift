import CKernels

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Copies of a sequence's state, so that another sequence with the same beginning can go on from there.
///
/// Layers that keep all keys and values can go on from any position: what they keep is copied in tiles of 16
/// positions, the unit in which keys are stored. A tile that a range only touches is copied whole: positions beyond a
/// sequence's end are never read, and written before they are. Compressed entries go with the positions that complete
/// them, in tiles of 16 entries. A recurrent state, projections that wait for an entry, and a cache with a window only
/// hold for the last token: they are copied as a whole, as a ``StateCheckpoint``.
extension StateLayout {
    /// Positions of a tile.
    package static let tilePositions = 16

    /// Bytes that ``SequenceState/copyCache(of:)`` gives for these positions.
    package func cacheBytes(of positions: Range<Int>) -> Int {
        layers.reduce(0) { total, layer in
            switch layer {
            case .attention(_, _, _, .some): return total
            case .compressed(let dim, let ratio, _, _, _):
                let rows = Self.tiles(of: positions).count * Self.tilePositions
                let entries = Self.tiles(of: Self.entries(of: positions, ratio: ratio)).count * Self.tilePositions
                return total + rows * latentRowBytes(dim, 0) + entries * bytesPerEntry(layer)
            default: return total + Self.tiles(of: positions).count * Self.tilePositions * bytesPerPosition(layer)
            }
        }
    }

    /// The most bytes that ``SequenceState/copyCache(of:)`` gives for so many positions, wherever they begin.
    package func mostCacheBytes(positions: Int) -> Int {
        cacheBytes(of: 0..<positions + Self.tilePositions)
            + layers.reduce(0) { $0 + Self.tilePositions * bytesPerEntry($1) }
    }

    /// The compressed entries that these positions complete.
    static func entries(of positions: Range<Int>, ratio: Int) -> Range<Int> {
        ratio == 0 ? 0..<0 : positions.lowerBound / ratio..<positions.upperBound / ratio
    }

    static func tiles(of positions: Range<Int>) -> Range<Int> {
        guard !positions.isEmpty else { return 0..<0 }
        return positions.lowerBound / tilePositions..<(positions.upperBound + tilePositions - 1) / tilePositions
    }

    /// Whether a beginning of a sequence is only usable with a ``StateCheckpoint`` of its end.
    package var needsCheckpoints: Bool { isRecurrent || hasWindows }
}

/// A copy of what a state holds for its last token alone.
package struct StateCheckpoint: Sendable {
    /// Tokens of the sequence.
    package let count: Int
    package let memory: MappedMemory

    /// - Parameter memory: that of another checkpoint, for a state of the same layout and capacity.
    package init(count: Int, memory: MappedMemory) {
        self.count = count
        self.memory = memory
    }

    func paste(into state: SequenceState) {
        let pieces = state.momentaryMemory
        precondition(memory.count == pieces.reduce(0) { $0 + $1.count })
        var next = memory.pointer
        for piece in pieces {
            guard let start = piece.baseAddress else { continue }
            memcpy(start, next, piece.count)
            next += piece.count
        }
    }
}

extension SequenceState {
    /// Bytes of a ``StateCheckpoint`` of this state; 0: none is needed.
    package var checkpointBytes: Int { momentaryMemory.reduce(0) { $0 + $1.count } }

    /// nil when the system has no memory for it.
    package func copyCheckpoint() -> StateCheckpoint? {
        guard let copy = MappedMemory(trying: checkpointBytes, hugePages: true) else { return nil }
        var next = copy.pointer
        for piece in momentaryMemory {
            guard let start = piece.baseAddress else { continue }
            memcpy(next, start, piece.count)
            next += piece.count
        }
        return StateCheckpoint(count: count, memory: copy)
    }

    /// The keys and values of these positions, of all layers that keep all of them; nil when the system has no memory
    /// for them.
    package func copyCache(of positions: Range<Int>) -> MappedMemory? {
        precondition(positions.upperBound <= count)
        let bytes = layout.cacheBytes(of: positions)
        guard let copy = MappedMemory(trying: bytes, hugePages: false) else { return nil }
        var next = copy.pointer
        forEachPiece(of: positions) { memory, bytes in
            memcpy(next, memory, bytes)
            next += bytes
        }
        return copy
    }

    /// Writes keys and values that ``copyCache(of:)`` gave for the same positions of a state of the same layout.
    package func pasteCache(_ copy: MappedMemory, at positions: Range<Int>) {
        precondition(positions.upperBound <= capacity && copy.count >= layout.cacheBytes(of: positions))
        var next = copy.pointer
        forEachPiece(of: positions) { memory, bytes in
            memcpy(memory, next, bytes)
            next += bytes
        }
    }

    /// Each run of memory that belongs to the tiles of these positions, always in the same order.
    private func forEachPiece(of positions: Range<Int>, _ body: (UnsafeMutableRawPointer, Int) -> Void) {
        let tiles = StateLayout.tiles(of: positions)
        guard !tiles.isEmpty else { return }
        for (index, layer) in layout.layers.enumerated() {
            let (cache, latent) = (caches[index], latents[index])
            let rowsPerTile = StateLayout.tilePositions
            switch layer {
            case .attention(let heads, _, _, nil):
                let valueTileBytes = rowsPerTile * cache.value_row_bytes
                for head in 0..<heads {
                    body(
                        cache.keys + head * cache.key_head_bytes + tiles.lowerBound * cache.key_tile_bytes,
                        tiles.count * cache.key_tile_bytes)
                    body(
                        cache.values + head * cache.value_head_bytes + tiles.lowerBound * valueTileBytes,
                        tiles.count * valueTileBytes)
                }
            case .latent:
                let latentTileBytes = rowsPerTile * latent.row_bytes
                body(latent.rows + tiles.lowerBound * latentTileBytes, tiles.count * latentTileBytes)
                // The keys of the indexer; 0 bytes without one.
                body(cache.keys + tiles.lowerBound * cache.key_tile_bytes, tiles.count * cache.key_tile_bytes)
            case .compressed(_, let ratio, _, _, _):
                let latentTileBytes = rowsPerTile * latent.row_bytes
                body(latent.rows + tiles.lowerBound * latentTileBytes, tiles.count * latentTileBytes)
                let entries = StateLayout.tiles(of: StateLayout.entries(of: positions, ratio: ratio))
                let base = layout.entryBase(capacity: capacity) * latent.row_bytes
                body(latent.rows + base + entries.lowerBound * latentTileBytes, entries.count * latentTileBytes)
                body(cache.keys + entries.lowerBound * cache.key_tile_bytes, entries.count * cache.key_tile_bytes)
            case .none, .recurrent, .attention: break
            }
        }
    }
}

extension MappedMemory {
    package var rawBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: pointer, count: count) }
}
