// MXFP4: 32 E2M1 values of 4 bits and one power-of-two scale (Open Compute MX specification 1.0).
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

static const int8_t values[16] = {CK_E2M1_DOUBLED};

CK_INLINE void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_mxfp4 *b = p;
    for (int i = 0; i < 16; i++) {
        out->q[i] = values[b->qs[i] & 15];
        out->q[i + 16] = values[b->qs[i] >> 4];
    }
    out->d = ck_e8m0_half(b->e);
}

CK_PORTABLE_KERNELS(32, ck_block_mxfp4, 0)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block) {
    return ck_look_up256(ck_nibbles256(block + 1), _mm_setr_epi8(CK_E2M1_DOUBLED));
}

CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4]) {
    return _mm_setr_ps(ck_e8m0_half(block[0][0]), ck_e8m0_half(block[1][0]), ck_e8m0_half(block[2][0]),
                       ck_e8m0_half(block[3][0]));
}

#define CK2_BLOCK ck_block_mxfp4
#define CK2_SIGNED 1
#define CK2_STEPS 1
#include "avx2_32.h"

CK_AVX512 CK_INLINE __m512i look_up(__m512i index) {
    const __m128i table = _mm_xor_si128(_mm_setr_epi8(CK_E2M1_DOUBLED), _mm_set1_epi8((char)128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), index);
}

CK_AVX512 CK_INLINE void decode(const uint8_t *p, __m512i *low, __m512i *high) {
    __m512i x = ck_load_lanes(p + 1, p + 18, p + 35, p + 52);
    *low = look_up(ck_low_nibbles(x));
    *high = look_up(ck_high_nibbles(x));
}

// As ck_e8m0_half.
CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset) {
    int32_t word[4];
    for (int i = 0; i < 4; i++) {
        const uint8_t *const *p = block + 4 * i;
        word[i] = (int32_t)(p[0][offset] | (uint32_t)p[1][offset] << 8 | (uint32_t)p[2][offset] << 16 |
                            (uint32_t)p[3][offset] << 24);
    }
    __m128i x = _mm_setr_epi32(word[0], word[1], word[2], word[3]);
    __m512i e = _mm512_cvtepu8_epi32(x);
    __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), e);
    __mmask16 small = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
    return _mm512_castsi512_ps(_mm512_mask_blend_epi32(small, normal, subnormal));
}

#define CK_BLOCK ck_block_mxfp4
#define CK_OFFSET_SHIFT 7
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    ck_pack_pieces(row, 1, sizeof(CK_BLOCK), strip->q + 4 * at);
}

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, size_t b, int k) {
    __m512i x = ck_strip_vector(strip, (int)(4 * b) + k % 4);
    return look_up(k / 4 ? ck_high_nibbles(x) : ck_low_nibbles(x));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_32.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[2]) {
    const int8x16_t table = vld1q_s8(values);
    for (int i = 0; i < 2; i++) {
        q[i] = vqtbl1q_s8(table, vreinterpretq_u8_s8(ck_nibble_neon(block + 1, i)));
    }
}

#define CK_NEON_BLOCK ck_block_mxfp4
#define CK_NEON_HAS_MIN 0
#include "neon_32.h"
#endif

const ck_format_impl ck_impl_mxfp4 = {
    .format = {39, "MXFP4", 32, sizeof(ck_block_mxfp4), CK_ACT_Q8_32},
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
#endif
        },
};
