// Q2_K: 256 values of 2 bits; 4-bit scale and 4-bit minimum per 16 values.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack_scales(const ck_block_q2_K *b, ck_unpacked256 *out) {
    for (int i = 0; i < 16; i++) {
        out->scale[i] = b->scales[i] & 15;
        out->min[i] = b->scales[i] >> 4;
    }
    out->d = ck_f16(b->d);
    out->dmin = ck_f16(b->dmin);
}

CK_INLINE void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q2_K *b = p;
    for (int i = 0; i < 256; i++) {
        out->q[i] = (int8_t)(b->qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3);
    }
    unpack_scales(b, out);
}

CK_PORTABLE_KERNELS_256(ck_block_q2_K, 1)

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)block), mask = _mm_set1_epi8(15);
    _mm256_storeu_si256((__m256i *)scale, _mm256_cvtepu8_epi16(_mm_and_si128(bytes, mask)));
    bytes = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
    _mm256_storeu_si256((__m256i *)min, _mm256_cvtepu8_epi16(bytes));
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    for (int i = 0; i < 8; i++) q[i] = ck_bit_pairs256(ck_load256(block + 16 + 32 * (i / 4)), i % 4 * 2);
}

#define CK2_BLOCK ck_block_q2_K
#define CK2_WIDTH 16
#define CK2_SIGNED 0
#define CK2_STEPS 4
#define CK2_D 80
#define CK2_DMIN 82
#include "avx2_256.h"

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    return ck_load_lanes(block[0], block[1], block[2], block[3]);
}

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    const __m512i x = _mm512_loadu_si512(block + 16);
    for (int i = 0; i < 4; i++) q[i] = ck_shift_and(x, -2 * i, 3);
}

#define CK_BLOCK ck_block_q2_K
#define CK_KIND CK_FLAT_MIN
#define CK_D 80
#define CK_DMIN 82
#define CK_WIDTH 16
#define CK_PIECES 0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15
#include "rows_avx512_256.h"

#define CK_STRIP_VECTORS 16
#define CK_STRIP_PIECE(I) (16)

// Bytes scale * w, at most 45: no product of dwords carries from one byte to the next.
CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, int half, int group, int k) {
    __m512i w = ck_shift_and(ck_strip_vector(strip, 8 * half + k), -2 * group, 3);
    return _mm512_mullo_epi32(w, _mm512_load_si512(strip->scale[8 * half + 2 * group + k / 4]));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        const uint8_t *p = block + 16 + i / 8 * 32 + i % 2 * 16;
        q[i] = vreinterpretq_s8_u8(ck_bit_pairs_neon(p, i / 2 % 4 * 2));
    }
}

#define CK_NEON_BLOCK ck_block_q2_K
#define CK_NEON_WIDTH 16
#define CK_NEON_HAS_MIN 1
#include "neon_256.h"
#endif

const ck_format_impl ck_impl_q2_K = {
    .format = {10, "Q2_K", 256, sizeof(ck_block_q2_K), CK_ACT_Q8_256},
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
