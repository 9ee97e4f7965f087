// Q5_K: 256 values of 5 bits; 6-bit scale and 6-bit minimum per 32 values.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack_scales(const ck_block_q5_K *b, ck_unpacked256 *out) {
    uint8_t scale[8], min[8];
    ck_unpack_scales_k4(b->scales, scale, min);
    for (int i = 0; i < 16; i++) {
        out->scale[i] = scale[i / 2];
        out->min[i] = min[i / 2];
    }
    out->d = ck_f16(b->d);
    out->dmin = ck_f16(b->dmin);
}

CK_INLINE void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q5_K *b = p;
    for (int i = 0; i < 256; i++) {
        int low = b->qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
        int fifth = b->qh[i % 32] >> (i / 32) & 1;
        out->q[i] = (int8_t)(low + 16 * fifth);
    }
    unpack_scales(b, out);
}

CK_PORTABLE_KERNELS_256(ck_block_q5_K, 1)

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    __m128i words = ck_scales_k4_256(block + 4), low = _mm_cvtepu8_epi16(words);
    __m128i high = _mm_cvtepu8_epi16(_mm_srli_si128(words, 8));
    ck_store_twice(low, scale);
    ck_store_twice(high, min);
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    __m256i fifth = ck_load256(block + 16), bit = ck_bytes256(1);
    for (int i = 0; i < 8; i++) {
        __m256i x = ck_load256(block + 48 + 32 * (i / 2));
        if (i % 2) x = _mm256_srli_epi16(x, 4);
        __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(fifth, bit), bit);
        q[i] = _mm256_or_si256(_mm256_and_si256(x, ck_bytes256(15)), _mm256_and_si256(set, ck_bytes256(16)));
        bit = _mm256_add_epi8(bit, bit);
    }
}

#define CK2_BLOCK ck_block_q5_K
#define CK2_WIDTH 32
#define CK2_SIGNED 0
#define CK2_STEPS 4
#define CK2_D 0
#define CK2_DMIN 2
#include "avx2_256.h"

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    return ck_scales_k4(ck_load_lanes(block[0] + 4, block[1] + 4, block[2] + 4, block[3] + 4));
}

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    const __m512i fifth = _mm512_broadcast_i64x4(ck_load256(block + 16));
    // Where the bytes begin whose bit 4 is the fifth bit: of group 0, and in the upper half of group 2.
    const __m512i first = _mm512_add_epi8(_mm512_set1_epi64(0x3830282018100800), ck_bytes512(-4));
    const __m512i start = _mm512_mask_add_epi8(first, 0xffffffff00000000, first, ck_bytes512(2));
    for (int i = 0; i < 4; i++) {
        const __m512i x = _mm512_loadu_si512(block + 48 + i / 2 * 64);
        // Groups 0 and 2, 1 and 3, 4 and 6, 5 and 7.
        const __m512i from = _mm512_add_epi8(start, ck_bytes512(i / 2 * 4 + i % 2));
        __m512i bits = _mm512_and_si512(_mm512_multishift_epi64_epi8(from, fifth), ck_bytes512(16));
        q[i] = ck_low_nibbles_or(i % 2 ? _mm512_srli_epi16(x, 4) : x, bits);
    }
}

#define CK_BLOCK ck_block_q5_K
#define CK_KIND CK_SCALED_MIN
#define CK_D 0
#define CK_DMIN 2
#define CK_WIDTH 32
#define CK_PIECES 0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15
#include "rows_avx512_256.h"

#define CK_STRIP_VECTORS 40
#define CK_STRIP_PIECE(I) ((I) == 2 ? 16 : 48 + 64 * (size_t)(I))

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, int half, int group, int k) {
    __m512i x = ck_strip_vector(strip, 16 * half + group / 2 * 8 + k), fifth = ck_strip_vector(strip, 32 + k);
    x = group % 2 ? ck_high_nibbles(x) : ck_low_nibbles(x);
    return _mm512_add_epi8(x, ck_shift_and(fifth, 4 - 4 * half - group, 16));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        int8x16_t low = ck_nibble_neon(block + 48 + i / 4 * 32 + i % 2 * 16, i / 2 % 2);
        q[i] = vaddq_s8(low, ck_bit_neon(vld1q_u8(block + 16 + i % 2 * 16), i / 2, 4));
    }
}

#define CK_NEON_BLOCK ck_block_q5_K
#define CK_NEON_WIDTH 32
#define CK_NEON_HAS_MIN 1
#include "neon_256.h"
#endif

const ck_format_impl ck_impl_q5_K = {
    .format = {13, "Q5_K", 256, sizeof(ck_block_q5_K), CK_ACT_Q8_256},
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
