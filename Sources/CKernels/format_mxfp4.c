// MXFP4: 32 E2M1 values of 4 bits and one power-of-two scale (Open Compute MX specification 1.0).
#include "portable.h"
#include "strip_avx512.h"

#define CK_TABLE_BLOCK ck_block_mxfp4
#define CK_TABLE_VALUES CK_E2M1_DOUBLED

CK_INLINE float scale(const ck_block_mxfp4 *b) { return ck_e8m0_half(b->e); }

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4]) {
    return _mm_setr_ps(ck_e8m0_half(block[0][0]), ck_e8m0_half(block[1][0]), ck_e8m0_half(block[2][0]),
                       ck_e8m0_half(block[3][0]));
}

// As ck_e8m0_half, of the lowest byte of each dword.
CK_AVX512 CK_INLINE __m512 head_scales(__m512i heads) {
    __m512i e = _mm512_and_si512(heads, _mm512_set1_epi32(255));
    __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), e);
    __mmask16 small = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
    return _mm512_castsi512_ps(_mm512_mask_blend_epi32(small, normal, subnormal));
}

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset) {
    int32_t word[4];
    for (int i = 0; i < 4; i++) {
        const uint8_t *const *p = block + 4 * i;
        word[i] = (int32_t)(p[0][offset] | (uint32_t)p[1][offset] << 8 | (uint32_t)p[2][offset] << 16 |
                            (uint32_t)p[3][offset] << 24);
    }
    return head_scales(_mm512_cvtepu8_epi32(_mm_setr_epi32(word[0], word[1], word[2], word[3])));
}
#endif

#include "table_32.h"

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
            [CK_ISA_I8MM] = matmul_i8mm,
#endif
        },
};
