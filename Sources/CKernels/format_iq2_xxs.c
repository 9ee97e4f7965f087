// IQ2_XXS: 256 values by eights from a codebook of 256; scale 2 s + 1 per 32 values.
#include "grid.h"

#define CK_GRID_BLOCK ck_block_iq2_xxs
#define CK_GRID_WIDTH 32
#define CK_GRID_FACTOR 0.125f
#define CK_GRID_CODES ck_codes_iq2_xxs
#define CK_GRID_LEVELS ck_levels_iq2_xxs
#define CK_GRID_COUNT CK_IQ2_XXS_COUNT
#define CK_GRID_LOOK_UP ck_codes_256
#define CK_GRID_VALUES 8
#define CK_GRID_NUMBERS 8, 25, 43, 0
#define CK_GRID_STEPS 2
#define CK_GRID_SHIFTED 0

CK_INLINE uint16_t half(const uint8_t *block) {
    uint16_t d;
    memcpy(&d, block, sizeof d);
    return d;
}

CK_INLINE void scales(const uint8_t *block, int16_t scale[16]) { ck_scales_above_signs(block + 6, 8, scale); }

CK_INLINE void split(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    for (int g = 0; g < 8; g++) {
        const uint8_t *p = block + 2 + 8 * g;
        for (int i = 0; i < 4; i++) index[4 * g + i] = p[i];
        ck_split_signs(p + 4, sign + 4 * g);
    }
}

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i words_avx2(const uint8_t *block, int second) {
    return ck_every_second(ck_load256(block + 2), ck_load256(block + 34), second);
}

CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    ck_scales_above_signs_avx2(words_avx2(block, 1), scale);
}

CK_AVX2 CK_INLINE void split_avx2(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    ck_store_indices(index, words_avx2(block, 0));
    ck_store256(sign, ck_split_signs_avx2(words_avx2(block, 1)));
}

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    // The upper half of each last byte.
    const __m512i last = _mm512_castsi128_si512(_mm_setr_epi8(7, 15, 23, 31, 39, 47, 55, 63, 0, 0, 0, 0, 0, 0, 0, 0));
    __m128i x[4];
    for (int r = 0; r < 4; r++) {
        x[r] = _mm512_castsi512_si128(_mm512_permutexvar_epi8(last, _mm512_loadu_si512(block[r] + 2)));
    }
    return ck_odd512(ck_high_nibbles(ck_load_lanes(&x[0], &x[1], &x[2], &x[3])));
}

CK_AVX512 CK_INLINE void split_avx512(const uint8_t *block, __m512i *index, __m256i *sign) {
    __m512i x = _mm512_loadu_si512(block + 2);
    *index = _mm512_cvtepu8_epi16(_mm512_cvtepi64_epi32(x));
    *sign = ck_split_signs_avx512(x, 32);
}
#endif

#include "grid_256.h"

const ck_format_impl ck_impl_iq2_xxs = {
    .format = {16, "IQ2_XXS", 256, sizeof(CK_GRID_BLOCK), CK_ACT_Q8_256},
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
