// Helpers shared by the AVX-512 VNNI kernels.
#ifndef CK_AVX512_H
#define CK_AVX512_H

#include "avx2.h"

#if defined(CK_X86)
// 16 vectors of 16 dwords become their transpose.
CK_AVX512 CK_INLINE void ck_transpose16(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}

// Lane l of the result: the sums of the four dwords in lane l of a, b, c, d.
CK_AVX512 CK_INLINE __m512i ck_sum_lanes4(__m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// Sixteen bytes at each of four addresses.
CK_AVX512 CK_INLINE __m512i ck_load_lanes(const void *a, const void *b, const void *c, const void *d) {
    __m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)a));
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)b), 1);
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)c), 2);
    return _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)d), 3);
}

// Four bytes at `offset` of four blocks.
CK_AVX512 CK_INLINE __m128i ck_load_4_dwords(const uint8_t *const block[4], size_t offset) {
    int32_t x[4];
    for (int r = 0; r < 4; r++) memcpy(&x[r], block[r] + offset, 4);
    return _mm_setr_epi32(x[0], x[1], x[2], x[3]);
}

CK_AVX512 CK_INLINE __m128i ck_load_8_halves(const uint8_t *const block[8], size_t offset) {
    __m128i x = _mm_cvtsi32_si128(ck_load_half(block[0] + offset));
    x = _mm_insert_epi16(x, ck_load_half(block[1] + offset), 1);
    x = _mm_insert_epi16(x, ck_load_half(block[2] + offset), 2);
    x = _mm_insert_epi16(x, ck_load_half(block[3] + offset), 3);
    x = _mm_insert_epi16(x, ck_load_half(block[4] + offset), 4);
    x = _mm_insert_epi16(x, ck_load_half(block[5] + offset), 5);
    x = _mm_insert_epi16(x, ck_load_half(block[6] + offset), 6);
    return _mm_insert_epi16(x, ck_load_half(block[7] + offset), 7);
}

CK_AVX512 CK_INLINE __m512 ck_load_16_halves(const uint8_t *const block[16], size_t offset) {
    __m128i low = ck_load_8_halves(block, offset), high = ck_load_8_halves(block + 8, offset);
    return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
}

// A constant one of four lanes.
CK_AVX512 CK_INLINE __m128 ck_lane_ps(__m512 x, int lane) {
    return lane == 0   ? _mm512_castps512_ps128(x)
           : lane == 1 ? _mm512_extractf32x4_ps(x, 1)
           : lane == 2 ? _mm512_extractf32x4_ps(x, 2)
                       : _mm512_extractf32x4_ps(x, 3);
}

CK_AVX512 CK_INLINE __m512i ck_bytes512(int value) { return _mm512_set1_epi8((char)value); }

// Bits of each byte, shifted left (or right where `left` is negative) and masked.
CK_AVX512 CK_INLINE __m512i ck_shift_and(__m512i x, int left, int mask) {
    x = left < 0 ? _mm512_srli_epi16(x, (unsigned)-left) : left > 0 ? _mm512_slli_epi16(x, (unsigned)left) : x;
    return _mm512_and_si512(x, ck_bytes512(mask));
}

// Low and high halves of 64 bytes.
CK_AVX512 CK_INLINE __m512i ck_low_nibbles(__m512i x) { return _mm512_and_si512(x, ck_bytes512(15)); }
CK_AVX512 CK_INLINE __m512i ck_high_nibbles(__m512i x) {
    return _mm512_and_si512(_mm512_srli_epi16(x, 4), ck_bytes512(15));
}

