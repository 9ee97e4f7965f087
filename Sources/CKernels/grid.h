// Helpers of the grid formats.
#ifndef CK_GRID_H
#define CK_GRID_H

#include "grids.h"
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

// Four times seven signs in the lower 28 bits of a word.
CK_INLINE void ck_split_signs(const uint8_t *word, uint8_t sign[4]) {
    uint32_t bits;
    memcpy(&bits, word, sizeof bits);
    for (int i = 0; i < 4; i++) sign[i] = ck_even_signs[bits >> (7 * i) & 127];
}

// Scales 2 s + 1 of sixteen groups from half bytes, and of eight, each for two groups.
CK_INLINE void ck_sixteen_scales(const uint8_t *p, int16_t scale[16]) {
    for (int i = 0; i < 16; i++) scale[i] = (int16_t)(2 * (p[i / 2] >> (i % 2 * 4) & 15) + 1);
}
CK_INLINE void ck_eight_scales(const uint8_t *p, int16_t scale[16]) {
    for (int i = 0; i < 16; i++) scale[i] = (int16_t)(2 * (p[i / 4] >> (i / 2 % 2 * 4) & 15) + 1);
}
// The same where they stand in the upper four bits of eight words, `stride` bytes apart.
CK_INLINE void ck_scales_above_signs(const uint8_t *word, size_t stride, int16_t scale[16]) {
    for (size_t i = 0; i < 16; i++) scale[i] = (int16_t)(2 * (word[i / 2 * stride + 3] >> 4) + 1);
}

#if defined(CK_X86)
CK_INLINE int32_t ck_four_bytes(int a, int b, int c, int d) {
    return (int32_t)((uint32_t)a | (uint32_t)b << 8 | (uint32_t)c << 16 | (uint32_t)d << 24);
}
CK_INLINE int64_t ck_eight_bytes(int a, int b, int c, int d, int e, int f, int g, int h) {
    return (int64_t)((uint64_t)(uint32_t)ck_four_bytes(e, f, g, h) << 32 | (uint32_t)ck_four_bytes(a, b, c, d));
}

CK_AVX2 CK_INLINE __m128i ck_load128(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
CK_AVX2 CK_INLINE __m128i ck_load64(const void *p) { return _mm_loadl_epi64((const __m128i *)p); }
CK_AVX2 CK_INLINE void ck_store256(void *p, __m256i x) { _mm256_storeu_si256((__m256i *)p, x); }

// Eight bytes of eight low and eight high halves, in turn.
CK_AVX2 CK_INLINE __m128i ck_halves_in_turn(__m128i x) {
    const __m128i mask = _mm_set1_epi8(15);
    return _mm_unpacklo_epi8(_mm_and_si128(x, mask), _mm_and_si128(_mm_srli_epi16(x, 4), mask));
}

// 2 x + 1, of bytes.
CK_AVX2 CK_INLINE __m128i ck_odd(__m128i x) { return _mm_or_si128(_mm_add_epi8(x, x), _mm_set1_epi8(1)); }

CK_AVX2 CK_INLINE void ck_sixteen_scales_avx2(const uint8_t *p, int16_t scale[16]) {
    ck_store256(scale, _mm256_cvtepu8_epi16(ck_odd(ck_halves_in_turn(ck_load64(p)))));
}
CK_AVX2 CK_INLINE void ck_eight_scales_avx2(const uint8_t *p, int16_t scale[16]) {
    int32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    ck_store_twice(_mm_cvtepu8_epi16(ck_odd(ck_halves_in_turn(_mm_cvtsi32_si128(bytes)))), scale);
}
CK_AVX2 CK_INLINE void ck_scales_above_signs_avx2(__m256i words, int16_t scale[16]) {
    __m256i x = _mm256_or_si256(_mm256_slli_epi32(_mm256_srli_epi32(words, 28), 1), _mm256_set1_epi32(1));
    ck_store_twice(_mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)), scale);
}

