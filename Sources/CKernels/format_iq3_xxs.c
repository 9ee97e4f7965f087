// IQ3_XXS: 256 values by fours from a codebook of 256; scale 2 s + 1 per 32 values.
#include "grid.h"

#define CK_GRID_BLOCK ck_block_iq3_xxs
#define CK_GRID_WIDTH 32
#define CK_GRID_FACTOR 0.25f
#define CK_GRID_CODES ck_codes_iq3_xxs
#define CK_GRID_LEVELS ck_levels_iq3_xxs
#define CK_GRID_COUNT CK_IQ3_XXS_COUNT
#define CK_GRID_LOOK_UP ck_codes_256
#define CK_GRID_VALUES 4
#define CK_GRID_NUMBERS 4, 12, 20, 28, 36, 44, 52, 62
#define CK_GRID_STEPS 2
#define CK_GRID_SHIFTED 0

CK_INLINE uint16_t half(const uint8_t *block) {
    uint16_t d;
    memcpy(&d, block, sizeof d);
    return d;
}

CK_INLINE void scales(const uint8_t *block, int16_t scale[16]) { ck_scales_above_signs(block + 66, 4, scale); }

CK_INLINE void split(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    for (int i = 0; i < 64; i++) index[i] = block[2 + i];
    for (int g = 0; g < 8; g++) ck_split_signs(block + 66 + 4 * g, sign + 4 * g);
}

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    ck_scales_above_signs_avx2(ck_load256(block + 66), scale);
}

CK_AVX2 CK_INLINE void split_avx2(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    for (int i = 0; i < 2; i++) ck_store_indices(index + 32 * i, ck_load256(block + 2 + 32 * i));
    ck_store256(sign, ck_split_signs_avx2(ck_load256(block + 66)));
}

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    // The upper half of each last byte.
    const __m256i last = _mm256_castsi128_si256(_mm_setr_epi8(3, 7, 11, 15, 19, 23, 27, 31, 0, 0, 0, 0, 0, 0, 0, 0));
    __m128i x[4];
    for (int r = 0; r < 4; r++) {
        x[r] = _mm256_castsi256_si128(_mm256_permutexvar_epi8(last, ck_load256(block[r] + 66)));
    }
    return ck_odd512(ck_high_nibbles(ck_load_lanes(&x[0], &x[1], &x[2], &x[3])));
}

CK_AVX512 CK_INLINE void split_avx512(const uint8_t *block, __m512i *index, __m256i *sign) {
    for (int i = 0; i < 2; i++) index[i] = _mm512_cvtepu8_epi16(ck_load256(block + 2 + 32 * i));
    *sign = ck_split_signs_avx512(_mm512_cvtepu32_epi64(ck_load256(block + 66)), 0);
}
#endif

#include "grid_256.h"

const ck_format_impl ck_impl_iq3_xxs = {
    .format = {18, "IQ3_XXS", 256, sizeof(CK_GRID_BLOCK), CK_ACT_Q8_256},
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