// Four adjoining blocks of `head` bytes (1 or 2) and sixteen bytes each; x: the 64 bytes at p. Lane i of the result: the
// sixteen bytes of block i. The bytes behind the 64 come from a vector that repeats them; of it each is wanted just once,
// and they stand in the places of the heads. With `whole` 0 they are not read: the last block counts for nothing.
CK_AVX512 CK_INLINE __m512i ck_without_heads(__m512i x, const uint8_t *p, int head, int whole) {
    static const uint8_t order[2][64] __attribute__((aligned(64))) = {
        {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23,
         24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46,
         47, 48, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 0,  17, 34, 51},
        {2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 25,
         26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,
         50, 51, 52, 53, 56, 57, 58, 59, 60, 61, 62, 63, 0,  1,  18, 19, 36, 37, 54, 55},
    };
    if (whole && head == 1) {
        int32_t rest;
        memcpy(&rest, p + 64, sizeof rest);
        __m512i again = _mm512_set1_epi32(rest);
        // Compilers would make one shuffle of two vectors of this, which takes longer.
        __asm__("" : "+v"(again));
        x = _mm512_mask_blend_epi8(0x0008000400020001, x, again);
    } else if (whole) {
        int64_t rest;
        memcpy(&rest, p + 64, sizeof rest);
        __m512i again = _mm512_set1_epi64(rest);
        __asm__("" : "+v"(again));
        x = _mm512_mask_blend_epi8(0x00c00030000c0003, x, again);
    }
    return _mm512_permutexvar_epi8(_mm512_load_si512(order[head - 1]), x);
}

// The same blocks of four rows: lane i, dword r begins with the head of block i of row r.
CK_AVX512 CK_INLINE __m512i ck_heads(const __m512i x[4], int head) {
    // In lane i, it begins with byte i * head.
    const __m512i shift = _mm512_set_epi64(24, 24, 16, 16, 8, 8, 0, 0);
    __m512i at[4];
    for (int r = 0; r < 4; r++) at[r] = head == 1 ? x[r] : _mm512_srlv_epi64(x[r], _mm512_add_epi64(shift, shift));
    __m512i a = _mm512_unpacklo_epi32(at[0], at[1]), b = _mm512_unpacklo_epi32(at[2], at[3]);
    __m512i heads = _mm512_unpacklo_epi64(a, b);
    return head == 1 ? _mm512_srlv_epi32(heads, _mm512_or_si512(shift, _mm512_slli_epi64(shift, 32))) : heads;
}

// Low halves of 64 bytes, with `bits` set as well.
CK_AVX512 CK_INLINE __m512i ck_low_nibbles_or(__m512i x, __m512i bits) {
    return _mm512_ternarylogic_epi64(x, ck_bytes512(15), bits, 0xea);
}

// The fifth bits of four adjoining blocks: 16 where the bit is set. x: qh at the start of each lane.
CK_AVX512 CK_INLINE void ck_add_fifth_bits(__m512i x, __m512i *low, __m512i *high) {
    const __m128i half = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m512i byte = _mm512_broadcast_i32x4(half), bit = _mm512_set1_epi64((long long)0x8040201008040201);
    __mmask64 low_bits = _mm512_test_epi8_mask(_mm512_shuffle_epi8(x, byte), bit);
    __m512i upper = _mm512_shuffle_epi8(x, _mm512_add_epi8(byte, ck_bytes512(2)));
    __mmask64 high_bits = _mm512_test_epi8_mask(upper, bit);
    *low = _mm512_mask_add_epi8(*low, low_bits, *low, ck_bytes512(16));
    *high = _mm512_mask_add_epi8(*high, high_bits, *high, ck_bytes512(16));
}

// The eight 6-bit scales (bytes 0…7) and minima (8…15) of Q4_K and Q5_K; x: their 12 bytes in each lane.
CK_AVX512 CK_INLINE __m512i ck_scales_k4(__m512i x) {
    const __m512i mask = _mm512_broadcast_i32x4(_mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f));
    const __m512i upper = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x30303030, 0, 0x30303030));
    const __m512i shift = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0, 0, 4));
    __m512i low = _mm512_srlv_epi32(_mm512_shuffle_epi32(x, (_MM_PERM_ENUM)0x98), shift);
    __m512i high = _mm512_srli_epi32(_mm512_shuffle_epi32(x, (_MM_PERM_ENUM)0x50), 2);
    return _mm512_or_si512(_mm512_and_si512(low, mask), _mm512_and_si512(high, upper));
}

#endif
#endif
