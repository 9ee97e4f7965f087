import CKernels

/// Attention by depth with the heads of Qwen3.5-9B: four KV heads of 256 with four query heads each. One token, and a
/// tile of sixteen; keys and values as F32, 16-bit words and Q8_0.
func measureAttention(_ harness: inout Harness) {
    let caches = [("f32", CK_CACHE_F32), ("f16", CK_CACHE_WORDS), ("q8_0", CK_CACHE_Q8_0)]
    for tokens in [1, 16] {
        for depth in harness.options.isQuick ? [512] : [512, 4096, 16384] {
            for (cacheName, cache) in caches {
                for (isa, isaName) in instructionSets {
                    let label = "\(tokens) at depth \(depth), \(cacheName)"
                    guard harness.isWanted("attention", label, isaName), ck_isa_select(isa) != 0 else { continue }
                    let threads = min(harness.options.threads, AttentionRun.kvHeads)
                    let run = AttentionRun(cache, tokens: tokens, depth: depth, threads: threads)
                    harness.measure("attention", label, isa: isaName, work: run.work, threads: threads) {
                        run.run(worker: $0)
                    }
                }
            }
        }
    }
}

/// The last tokens of a sequence attend to all of it.
private final class AttentionRun: @unchecked Sendable {
    static let (kvHeads, group, dim) = (4, 4, 256)
    private let (tokens, depth, threads): (Int, Int, Int)
    private let cache: UnsafeMutablePointer<ck_kv>
    private let keys: Buffer
    private let values: Buffer
    private let queries: Buffer
    private let results: [Buffer]
    private let scratch: [Buffer]
    private let rowFloats: Int

    init(_ type: ck_cache, tokens: Int, depth: Int, threads: Int) {
        (self.tokens, self.depth, self.threads) = (tokens, depth, threads)
        let dim = Self.dim
        let keyBytes: Int
        let valueBytes: Int
        switch type {
        case CK_CACHE_F32: (keyBytes, valueBytes) = (4 * dim, 4 * dim)
        case CK_CACHE_WORDS: (keyBytes, valueBytes) = (2 * dim + dim / 32 * 4, 2 * dim + 4)
        default: (keyBytes, valueBytes) = (dim + dim / 32 * 2, dim + dim / 32 * 2)
        }
        let positions = (depth + 15) / 16 * 16
        keys = Buffer(keyBytes * positions * Self.kvHeads)
        values = Buffer(valueBytes * positions * Self.kvHeads)
        var kv = ck_kv()
        kv.keys = keys.pointer
        kv.values = values.pointer
        kv.key_type = type
        kv.value_type = type
        kv.key_dim = dim
        kv.value_dim = dim
        kv.key_tile_bytes = keyBytes * 16
        kv.key_head_bytes = keyBytes * positions
        kv.value_row_bytes = valueBytes
        kv.value_head_bytes = valueBytes * positions
        kv.positions = positions
        cache = .allocate(capacity: 1)
        cache.initialize(to: kv)
        let rows = tokens * Self.group
        let rowFloats = ck_attention_row_floats(cache)
        self.rowFloats = rowFloats
        let scratchBytes = ck_attention_scratch_bytes(cache, rows)
        queries = .floats(tokens * Self.kvHeads * Self.group * dim, scale: 0.1)
        results = (0..<threads).map { _ in Buffer(2 * 4 * rows * rowFloats) }
        scratch = (0..<threads).map { _ in Buffer(scratchBytes) }
    }

    deinit { cache.deallocate() }

    /// The cache is read once; every query is multiplied with every key and weighs every value.
    var work: Work {
        let rows = tokens * Self.group * Self.kvHeads
        return Work(
            bytes: Double(keys.count + values.count), macs: Double(rows) * Double(depth) * Double(2 * Self.dim),
            kind: .float)
    }

    func run(worker: Int) {
        let (group, dim) = (Self.group, Self.dim)
        let rows = tokens * group
        let sums = results[worker].floats
        let blockSums = sums + rows * rowFloats
        for head in stride(from: worker, to: Self.kvHeads, by: threads) {
            var tile = ck_attention_tile()
            tile.kv = UnsafePointer(cache)
            tile.kv_head = head
            tile.q = UnsafePointer(queries.floats + head * group * dim)
            tile.q_token_stride = Self.kvHeads * group * dim
            tile.q_head_stride = dim
            tile.tokens = tokens
            tile.heads = group
            tile.position = depth - tokens
            tile.scale = 1.0 / 16
            ck_attention_queries(&tile, scratch[worker].pointer)
            for row in 0..<rows { ck_attention_start(sums + row * rowFloats, dim) }
            for block in 0..<(depth + Int(CK_ATTENTION_BLOCK) - 1) / Int(CK_ATTENTION_BLOCK) {
                ck_attention_block(&tile, block, blockSums, scratch[worker].pointer)
                for row in 0..<rows {
                    ck_attention_merge(sums + row * rowFloats, blockSums + row * rowFloats, dim)
                }
            }
        }
    }
}
