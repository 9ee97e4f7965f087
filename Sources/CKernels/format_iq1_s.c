// IQ1_S: 256 values by eights from a codebook of 2048, all of 32 shifted by an eighth up or down; scale 2 s + 1
// per 32 values.
#include "grid.h"

#define CK_GRID_BLOCK ck_block_iq1_s
#define CK_GRID_WIDTH 32
#define CK_GRID_FACTOR 0.125f
#define CK_GRID_CODES ck_codes_iq1
#define CK_GRID_LEVELS ck_levels_iq1
#define CK_GRID_COUNT CK_IQ1_COUNT
#define CK_GRID_VALUES 8
#define CK_GRID_STEPS 8
#define CK_GRID_SHIFTED 1

CK_INLINE uint16_t half(const uint8_t *block) {
    uint16_t d;
    memcpy(&d, block, sizeof d);
    return d;
}

CK_INLINE void scales(const uint8_t *block, int16_t scale[16]) {
    for (int i = 0; i < 16; i++) scale[i] = (int16_t)(2 * (block[35 + i / 2 * 2] >> 4 & 7) + 1);
}

CK_INLINE void split(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    for (int i = 0; i < 32; i++) {
        uint16_t upper;
        memcpy(&upper, block + 34 + i / 4 * 2, sizeof upper);
        index[i] = (uint16_t)(block[2 + i] | (upper >> (i % 4 * 3) & 7) << 8);
        sign[i] = upper >> 15 ? 255 : 0;
    }
}

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    __m128i x = _mm_and_si128(_mm_srli_epi16(ck_load128(block + 34), 11), _mm_set1_epi16(14));
    ck_store_twice(_mm_or_si128(x, _mm_set1_epi16(1)), scale);
}

CK_AVX2 CK_INLINE void split_avx2(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    // Three bits of each of four equal words, multiplied to bits 9…11.
    const __m256i place = _mm256_set1_epi64x(0x0001000800400200), three = _mm256_set1_epi16(0x700);
    const __m128i upper = ck_load128(block + 34);
    for (int i = 0; i < 2; i++) {
        __m256i words = _mm256_cvtepu16_epi64(i ? _mm_srli_si128(upper, 8) : upper);
        words = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0), 0);
        words = _mm256_and_si256(_mm256_srli_epi16(_mm256_mullo_epi16(words, place), 1), three);
        ck_store256(index + 16 * i, _mm256_or_si256(words, _mm256_cvtepu8_epi16(ck_load128(block + 2 + 16 * i))));
    }
    const __m128i negative = _mm_srai_epi16(upper, 15);
    ck_store256(sign, _mm256_cvtepi16_epi32(negative));
}

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    const uint8_t *const *p = block;
    __m512i x = ck_load_lanes(p[0] + 34, p[1] + 34, p[2] + 34, p[3] + 34);
    x = _mm512_and_si512(_mm512_srli_epi16(x, 12), _mm512_set1_epi16(7));
    return ck_odd512(_mm512_packus_epi16(x, x));
}

CK_AVX512 CK_INLINE void split_avx512(const uint8_t *block, __m512i *index, __m256i *sign) {
    const __m128i words = ck_load128(block + 34);
    __m512i upper = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x0900060003000000), _mm512_cvtepu16_epi64(words));
    upper = _mm512_and_si512(upper, _mm512_set1_epi16(0x700));
    *index = _mm512_or_si512(upper, _mm512_cvtepu8_epi16(ck_load256(block + 2)));
    *sign = _mm256_cvtepi16_epi32(_mm_srai_epi16(words, 15));
}
#endif

#include "grid_256.h"

const ck_format_impl ck_impl_iq1_s = {
    .format = {19, "IQ1_S", 256, sizeof(CK_GRID_BLOCK), CK_ACT_Q8_256},
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
