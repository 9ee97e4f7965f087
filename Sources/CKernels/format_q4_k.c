// Q4_K: 256 values of 4 bits; 6-bit scale and 6-bit minimum per 32 values.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack_scales(const ck_block_q4_K *b, ck_unpacked256 *out) {
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
    const ck_block_q4_K *b = p;
    for (int i = 0; i < 256; i++) out->q[i] = (int8_t)(b->qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15);
    unpack_scales(b, out);
}

CK_PORTABLE_KERNELS_256(ck_block_q4_K, 1)

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    __m128i words = ck_scales_k4_256(block + 4), low = _mm_cvtepu8_epi16(words);
    __m128i high = _mm_cvtepu8_epi16(_mm_srli_si128(words, 8));
    ck_store_twice(low, scale);
    ck_store_twice(high, min);
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    for (int i = 0; i < 4; i++) {
        __m256i x = ck_load256(block + 16 + 32 * i);
        q[2 * i] = _mm256_and_si256(x, ck_bytes256(15));
        q[2 * i + 1] = _mm256_and_si256(_mm256_srli_epi16(x, 4), ck_bytes256(15));
    }
}

#define CK2_BLOCK ck_block_q4_K
#define CK2_WIDTH 32
#define CK2_SIGNED 0
#define CK2_STEPS 8
#define CK2_D 0
#define CK2_DMIN 2
#include "avx2_256.h"

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    return ck_scales_k4(ck_load_lanes(block[0] + 4, block[1] + 4, block[2] + 4, block[3] + 4));
}

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    for (int half = 0; half < 2; half++) {
        __m512i x = _mm512_loadu_si512(block + 16 + 64 * half);
        q[2 * half] = ck_low_nibbles(x);
        q[2 * half + 1] = ck_high_nibbles(x);
    }
}

#define CK_BLOCK ck_block_q4_K
#define CK_KIND CK_SCALED_MIN
#define CK_D 0
#define CK_DMIN 2
#define CK_WIDTH 32
#define CK_PIECES 0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15
#include "rows_avx512_256.h"

#define CK_STRIP_VECTORS 32
#define CK_STRIP_PIECE(I) ((I) == 0 ? 16 : 80)

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, int half, int group, int k) {
    __m512i x = ck_strip_vector(strip, 16 * half + group / 2 * 8 + k);
    return group % 2 ? ck_high_nibbles(x) : ck_low_nibbles(x);
}

#define CK_PACKED_TOKENS CK_ALWAYS_PACKED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) q[i] = ck_nibble_neon(block + 16 + i / 4 * 32 + i % 2 * 16, i / 2 % 2);
}

#define CK_NEON_BLOCK ck_block_q4_K
#define CK_NEON_WIDTH 32
#define CK_NEON_HAS_MIN 1
#include "neon_256.h"
#endif

const ck_format_impl ck_impl_q4_K = {
    .format = {12, "Q4_K", 256, sizeof(ck_block_q4_K), CK_ACT_Q8_256},
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
