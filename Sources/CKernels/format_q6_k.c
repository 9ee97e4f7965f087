// Q6_K: 256 values of 6 bits with offset 32; int8 scale per 16 values.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack_scales(const ck_block_q6_K *b, ck_unpacked256 *out) {
    for (int i = 0; i < 16; i++) {
        out->scale[i] = b->scales[i];
        out->min[i] = 0;
    }
    out->d = ck_f16(b->d);
}

CK_INLINE void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q6_K *b = p;
    for (int i = 0; i < 256; i++) {
        int low = b->ql[i / 128 * 64 + i % 64] >> (i / 64 % 2 * 4) & 15;
        int high = b->qh[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
        out->q[i] = (int8_t)(low + 16 * high - 32);
    }
    unpack_scales(b, out);
}

CK_PORTABLE_KERNELS_256(ck_block_q6_K, 0)

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    __m128i bytes = _mm_loadu_si128((const __m128i *)(block + 192));
    _mm256_storeu_si256((__m256i *)scale, _mm256_cvtepi8_epi16(bytes));
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    for (int half = 0; half < 2; half++) {
        __m256i high = ck_load256(block + 128 + 32 * half);
        for (int i = 0; i < 4; i++) {
            __m256i low = ck_load256(block + 64 * half + 32 * (i % 2));
            if (i >= 2) low = _mm256_srli_epi16(low, 4);
            __m256i upper = _mm256_slli_epi16(ck_bit_pairs256(high, 2 * i), 4);
            q[4 * half + i] = _mm256_or_si256(_mm256_and_si256(low, ck_bytes256(15)), upper);
        }
    }
}

#define CK2_BLOCK ck_block_q6_K
#define CK2_WIDTH 16
#define CK2_SIGNED 0
#define CK2_STEPS 2
#define CK2_OFFSET_SHIFT 5
#define CK2_D 208
#include "avx2_256.h"

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    return ck_load_lanes(block[0] + 192, block[1] + 192, block[2] + 192, block[3] + 192);
}

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    // Where the bytes of the upper bits begin, so that a pair arrives at bits 4 and 5: four or two bits before it
    // (groups 0 and 1), at it or two bits behind it (groups 2 and 3).
    const __m512i first = _mm512_add_epi8(_mm512_set1_epi64(0x3830282018100800), ck_bytes512(-4));
    const __m512i order = _mm512_mask_add_epi8(first, 0xffffffff00000000, first, ck_bytes512(2));
    for (int half = 0; half < 2; half++) {
        const __m512i x = _mm512_loadu_si512(block + 64 * half);
        const __m512i high = _mm512_broadcast_i64x4(ck_load256(block + 128 + 32 * half));
        for (int i = 0; i < 2; i++) {
            __m512i start = _mm512_add_epi8(order, ck_bytes512(4 * i));
            __m512i bits = _mm512_and_si512(_mm512_multishift_epi64_epi8(start, high), ck_bytes512(0x30));
            q[2 * half + i] = ck_low_nibbles_or(i ? _mm512_srli_epi16(x, 4) : x, bits);
        }
    }
}

#define CK_BLOCK ck_block_q6_K
#define CK_KIND CK_SCALED_OFFSET
#define CK_WIDTH 16
#define CK_OFFSET_SHIFT 5
#define CK_PIECES 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#include "rows_avx512_256.h"

#define CK_STRIP_VECTORS 48
#define CK_STRIP_PIECE(I) (64 * (size_t)(I))

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, int half, int group, int k) {
    __m512i x = ck_strip_vector(strip, 16 * half + group % 2 * 8 + k);
    __m512i high = ck_strip_vector(strip, 32 + 8 * half + k);
    x = group / 2 ? ck_high_nibbles(x) : ck_low_nibbles(x);
    return _mm512_or_si512(x, ck_shift_and(high, 4 - 2 * group, 0x30));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        int half = i / 8, group = i / 2 % 4, part = i % 2 * 16;
        int8x16_t low = ck_nibble_neon(block + 64 * half + group % 2 * 32 + part, group / 2);
        uint8x16_t high = vshlq_n_u8(ck_bit_pairs_neon(block + 128 + 32 * half + part, 2 * group), 4);
        q[i] = vsubq_s8(vorrq_s8(low, vreinterpretq_s8_u8(high)), vdupq_n_s8(32));
    }
}

#define CK_NEON_BLOCK ck_block_q6_K
#define CK_NEON_WIDTH 16
#define CK_NEON_HAS_MIN 0
#include "neon_256.h"
#endif

const ck_format_impl ck_impl_q6_K = {
    .format = {14, "Q6_K", 256, sizeof(ck_block_q6_K), CK_ACT_Q8_256},
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
