// NVFP4: 64 E2M1 values of 4 bits; an UE4M3 scale per 16 values.
#define CK_PARTS 2
#include "neon.h"
#include "parts.h"
#include "portable.h"
#include "strip_avx512.h"

static const int8_t values[16] = {CK_E2M1_DOUBLED};

// Half of the scale, to go with the doubled values. The upper bit does not count; 0x7f, which would be a NaN, is 0 as in
// ggml.
CK_INLINE float scale(uint8_t x) {
    return x == 0x7f ? 0.0f : ck_float_from_bits((uint32_t)(x & 0x7f) << 20) * 0x1p119f;
}

CK_INLINE void unpack(const void *p, size_t part, ck_unpacked32 *out) {
    const ck_block_nvfp4 *b = p;
    for (size_t i = 0; i < 32; i++) {
        out->q[i] = values[b->qs[16 * part + i / 16 * 8 + i % 8] >> (i / 8 % 2 * 4) & 15];
    }
    out->d = scale(b->d[2 * part]);
    out->m = scale(b->d[2 * part + 1]);
}

CK_PORTABLE_KERNELS_32(ck_block_nvfp4, CK_TWO_SCALES)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block, size_t part) {
    __m256i x = ck_nibbles256(block + 4 + 16 * part);
    return ck_look_up256(_mm256_permute4x64_epi64(x, 0xd8), _mm_setr_epi8(CK_E2M1_DOUBLED));
}

// Scale `at` of four blocks.
CK_AVX2 CK_INLINE __m128 scales_at_avx2(const uint8_t *const block[4], size_t at) {
    __m128i x = _mm_setr_epi32(block[0][at], block[1][at], block[2][at], block[3][at]);
    __m128i bits = _mm_slli_epi32(_mm_and_si128(x, _mm_set1_epi32(0x7f)), 20);
    bits = _mm_andnot_si128(_mm_cmpeq_epi32(x, _mm_set1_epi32(0x7f)), bits);
    return _mm_mul_ps(_mm_castsi128_ps(bits), _mm_set1_ps(0x1p119f));
}

CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4], size_t part) {
    return scales_at_avx2(block, 2 * part);
}

CK_AVX2 CK_INLINE __m128 second_scales_avx2(const uint8_t *const block[4], size_t part) {
    return scales_at_avx2(block, 2 * part + 1);
}

#define CK2_BLOCK ck_block_nvfp4
#define CK2_SIGNED 1
#define CK2_STEPS 4
#define CK2_TWO_SCALES
#include "avx2_32.h"

CK_AVX512 CK_INLINE __m512i look_up(__m512i index, int offset) {
    const __m128i table = _mm_add_epi8(_mm_setr_epi8(CK_E2M1_DOUBLED), _mm_set1_epi8((char)offset));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), index);
}

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i *low, __m512i *high) {
    __m512i x = _mm512_castsi256_si512(ck_load256(block + 4));
    x = _mm512_inserti64x4(x, ck_load256(block + sizeof(ck_block_nvfp4) + 4), 1);
    __m512i first = ck_low_nibbles(x), second = ck_high_nibbles(x);
    *low = look_up(_mm512_unpacklo_epi64(first, second), 16);
    *high = look_up(_mm512_unpackhi_epi64(first, second), 16);
}

// Of the lowest byte of each dword.
CK_AVX512 CK_INLINE __m512 scales_512(__m512i x) {
    x = _mm512_and_si512(x, _mm512_set1_epi32(255));
    __mmask16 some = _mm512_cmpneq_epi32_mask(x, _mm512_set1_epi32(0x7f));
    __m512i bits = _mm512_maskz_slli_epi32(some, _mm512_and_si512(x, _mm512_set1_epi32(0x7f)), 20);
    return _mm512_mul_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(0x1p119f));
}

CK_AVX512 CK_INLINE void row_scales(const uint8_t *const block[4], __m512 *d, __m512 *second) {
    __m512i x = _mm512_broadcast_i32x4(ck_load_4_dwords(block, 0));
    x = _mm512_mask_broadcast_i32x4(x, 0xff00, ck_load_4_dwords(block, sizeof(ck_block_nvfp4)));
    // Every second lane is the second part of a block.
    x = _mm512_mask_srli_epi32(x, 0xf0f0, x, 16);
    *d = scales_512(x);
    *second = scales_512(_mm512_srli_epi32(x, 8));
}

#define CK_BLOCK ck_block_nvfp4
#define CK_OFFSET_SHIFT 4
#define CK_TWO_SCALES_512
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset, size_t part) {
    return scales_512(_mm512_srli_epi32(ck_load_16_dwords(block, offset), (unsigned)(16 * part)));
}

CK_AVX512 CK_INLINE __m512 second_scales(const uint8_t *const block[16], size_t offset, size_t part) {
    return scales_512(_mm512_srli_epi32(ck_load_16_dwords(block, offset), (unsigned)(16 * part + 8)));
}

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    ck_pack_halves(row, 4, sizeof(CK_BLOCK), strip->q + 4 * at);
}

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, size_t b, int k) {
    __m512i x = ck_strip_vector(strip, (int)(4 * b) + k / 4 * 2 + k % 2);
    return look_up(k / 2 % 2 ? ck_high_nibbles(x) : ck_low_nibbles(x), 128);
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_32.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, size_t part, int8x16_t q[2]) {
    const int8x16_t table = vld1q_s8(values);
    const uint8x16_t x = vld1q_u8(block + 4 + 16 * part);
    const uint64x2_t low = vreinterpretq_u64_u8(vandq_u8(x, vdupq_n_u8(15)));
    const uint64x2_t high = vreinterpretq_u64_u8(vshrq_n_u8(x, 4));
    q[0] = vqtbl1q_s8(table, vreinterpretq_u8_u64(vzip1q_u64(low, high)));
    q[1] = vqtbl1q_s8(table, vreinterpretq_u8_u64(vzip2q_u64(low, high)));
}

#define CK_NEON_BLOCK ck_block_nvfp4
#define CK_NEON_KIND CK_TWO_SCALES
#include "neon_32.h"
#endif

const ck_format_impl ck_impl_nvfp4 = {
    .format = {40, "NVFP4", 64, sizeof(ck_block_nvfp4), CK_ACT_Q8_32},
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
