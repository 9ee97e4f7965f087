// Q2_0: 64 values of 2 bits with offset 1 and one scale.
#define CK_PARTS 2
#include "neon.h"
#include "parts.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack(const void *p, size_t part, ck_unpacked32 *out) {
    const ck_block_q2_0 *b = p;
    for (size_t i = 0; i < 32; i++) out->q[i] = (int8_t)((b->qs[8 * part + i / 4] >> (i % 4 * 2) & 3) - 1);
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS_32(ck_block_q2_0, CK_ONE_SCALE)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block, size_t part) {
    // A byte per dword; then its pairs of bits at the beginning of each byte, among others.
    __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(block + 2 + 8 * part)));
    x = _mm256_or_si256(x, _mm256_slli_epi32(x, 12));
    x = _mm256_or_si256(x, _mm256_slli_epi32(x, 6));
    return _mm256_and_si256(x, ck_bytes256(3));
}

CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4], size_t part) {
    (void)part;
    return ck_load_4_halves(block, 0);
}

#define CK2_BLOCK ck_block_q2_0
#define CK2_SIGNED 0
#define CK2_STEPS 8
#define CK2_OFFSET_SHIFT 0
#include "avx2_32.h"

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i *low, __m512i *high) {
    // Eight dwords of sixteen values; of one of them both quadwords of a lane take half.
    __m256i both = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(block + 2)));
    both = _mm256_inserti128_si256(both, _mm_loadu_si128((const __m128i *)(block + 20)), 1);
    const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6);
    const __m512i bits = _mm512_broadcast_i32x4(_mm_set_epi64x(0x1e1c1a1816141210, 0x0e0c0a0806040200));
    __m512i x = _mm512_permutexvar_epi32(first, _mm512_castsi256_si512(both));
    *low = _mm512_and_si512(_mm512_multishift_epi64_epi8(bits, x), ck_bytes512(3));
    x = _mm512_permutexvar_epi32(_mm512_add_epi32(first, _mm512_set1_epi32(1)), _mm512_castsi256_si512(both));
    *high = _mm512_and_si512(_mm512_multishift_epi64_epi8(bits, x), ck_bytes512(3));
}

CK_AVX512 CK_INLINE void row_scales(const uint8_t *const block[4], __m512 *d, __m512 *second) {
    __m512 first = _mm512_broadcast_f32x4(ck_load_4_halves(block, 0));
    *d = _mm512_mask_broadcast_f32x4(first, 0xff00, ck_load_4_halves(block, sizeof(ck_block_q2_0)));
    *second = *d;
}

#define CK_BLOCK ck_block_q2_0
#define CK_OFFSET_SHIFT 0
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset, size_t part) {
    (void)part;
    return ck_load_16_halves(block, offset);
}

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    for (int i = 0; i < 2; i++) {
        ck_pack_dwords(row, 2 + (size_t)i * sizeof(ck_block_q2_0), strip->q + 2 * at + 4 * i);
    }
}

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, size_t b, int k) {
    const __m512i first = _mm512_add_epi8(_mm512_set1_epi64(0x2624222006040200), ck_bytes512(k % 4 * 8));
    __m512i bits = _mm512_multishift_epi64_epi8(first, ck_strip_vector(strip, (int)(2 * b) + k / 4));
    return _mm512_add_epi8(_mm512_and_si512(bits, ck_bytes512(3)), ck_bytes512(127));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_32.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, size_t part, int8x16_t q[2]) {
    static const int8_t shifts[16] = {0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6};
    static const uint8_t bytes[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    const uint8x16_t x = vcombine_u8(vld1_u8(block + 2 + 8 * part), vdup_n_u8(0));
    for (int i = 0; i < 2; i++) {
        uint8x16_t spread = vqtbl1q_u8(x, vaddq_u8(vld1q_u8(bytes), vdupq_n_u8((uint8_t)(4 * i))));
        spread = vandq_u8(vshlq_u8(spread, vld1q_s8(shifts)), vdupq_n_u8(3));
        q[i] = vsubq_s8(vreinterpretq_s8_u8(spread), vdupq_n_s8(1));
    }
}

#define CK_NEON_BLOCK ck_block_q2_0
#define CK_NEON_KIND CK_ONE_SCALE
#include "neon_32.h"
#endif

const ck_format_impl ck_impl_q2_0 = {
    .format = {42, "Q2_0", 64, sizeof(ck_block_q2_0), CK_ACT_Q8_32},
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