// Every second word of two vectors: of each pair the first or the second.
CK_AVX2 CK_INLINE __m256i ck_every_second(__m256i a, __m256i b, int second) {
    __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
    __m256 words = second ? _mm256_shuffle_ps(x, y, 0xdd) : _mm256_shuffle_ps(x, y, 0x88);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(words), 0xd8);
}

// Four times seven signs in each word become four bytes of eight.
CK_AVX2 CK_INLINE __m256i ck_split_signs_avx2(__m256i words) {
    __m256i x = _mm256_and_si256(words, _mm256_set1_epi32(0x7f));
    x = _mm256_or_si256(x, _mm256_and_si256(_mm256_slli_epi32(words, 1), _mm256_set1_epi32(0x7f00)));
    x = _mm256_or_si256(x, _mm256_and_si256(_mm256_slli_epi32(words, 2), _mm256_set1_epi32(0x7f0000)));
    x = _mm256_or_si256(x, _mm256_and_si256(_mm256_slli_epi32(words, 3), _mm256_set1_epi32(0x7f000000)));
    // Whether four bits hold an odd number of ones.
    const __m128i odd = _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
    __m256i half = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srli_epi16(x, 4)), ck_bytes256(15));
    return _mm256_or_si256(x, ck_look_up256(half, odd));
}

CK_AVX2 CK_INLINE void ck_store_indices(uint16_t *index, __m256i bytes) {
    ck_store256(index, _mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes)));
    ck_store256(index + 16, _mm256_cvtepu8_epi16(_mm256_extracti128_si256(bytes, 1)));
}

// Codes by the index in each word, of tables that double: an index' lower six bits choose within two vectors.
CK_AVX512 CK_INLINE __m512i ck_codes_64(const uint16_t *codes, __m512i index) {
    return _mm512_permutex2var_epi16(_mm512_load_si512(codes), index, _mm512_load_si512(codes + 32));
}
#define CK_CODES(COUNT, HALF)                                                                                      \
    CK_AVX512 CK_INLINE __m512i ck_codes_##COUNT(const uint16_t *codes, __m512i index) {                            \
        __m512i low = ck_codes_##HALF(codes, index), high = ck_codes_##HALF(codes + HALF, index);                    \
        return _mm512_mask_blend_epi16(_mm512_test_epi16_mask(index, _mm512_set1_epi16(HALF)), low, high);           \
    }
CK_CODES(128, 64)
CK_CODES(256, 128)
CK_CODES(512, 256)

// As ck_split_signs_avx2: bits 7 i + `from` … of each quadword to 32 bytes.
CK_AVX512 CK_INLINE __m256i ck_split_signs_avx512(__m512i x, int from) {
    const __m512i bits = _mm512_add_epi8(_mm512_set1_epi64(0x150e0700150e0700), ck_bytes512(from));
    // Only the lower seven bits of what selects in a table of 128 bytes count.
    x = _mm512_permutex2var_epi8(_mm512_load_si512(ck_even_signs), _mm512_multishift_epi64_epi8(bits, x),
                                 _mm512_load_si512(ck_even_signs + 64));
    return _mm512_cvtepi64_epi32(x);
}

CK_AVX512 CK_INLINE __m512i ck_odd512(__m512i x) {
    return _mm512_or_si512(_mm512_add_epi8(x, x), ck_bytes512(1));
}
CK_AVX512 CK_INLINE __m512i ck_halves_in_turn512(__m512i x) {
    return ck_odd512(_mm512_unpacklo_epi8(ck_low_nibbles(x), ck_high_nibbles(x)));
}

// Sixteen bytes that end with the `count` ones at p, of each of four blocks; these are the lane's first.
CK_AVX512 CK_INLINE __m512i ck_load_last(const uint8_t *const block[4], size_t offset, int count) {
    const size_t from = offset + (size_t)count - 16;
    __m512i x = ck_load_lanes(block[0] + from, block[1] + from, block[2] + from, block[3] + from);
    return count == 4 ? _mm512_bsrli_epi128(x, 12) : _mm512_bsrli_epi128(x, 8);
}
#endif
#endif
