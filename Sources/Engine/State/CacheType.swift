import CKernels

/// How keys and values are kept between tokens.
package enum CacheType: String, Sendable, CaseIterable {
    case f32
    /// Two bytes: keys and values of attention as integers that share scales (float_words.inc), nearer to what they stand
    /// for than half floats and multiplied faster; latents and the keys of indexers as half floats.
    case f16
    /// int8 with one F16 scale per 32 values along the head dimension, which must be a multiple of 32.
    case q8_0

    /// Values per indivisible group along the head dimension.
    package var block: Int { self == .q8_0 ? 32 : 1 }

    /// Bytes of one position of one head's keys in an attention layer: the words of dims in pairs, and one scale per 32.
    package func keyBytes(_ dim: Int) -> Int {
        self == .f16 ? (dim + 1) / 2 * 4 + (dim + 31) / 32 * 4 : bytes(dim)
    }

    /// Bytes of one position of one head's values in an attention layer: words and their scale.
    package func valueBytes(_ dim: Int) -> Int {
        self == .f16 ? dim * 2 + 4 : bytes(dim)
    }

    /// Bytes for `dim` values of one position of a latent or of an indexer's keys.
    package func bytes(_ dim: Int) -> Int {
        switch self {
        case .f32: dim * 4
        case .f16: dim * 2
        case .q8_0: dim + dim / 32 * 2
        }
    }

    /// For keys and values of attention.
    var attentionKernel: ck_cache { self == .f16 ? CK_CACHE_WORDS : kernel }

    /// For latents and keys of indexers.
    var kernel: ck_cache {
        switch self {
        case .f32: CK_CACHE_F32
        case .f16: CK_CACHE_F16
        case .q8_0: CK_CACHE_Q8_0
        }
    }
}
