// IQ3_S: 256 values by fours from a codebook of 512; scale 2 s + 1 per 32 values.
#include "grid.h"

#define CK_GRID_BLOCK ck_block_iq3_s
#define CK_GRID_WIDTH 32
#define CK_GRID_FACTOR 1.0f
#define CK_GRID_CODES ck_codes_iq3_s
#define CK_GRID_LEVELS ck_levels_iq3_s
#define CK_GRID_COUNT CK_IQ3_S_COUNT
#define CK_GRID_LOOK_UP ck_codes_512
#define CK_GRID_VALUES 4
#define CK_GRID_NUMBERS 1, 3, 5, 7, 9, 11, 13, 15
#define CK_GRID_STEPS 8
#define CK_GRID_SHIFTED 0

CK_INLINE uint16_t half(const uint8_t *block) {
    uint16_t d;
    memcpy(&d, block, sizeof d);
    return d;
}

CK_INLINE void scales(const uint8_t *block, int16_t scale[16]) { ck_eight_scales(block + 106, scale); }

CK_INLINE void split(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    for (int i = 0; i < 64; i++) index[i] = (uint16_t)(block[2 + i] | (block[66 + i / 8] >> (i % 8) & 1) << 8);
    memcpy(sign, block + 74, 32);
}

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    ck_eight_scales_avx2(block + 106, scale);
}

CK_AVX2 CK_INLINE void split_avx2(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    const __m256i ninth = _mm256_set1_epi16(256);
    for (int i = 0; i < 2; i++) {
        uint32_t bits;
        memcpy(&bits, block + 66 + 4 * i, sizeof bits);
        __m256i set = ck_bits256(bits);
        __m256i low = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(set));
        __m256i high = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(set, 1));
        const uint8_t *p = block + 2 + 32 * i;
        low = _mm256_or_si256(_mm256_and_si256(low, ninth), _mm256_cvtepu8_epi16(ck_load128(p)));
        high = _mm256_or_si256(_mm256_and_si256(high, ninth), _mm256_cvtepu8_epi16(ck_load128(p + 16)));
        ck_store256(index + 32 * i, low);
        ck_store256(index + 32 * i + 16, high);
    }
    memcpy(sign, block + 74, 32);
}

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    return ck_halves_in_turn512(ck_load_last(block, 106, 4));
}

CK_AVX512 CK_INLINE void split_avx512(const uint8_t *block, __m512i *index, __m256i *sign) {
    for (int i = 0; i < 2; i++) {
        uint32_t ninth;
        memcpy(&ninth, block + 66 + 4 * i, sizeof ninth);
        index[i] = _mm512_cvtepu8_epi16(ck_load256(block + 2 + 32 * i));
        index[i] = _mm512_mask_add_epi16(index[i], ninth, index[i], _mm512_set1_epi16(256));
    }
    *sign = ck_load256(block + 74);
}
#endif

#include "grid_256.h"

const ck_format_impl ck_impl_iq3_s = {
    .format = {21, "IQ3_S", 256, sizeof(CK_GRID_BLOCK), CK_ACT_Q8_256},
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
