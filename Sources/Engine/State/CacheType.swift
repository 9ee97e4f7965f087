import CKernels

/// How keys and values are kept between tokens.
package enum CacheType: String, Sendable, CaseIterable {
    case f32
    case f16
    /// int8 with one F16 scale per 32 values along the head dimension, which must be a multiple of 32.
    case q8_0

    /// Values per indivisible group along the head dimension.
    package var block: Int { self == .q8_0 ? 32 : 1 }

    /// Bytes for `dim` values of one position of one head.
    package func bytes(_ dim: Int) -> Int {
        switch self {
        case .f32: dim * 4
        case .f16: dim * 2
        case .q8_0: dim + dim / 32 * 2
        }
    }

    var kernel: ck_cache {
        switch self {
        case .f32: CK_CACHE_F32
        case .f16: CK_CACHE_F16
        case .q8_0: CK_CACHE_Q8_0
        }
    }
}
