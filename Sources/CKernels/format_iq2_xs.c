// IQ2_XS: 256 values by eights from a codebook of 512; scale 2 s + 1 per 16 values.
#include "grid.h"

#define CK_GRID_BLOCK ck_block_iq2_xs
#define CK_GRID_WIDTH 16
#define CK_GRID_FACTOR 0.125f
#define CK_GRID_CODES ck_codes_iq2_xs
#define CK_GRID_LEVELS ck_levels_iq2_xs
#define CK_GRID_COUNT CK_IQ2_XS_COUNT
#define CK_GRID_LOOK_UP ck_codes_512
#define CK_GRID_VALUES 8
#define CK_GRID_NUMBERS 8, 25, 43, 0
#define CK_GRID_STEPS 2
#define CK_GRID_SHIFTED 0

CK_INLINE uint16_t half(const uint8_t *block) {
    uint16_t d;
    memcpy(&d, block, sizeof d);
    return d;
}

CK_INLINE void scales(const uint8_t *block, int16_t scale[16]) { ck_sixteen_scales(block + 66, scale); }

CK_INLINE void split(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    for (int i = 0; i < 32; i++) {
        uint16_t both;
        memcpy(&both, block + 2 + 2 * i, sizeof both);
        index[i] = both & 511;
        sign[i] = ck_even_signs[both >> 9];
    }
}

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    ck_sixteen_scales_avx2(block + 66, scale);
}

CK_AVX2 CK_INLINE void split_avx2(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    const __m128i odd = _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
    __m256i low = ck_load256(block + 2), high = ck_load256(block + 34);
    ck_store256(index, _mm256_and_si256(low, _mm256_set1_epi16(511)));
    ck_store256(index + 16, _mm256_and_si256(high, _mm256_set1_epi16(511)));
    __m256i x = _mm256_packus_epi16(_mm256_srli_epi16(low, 9), _mm256_srli_epi16(high, 9));
    x = _mm256_permute4x64_epi64(x, 0xd8);
    __m256i folded = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srli_epi16(x, 4)), ck_bytes256(15));
    ck_store256(sign, _mm256_or_si256(x, ck_look_up256(folded, odd)));
}

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    return ck_halves_in_turn512(ck_load_last(block, 66, 8));
}

CK_AVX512 CK_INLINE void split_avx512(const uint8_t *block, __m512i *index, __m256i *sign) {
    __m512i x = _mm512_loadu_si512(block + 2);
    *index = _mm512_and_si512(x, _mm512_set1_epi16(511));
    __m512i seven = _mm512_castsi256_si512(_mm512_cvtepi16_epi8(_mm512_srli_epi16(x, 9)));
    *sign = _mm512_castsi512_si256(_mm512_permutex2var_epi8(_mm512_load_si512(ck_even_signs), seven,
                                                            _mm512_load_si512(ck_even_signs + 64)));
}
#endif

#include "grid_256.h"

const ck_format_impl ck_impl_iq2_xs = {
    .format = {17, "IQ2_XS", 256, sizeof(CK_GRID_BLOCK), CK_ACT_Q8_256},
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
