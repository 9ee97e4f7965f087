// Q1_0: 128 values of 1 bit and one scale.
#define CK_PARTS 4
#include "neon.h"
#include "parts.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack(const void *p, size_t part, ck_unpacked32 *out) {
    const ck_block_q1_0 *b = p;
    for (size_t i = 0; i < 32; i++) out->q[i] = (int8_t)(2 * (b->qs[4 * part + i / 8] >> (i % 8) & 1) - 1);
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS_32(ck_block_q1_0, CK_ONE_SCALE)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block, size_t part) {
    uint32_t bits;
    memcpy(&bits, block + 2 + 4 * part, sizeof bits);
    return _mm256_and_si256(ck_bits256(bits), ck_bytes256(2));
}

CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4], size_t part) {
    (void)part;
    return ck_load_4_halves(block, 0);
}

#define CK2_BLOCK ck_block_q1_0
#define CK2_SIGNED 0
#define CK2_STEPS 8
#define CK2_OFFSET_SHIFT 0
#include "avx2_32.h"

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i *low, __m512i *high) {
    // Sixteen bits of each part, then the other sixteen.
    const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m128i bits = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 2)), order);
    *low = _mm512_maskz_set1_epi8((__mmask64)_mm_cvtsi128_si64(bits), 2);
    *high = _mm512_maskz_set1_epi8((__mmask64)_mm_extract_epi64(bits, 1), 2);
}

CK_AVX512 CK_INLINE void row_scales(const uint8_t *const block[4], __m512 *d, __m512 *second) {
    *d = _mm512_broadcast_f32x4(ck_load_4_halves(block, 0));
    *second = *d;
}

#define CK_BLOCK ck_block_q1_0
#define CK_OFFSET_SHIFT 0
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset, size_t part) {
    (void)part;
    return ck_load_16_halves(block, offset);
}

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    ck_pack_dwords(row, 2, strip->q + at);
}

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, size_t b, int k) {
    // Byte c takes the eight bits from 4 k + c - 1 on: the bit it wants is its bit 1.
    const __m512i first = _mm512_add_epi8(_mm512_set1_epi64(0x2221201f020100ff), ck_bytes512(4 * k));
    __m512i bits = _mm512_multishift_epi64_epi8(first, ck_strip_vector(strip, (int)b));
    return _mm512_add_epi8(_mm512_and_si512(bits, ck_bytes512(2)), ck_bytes512(127));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_32.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, size_t part, int8x16_t q[2]) {
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    for (int i = 0; i < 2; i++) {
        const uint8_t *p = block + 2 + 4 * part + 2 * i;
        uint8x16_t set = vtstq_u8(vcombine_u8(vdup_n_u8(p[0]), vdup_n_u8(p[1])), vld1q_u8(bits));
        q[i] = vorrq_s8(vreinterpretq_s8_u8(vmvnq_u8(set)), vdupq_n_s8(1));
    }
}

#define CK_NEON_BLOCK ck_block_q1_0
#define CK_NEON_KIND CK_ONE_SCALE
#include "neon_32.h"
#endif

const ck_format_impl ck_impl_q1_0 = {
    .format = {41, "Q1_0", 128, sizeof(ck_block_q1_0), CK_ACT_Q8_32},
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
