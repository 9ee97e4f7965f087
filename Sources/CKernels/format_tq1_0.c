// TQ1_0: 256 values -1, 0 or 1, five or four of them to a byte, and one scale.
//
// A byte is a fraction of 256 in base three: its first value is what stands before the point after a multiplication by
// three, the next one needs the rest times three, and so on.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack_scales(const ck_block_tq1_0 *b, ck_unpacked256 *out) {
    for (int i = 0; i < 16; i++) out->scale[i] = 1;
    memset(out->min, 0, sizeof out->min);
    out->d = ck_f16(b->d);
}

CK_INLINE void unpack(const void *p, ck_unpacked256 *out) {
    static const struct { int first, bytes, digits; } parts[3] = {{0, 32, 5}, {32, 16, 5}, {48, 4, 4}};
    const uint8_t *block = p;
    int8_t *q = out->q;
    for (int part = 0; part < 3; part++) {
        uint8_t rest[32];
        memcpy(rest, block + parts[part].first, (size_t)parts[part].bytes);
        for (int digit = 0; digit < parts[part].digits; digit++) {
            for (int i = 0; i < parts[part].bytes; i++) {
                *q++ = (int8_t)((rest[i] * 3 >> 8) - 1);
                rest[i] = (uint8_t)(rest[i] * 3);
            }
        }
    }
    unpack_scales(p, out);
}

CK_PORTABLE_KERNELS_256(ck_block_tq1_0, 0)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i three_times(__m256i x) { return _mm256_add_epi8(_mm256_add_epi8(x, x), x); }

// Bytes of which each is the rest that one value's digit is taken from, in the order of the columns.
CK_AVX2 CK_INLINE void rests_avx2(const uint8_t *block, __m256i q[8]) {
    q[0] = ck_load256(block);
    for (int i = 1; i < 5; i++) q[i] = three_times(q[i - 1]);
    // Sixteen bytes and the four; these become the last sixteen.
    __m256i x[5], last = _mm256_setzero_si256();
    x[0] = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(block + 32)));
    int32_t four;
    memcpy(&four, block + 48, sizeof four);
    x[0] = _mm256_inserti128_si256(x[0], _mm_cvtsi32_si128(four), 1);
    for (int i = 1; i < 5; i++) x[i] = three_times(x[i - 1]);
    q[5] = _mm256_permute2x128_si256(x[0], x[1], 0x20);
    q[6] = _mm256_permute2x128_si256(x[2], x[3], 0x20);
    last = _mm256_unpacklo_epi64(_mm256_unpacklo_epi32(x[0], x[1]), _mm256_unpacklo_epi32(x[2], x[3]));
    q[7] = _mm256_blend_epi32(x[4], last, 0xf0);
}

CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)block, (void)min;
    _mm256_storeu_si256((__m256i *)scale, _mm256_set1_epi16(1));
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    rests_avx2(block, q);
    for (int i = 0; i < 8; i++) {
        __m256i one = _mm256_cmpeq_epi8(_mm256_max_epu8(q[i], ck_bytes256(86)), q[i]);
        __m256i two = _mm256_cmpeq_epi8(_mm256_max_epu8(q[i], ck_bytes256(171)), q[i]);
        q[i] = _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(one, two));
    }
}

#define CK2_BLOCK ck_block_tq1_0
#define CK2_WIDTH 32
#define CK2_SIGNED 0
#define CK2_STEPS 8
#define CK2_OFFSET_SHIFT 0
#define CK2_D 52
#include "avx2_256.h"

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    __m256i rest[8];
    rests_avx2(block, rest);
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        __m512i x = _mm512_inserti64x4(_mm512_castsi256_si512(rest[2 * i]), rest[2 * i + 1], 1), one = ck_bytes512(1);
        q[i] = _mm512_mask_add_epi8(ck_bytes512(63), _mm512_cmpgt_epu8_mask(x, ck_bytes512(85)), ck_bytes512(63), one);
        q[i] = _mm512_mask_add_epi8(q[i], _mm512_cmpgt_epu8_mask(x, ck_bytes512(170)), q[i], one);
    }
}

#define CK_BLOCK ck_block_tq1_0
#define CK_KIND CK_UNSCALED
#define CK_WIDTH 32
#define CK_OFFSET_SHIFT 6
#define CK_PIECES 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#include "rows_avx512_256.h"

#define CK_DECODED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE int8x16_t digit_neon(uint8x16_t rest) {
    uint8x16_t one = vcgeq_u8(rest, vdupq_n_u8(86)), two = vcgeq_u8(rest, vdupq_n_u8(171));
    return vreinterpretq_s8_u8(vsubq_u8(vdupq_n_u8(255), vaddq_u8(one, two)));
}

CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
    const uint8x16_t three = vdupq_n_u8(3);
    uint8x16_t x[3] = {vld1q_u8(block), vld1q_u8(block + 16), vld1q_u8(block + 32)};
    uint32_t four;
    memcpy(&four, block + 48, sizeof four);
    uint8x16_t last = vreinterpretq_u8_u32(vdupq_n_u32(four));
    const uint8_t powers[16] = {1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27};
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; i++) {
        q[2 * i] = digit_neon(x[0]);
        q[2 * i + 1] = digit_neon(x[1]);
        q[10 + i] = digit_neon(x[2]);
        for (int k = 0; k < 3; k++) x[k] = vmulq_u8(x[k], three);
    }
    q[15] = digit_neon(vmulq_u8(last, vld1q_u8(powers)));
}

#define CK_NEON_BLOCK ck_block_tq1_0
#define CK_NEON_WIDTH 32
#define CK_NEON_HAS_MIN 0
#include "neon_256.h"
#endif

const ck_format_impl ck_impl_tq1_0 = {
    .format = {34, "TQ1_0", 256, sizeof(ck_block_tq1_0), CK_ACT_Q8_256},
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
