// IQ1_M: 256 values by eights from a codebook of 2048, each eight shifted by an eighth up or down; scale 2 s + 1
// per 16 values.
#include "grid.h"

#define CK_GRID_BLOCK ck_block_iq1_m
#define CK_GRID_WIDTH 16
#define CK_GRID_FACTOR 0.125f
#define CK_GRID_CODES ck_codes_iq1
#define CK_GRID_LEVELS ck_levels_iq1
#define CK_GRID_COUNT CK_IQ1_COUNT
#define CK_GRID_VALUES 8
#define CK_GRID_STEPS 4
#define CK_GRID_SHIFTED 1

CK_INLINE uint16_t half(const uint8_t *block) {
    uint16_t x[4];
    memcpy(x, block + 48, sizeof x);
    return (uint16_t)(x[0] >> 12 | (x[1] >> 8 & 0xf0) | (x[2] >> 4 & 0xf00) | (x[3] & 0xf000));
}

CK_INLINE void scales(const uint8_t *block, int16_t scale[16]) {
    uint16_t x[4];
    memcpy(x, block + 48, sizeof x);
    for (int i = 0; i < 16; i++) scale[i] = (int16_t)(2 * (x[i / 4] >> (i % 4 * 3) & 7) + 1);
}

CK_INLINE void split(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    for (int i = 0; i < 32; i++) {
        const int upper = block[32 + i / 2] >> (i % 2 * 4);
        index[i] = (uint16_t)(block[i] | (upper & 7) << 8);
        sign[i] = upper & 8 ? 255 : 0;
    }
}

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    // Three bits of each of four equal words, multiplied to bits 9…11.
    const __m256i place = _mm256_set1_epi64x(0x0001000800400200);
    __m256i x = _mm256_cvtepu16_epi64(ck_load64(block + 48));
    x = _mm256_mullo_epi16(_mm256_shufflehi_epi16(_mm256_shufflelo_epi16(x, 0), 0), place);
    x = _mm256_and_si256(_mm256_srli_epi16(x, 8), _mm256_set1_epi16(14));
    ck_store256(scale, _mm256_or_si256(x, _mm256_set1_epi16(1)));
}

// A half byte for each index, in words.
CK_AVX2 CK_INLINE void split_avx2(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    const __m128i halves = ck_load128(block + 32);
    const __m128i low = _mm_and_si128(halves, _mm_set1_epi8(15));
    const __m128i high = _mm_and_si128(_mm_srli_epi16(halves, 4), _mm_set1_epi8(15));
    const __m128i half_bytes[2] = {_mm_unpacklo_epi8(low, high), _mm_unpackhi_epi8(low, high)};
    for (int i = 0; i < 2; i++) {
        __m256i upper = _mm256_slli_epi16(_mm256_cvtepu8_epi16(half_bytes[i]), 8);
        upper = _mm256_and_si256(upper, _mm256_set1_epi16(0x700));
        ck_store256(index + 16 * i, _mm256_or_si256(upper, _mm256_cvtepu8_epi16(ck_load128(block + 16 * i))));
        _mm_storeu_si128((__m128i *)(sign + 16 * i), _mm_cmpgt_epi8(half_bytes[i], _mm_set1_epi8(7)));
    }
}

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    __m512i x = ck_load_last(block, 48, 8);
    x = _mm512_unpacklo_epi64(x, x);
    const __m512i first =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 6, 9, 16, 19, 22, 25, 32, 35, 38, 41, 48, 51, 54, 57));
    return ck_odd512(_mm512_and_si512(_mm512_multishift_epi64_epi8(first, x), ck_bytes512(7)));
}

CK_AVX512 CK_INLINE void split_avx512(const uint8_t *block, __m512i *index, __m256i *sign) {
    const __m128i halves = ck_load128(block + 32);
    // Each word: the byte at its lower half, moved up by eight bits and by four.
    const __m512i twice = _mm512_cvtepu8_epi32(halves);
    __m512i upper = _mm512_or_si512(_mm512_slli_epi32(twice, 8), _mm512_slli_epi32(twice, 20));
    upper = _mm512_and_si512(upper, _mm512_set1_epi16(0xf00));
    *index = _mm512_or_si512(_mm512_and_si512(upper, _mm512_set1_epi16(0x700)),
                             _mm512_cvtepu8_epi16(ck_load256(block)));
    *sign = _mm512_cvtepi16_epi8(_mm512_srai_epi16(_mm512_slli_epi16(upper, 4), 15));
}
#endif

#include "grid_256.h"

const ck_format_impl ck_impl_iq1_m = {
    .format = {29, "IQ1_M", 256, sizeof(CK_GRID_BLOCK), CK_ACT_Q8_256},
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
