// IQ2_S: 256 values by eights from a codebook of 1024; scale 2 s + 1 per 16 values.
#include "grid.h"

#define CK_GRID_BLOCK ck_block_iq2_s
#define CK_GRID_WIDTH 16
#define CK_GRID_FACTOR 0.125f
#define CK_GRID_CODES ck_codes_iq2_s
#define CK_GRID_LEVELS ck_levels_iq2_s
#define CK_GRID_COUNT CK_IQ2_S_COUNT
#define CK_GRID_VALUES 8
#define CK_GRID_STEPS 2
#define CK_GRID_SHIFTED 0

CK_INLINE uint16_t half(const uint8_t *block) {
    uint16_t d;
    memcpy(&d, block, sizeof d);
    return d;
}

CK_INLINE void scales(const uint8_t *block, int16_t scale[16]) { ck_sixteen_scales(block + 74, scale); }

CK_INLINE void split(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    for (int i = 0; i < 32; i++) index[i] = (uint16_t)(block[2 + i] | (block[66 + i / 4] >> (i % 4 * 2) & 3) << 8);
    memcpy(sign, block + 34, 32);
}

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    ck_sixteen_scales_avx2(block + 74, scale);
}

CK_AVX2 CK_INLINE void split_avx2(const uint8_t *block, uint16_t *index, uint8_t sign[32]) {
    // A byte of upper bits in each of four words, every word multiplied so that its pair arrives at bits 8 and 9.
    const __m256i place = _mm256_set1_epi64x(0x0004001000400100);
    for (int i = 0; i < 2; i++) {
        int32_t four;
        memcpy(&four, block + 66 + 4 * i, sizeof four);
        __m256i upper = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
        const __m128i spread = _mm_set_epi64x((long long)0x8008800880088008, (long long)0x8000800080008000);
        upper = _mm256_shuffle_epi8(upper, _mm256_broadcastsi128_si256(spread));
        upper = _mm256_and_si256(_mm256_mullo_epi16(upper, place), _mm256_set1_epi16(0x300));
        ck_store256(index + 16 * i, _mm256_or_si256(upper, _mm256_cvtepu8_epi16(ck_load128(block + 2 + 16 * i))));
    }
    memcpy(sign, block + 34, 32);
}

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    return ck_halves_in_turn512(ck_load_last(block, 74, 8));
}

CK_AVX512 CK_INLINE void split_avx512(const uint8_t *block, __m512i *index, __m256i *sign) {
    // The upper byte of word i takes bits 2 i and 2 i + 1.
    __m512i upper = _mm512_cvtepu8_epi64(ck_load64(block + 66));
    upper = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x0600040002000000), upper);
    upper = _mm512_and_si512(upper, _mm512_set1_epi16(0x300));
    *index = _mm512_or_si512(upper, _mm512_cvtepu8_epi16(ck_load256(block + 2)));
    *sign = ck_load256(block + 34);
}
#endif

#include "grid_256.h"

const ck_format_impl ck_impl_iq2_s = {
    .format = {22, "IQ2_S", 256, sizeof(CK_GRID_BLOCK), CK_ACT_Q8_256},
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
