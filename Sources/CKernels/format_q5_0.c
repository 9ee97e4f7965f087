// Q5_0: 32 values of 5 bits with offset 16 and one scale.
#include "neon.h"
#include "parts.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q5_0 *b = p;
    for (int i = 0; i < 16; i++) {
        int low_fifth = b->qh[i / 8] >> (i % 8) & 1, high_fifth = b->qh[2 + i / 8] >> (i % 8) & 1;
        out->q[i] = (int8_t)((b->qs[i] & 15) + 16 * low_fifth - 16);
        out->q[i + 16] = (int8_t)((b->qs[i] >> 4) + 16 * high_fifth - 16);
    }
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS_32(ck_block_q5_0, CK_ONE_SCALE)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block) {
    return _mm256_or_si256(ck_nibbles256(block + 6), ck_fifth_bits256(block + 2));
}

CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4]) { return ck_load_4_halves(block, 0); }

#define CK2_BLOCK ck_block_q5_0
#define CK2_SIGNED 0
#define CK2_STEPS 4
#define CK2_OFFSET_SHIFT 4
#include "avx2_32.h"

CK_AVX512 CK_INLINE void decode(const uint8_t *p, __m512i *low, __m512i *high) {
    __m512i x = ck_load_lanes(p + 6, p + 28, p + 50, p + 72);
    *low = ck_low_nibbles(x);
    *high = ck_high_nibbles(x);
    ck_add_fifth_bits(ck_load_lanes(p + 2, p + 24, p + 46, p + 68), low, high);
}

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset) {
    return ck_load_16_halves(block, offset);
}

#define CK_BLOCK ck_block_q5_0
#define CK_OFFSET_SHIFT 4
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    ck_pack_pieces(row, 6, sizeof(CK_BLOCK), strip->q + 4 * at);
    for (int b = 0; b < 4; b++) {
        _mm512_store_si512(strip->q[32 + at + b], ck_load_16_dwords(row, (size_t)b * sizeof(CK_BLOCK) + 2));
    }
}

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, size_t b, int k) {
    __m512i x = ck_strip_vector(strip, (int)(4 * b) + k % 4);
    x = k / 4 ? ck_high_nibbles(x) : ck_low_nibbles(x);
    x = _mm512_or_si512(x, ck_four_fifth_bits(ck_strip_vector(strip, 32 + (int)b), k));
    return _mm512_add_epi8(x, ck_bytes512(112));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_32.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[2]) {
    for (int i = 0; i < 2; i++) {
        int8x16_t x = vaddq_s8(ck_nibble_neon(block + 6, i), ck_fifth_bits_neon(block + 2, i));
        q[i] = vsubq_s8(x, vdupq_n_s8(16));
    }
}

#define CK_NEON_BLOCK ck_block_q5_0
#define CK_NEON_KIND CK_ONE_SCALE
#include "neon_32.h"
#endif

const ck_format_impl ck_impl_q5_0 = {
    .format = {6, "Q5_0", 32, sizeof(ck_block_q5_0), CK_ACT_Q8_32},
    .dequantize = dequantize,
    .matmul =
        {
            [CK_ISA_SCALAR] = matmul_scalar,
#if defined(CK_X86)
            [CK_ISA_AVX2] = matmul_avx2,
            [CK_ISA_AVX512] = matmul_avx512,
#endif
#if defined(CK_ARM)
            [CK_ISA_NEON] = matmul_neon,
            [CK_ISA_I8MM] = matmul_i8mm,
#endif
        },
};
