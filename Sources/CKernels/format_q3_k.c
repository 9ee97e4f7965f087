// Q3_K: 256 values of 3 bits with offset 4; 6-bit scale with offset 32 per 16 values.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack_scales(const ck_block_q3_K *b, ck_unpacked256 *out) {
    // Four scales at a time, each in a byte of its own.
    uint32_t low[2], high, word[4];
    memcpy(low, b->scales, 8);
    memcpy(&high, b->scales + 8, 4);
    for (int i = 0; i < 4; i++) {
        word[i] = (low[i % 2] >> (i / 2 * 4) & 0x0f0f0f0f) | (high >> (2 * i) & 0x03030303) << 4;
    }
    uint8_t scale[16];
    memcpy(scale, word, sizeof scale);
    for (int i = 0; i < 16; i++) {
        out->scale[i] = (int16_t)(scale[i] - 32);
        out->min[i] = 0;
    }
    out->d = ck_f16(b->d);
}

CK_INLINE void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q3_K *b = p;
    for (int i = 0; i < 256; i++) {
        int low = b->qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
        int third = b->hmask[i % 32] >> (i / 32) & 1;
        out->q[i] = (int8_t)(low + 4 * third - 4);
    }
    unpack_scales(b, out);
}

CK_PORTABLE_KERNELS_256(ck_block_q3_K, 0)

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    uint32_t a, b, c;
    memcpy(&a, block + 96, 4);
    memcpy(&b, block + 100, 4);
    memcpy(&c, block + 104, 4);
    __m128i low = _mm_setr_epi32((int)a, (int)b, (int)(a >> 4), (int)(b >> 4));
    __m128i high = _mm_setr_epi32((int)(c << 4), (int)(c << 2), (int)c, (int)(c >> 2));
    low = _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)), _mm_and_si128(high, _mm_set1_epi8(0x30)));
    low = _mm_sub_epi8(low, _mm_set1_epi8(32));
    _mm256_storeu_si256((__m256i *)scale, _mm256_cvtepi8_epi16(low));
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    __m256i third = ck_load256(block), bit = ck_bytes256(1);
    for (int i = 0; i < 8; i++) {
        __m256i low = ck_bit_pairs256(ck_load256(block + 32 + 32 * (i / 4)), i % 4 * 2);
        __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(third, bit), bit);
        q[i] = _mm256_or_si256(low, _mm256_and_si256(set, ck_bytes256(4)));
        bit = _mm256_add_epi8(bit, bit);
    }
}

#define CK2_BLOCK ck_block_q3_K
#define CK2_WIDTH 16
#define CK2_SIGNED 0
#define CK2_STEPS 4
#define CK2_OFFSET_SHIFT 2
#define CK2_D 108
#include "avx2_256.h"

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    // Two bytes early, since 16 bytes from the scales on would leave the block.
    __m512i x = ck_load_lanes(block[0] + 94, block[1] + 94, block[2] + 94, block[3] + 94);
    x = _mm512_bsrli_epi128(x, 2);
    const __m512i low_shift = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0, 4, 4));
    const __m512i high_shift = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 2, 4, 6));
    __m512i low = _mm512_srlv_epi32(_mm512_shuffle_epi32(x, (_MM_PERM_ENUM)0x44), low_shift);
    __m512i high = _mm512_srlv_epi32(_mm512_shuffle_epi32(x, (_MM_PERM_ENUM)0xaa), high_shift);
    high = _mm512_slli_epi32(_mm512_and_si512(high, ck_bytes512(3)), 4);
    return _mm512_sub_epi8(_mm512_or_si512(_mm512_and_si512(low, ck_bytes512(15)), high), ck_bytes512(32));
}

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    const __m512i x = _mm512_loadu_si512(block + 32), third = _mm512_broadcast_i64x4(ck_load256(block));
    for (int i = 0; i < 4; i++) {
        // The bits of groups i and i + 4.
        const __m512i bit = _mm512_mask_mov_epi8(ck_bytes512(16 << i), 0xffffffff, ck_bytes512(1 << i));
        q[i] = ck_shift_and(x, -2 * i, 3);
        q[i] = _mm512_mask_add_epi8(q[i], _mm512_test_epi8_mask(third, bit), q[i], ck_bytes512(4));
    }
}

#define CK_BLOCK ck_block_q3_K
#define CK_KIND CK_FLAT_NEGATED
#define CK_WIDTH 16
#define CK_OFFSET_SHIFT 2
#define CK_PIECES 0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15
#include "rows_avx512_256.h"

#define CK_STRIP_VECTORS 24
#define CK_STRIP_PIECE(I) ((I) == 0 ? 32 : 0)

// Bytes 128 - scale * w, between 0 and 252; w + 4 is at most 7, so no product |scale| * (w + 4) leaves its byte.
CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, int half, int group, int k) {
    const int g = 8 * half + 2 * group + k / 4;
    __m512i w = ck_shift_and(ck_strip_vector(strip, 8 * half + k), -2 * group, 3);
    w = _mm512_add_epi8(w, ck_shift_and(ck_strip_vector(strip, 16 + k), 2 - 4 * half - group, 4));
    w = _mm512_mullo_epi32(w, _mm512_load_si512(strip->scale[g]));
    w = _mm512_xor_si512(w, _mm512_load_si512(strip->extra[1][g]));
    return _mm512_add_epi8(w, _mm512_load_si512(strip->extra[0][g]));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        const uint8_t *p = block + 32 + i / 8 * 32 + i % 2 * 16;
        int8x16_t low = vreinterpretq_s8_u8(ck_bit_pairs_neon(p, i / 2 % 4 * 2));
        int8x16_t third = ck_bit_neon(vld1q_u8(block + i % 2 * 16), i / 2, 2);
        q[i] = vsubq_s8(vaddq_s8(low, third), vdupq_n_s8(4));
    }
}

#define CK_NEON_BLOCK ck_block_q3_K
#define CK_NEON_WIDTH 16
#define CK_NEON_HAS_MIN 0
#include "neon_256.h"
#endif

const ck_format_impl ck_impl_q3_K = {
    .format = {11, "Q3_K", 256, sizeof(ck_block_q3_K), CK_ACT_Q8_256},
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
