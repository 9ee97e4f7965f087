// Helpers shared by the AVX2 kernels.
#ifndef CK_AVX2_H
#define CK_AVX2_H

#include "panel.h"

#if defined(CK_X86)
#include <immintrin.h>

// How far ahead of a step its prefetches reach, at least: with short rows the next four alone are too near.
#define CK_PREFETCH_AHEAD 8192

// Asks for a step's share of the four rows to come. A step reads `bytes` bytes at `offset` of each of four adjoining rows;
// what it asks for lies in the order of memory, which the processor's own prefetching follows, and goes to the second
// level: the first is too small for four rows.
CK_INLINE void ck_prefetch_rows(const uint8_t *first_row, size_t row_bytes, size_t offset, size_t bytes) {
    const size_t ahead = 4 * row_bytes > CK_PREFETCH_AHEAD ? 4 * row_bytes : CK_PREFETCH_AHEAD;
    const uint8_t *next = first_row + ahead + 4 * offset;
    for (size_t line = 0; line < 4 * bytes; line += 64) __builtin_prefetch(next + line, 0, 2);
}

CK_AVX2 CK_INLINE int ck_load_half(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

// The binary16 values at byte `offset` of each block, as floats.
CK_AVX2 CK_INLINE __m128 ck_load_4_halves(const uint8_t *const block[4], size_t offset) {
    __m128i x = _mm_cvtsi32_si128(ck_load_half(block[0] + offset));
    x = _mm_insert_epi16(x, ck_load_half(block[1] + offset), 1);
    x = _mm_insert_epi16(x, ck_load_half(block[2] + offset), 2);
    return _mm_cvtph_ps(_mm_insert_epi16(x, ck_load_half(block[3] + offset), 3));
}

// 8 vectors of 8 dwords become their transpose.
CK_AVX2 CK_INLINE void ck_transpose8(__m256i r[8]) {
    __m256i t[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2x128_si256(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2x128_si256(r[i], r[4 + i], 0x31);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

// The sums of all dwords of a, b, c, d.
CK_AVX2 CK_INLINE __m128i ck_sum_all4_256(__m256i a, __m256i b, __m256i c, __m256i d) {
    __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

CK_AVX2 CK_INLINE __m256i ck_bytes256(int value) { return _mm256_set1_epi8((char)value); }

CK_AVX2 CK_INLINE __m256i ck_load256(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

// Low halves of 16 bytes, then high halves.
CK_AVX2 CK_INLINE __m256i ck_nibbles256(const uint8_t *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)p);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(x), _mm_srli_epi16(x, 4), 1);
    return _mm256_and_si256(both, ck_bytes256(15));
}

// 32 bits as bytes of 0 or -1.
CK_AVX2 CK_INLINE __m256i ck_bits256(uint32_t bits) {
    const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32((int32_t)bits), byte);
    return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
}

// The 32 bits at p as bytes of 0 or 16.
CK_AVX2 CK_INLINE __m256i ck_fifth_bits256(const uint8_t *p) {
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
    return _mm256_and_si256(ck_bits256(bits), ck_bytes256(16));
}

// Bit `shift` and the one above of each byte, at bits 0 and 1.
CK_AVX2 CK_INLINE __m256i ck_bit_pairs256(__m256i x, int shift) {
    return _mm256_and_si256(_mm256_srli_epi16(x, shift), ck_bytes256(3));
}

CK_AVX2 CK_INLINE __m256i ck_look_up256(__m256i index, __m128i table) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), index);
}

CK_AVX2 CK_INLINE __m256i ck_broadcast256(const void *p) {
    int32_t value;
    memcpy(&value, p, sizeof value);
    return _mm256_set1_epi32(value);
}

// The eight 6-bit scales (bytes 0…7) and minima (8…15) of Q4_K and Q5_K from their 12 bytes.
CK_AVX2 CK_INLINE __m128i ck_scales_k4_256(const uint8_t *packed) {
    uint32_t a, b, c;
    memcpy(&a, packed, 4);
    memcpy(&b, packed + 4, 4);
    memcpy(&c, packed + 8, 4);
    uint32_t scale_high = (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030);
    uint32_t min_high = (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030);
    return _mm_setr_epi32((int)(a & 0x3f3f3f3f), (int)scale_high, (int)(b & 0x3f3f3f3f), (int)min_high);
}

// Eight words, each twice.
CK_AVX2 CK_INLINE void ck_store_twice(__m128i words, int16_t out[16]) {
    _mm_storeu_si128((__m128i *)out, _mm_unpacklo_epi16(words, words));
    _mm_storeu_si128((__m128i *)(out + 8), _mm_unpackhi_epi16(words, words));
}

// 16-bit sums of pairs of products. Signed weights, -128 included, go by magnitude and sign: 2 * 128 * 127 fits;
// unsigned ones must be at most 127.
CK_AVX2 CK_INLINE __m256i ck_pairs256(__m256i w, __m256i x, int is_signed) {
    if (is_signed) return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_maddubs_epi16(w, x);
}

#endif
#endif
