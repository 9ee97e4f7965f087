// Helpers of the strips with AVX-512 VNNI.
#ifndef CK_STRIP_AVX512_H
#define CK_STRIP_AVX512_H

#include "avx512.h"
#include "strip.h"

#if defined(CK_X86)
// Where unpacking columns takes no more than two instructions, it may be done again for every eight tokens.
#define CK_ALWAYS_PACKED SIZE_MAX
// Otherwise, what storing and loading the unpacked bytes costs is won back with more tokens than
#define CK_SELDOM_PACKED 16

// The code of a format from its pack_avx512, unpack_avx512 and inline strip_avx512(job, tokens, unpacked, packs, next),
// where all but job and next are constants; next is NULL unless `packs`.
#define CK_STRIP_TILE(T)                                                                                     \
    CK_AVX512 static void packed_##T(const ck_strip_job *job) { strip_avx512(job, T, 0, 0, NULL); }          \
    CK_AVX512 static void unpacked_##T(const ck_strip_job *job) { strip_avx512(job, T, 1, 0, NULL); }
#define CK_STRIP_CODE(BLOCK, ...)                                                                            \
    CK_STRIP_TILE(1) CK_STRIP_TILE(2) CK_STRIP_TILE(3) CK_STRIP_TILE(4)                                      \
    CK_STRIP_TILE(5) CK_STRIP_TILE(6) CK_STRIP_TILE(7) CK_STRIP_TILE(8)                                      \
    static const ck_strip_code strips_avx512 = {                                                             \
        .block = BLOCK,                                                                                      \
        .block_bytes = sizeof(CK_BLOCK),                                                                     \
        .pack = pack_avx512,                                                                                 \
        .unpack = unpack_avx512,                                                                             \
        .packed_tokens = CK_PACKED_TOKENS,                                                                   \
        .packed = {packed_1, packed_2, packed_3, packed_4, packed_5, packed_6, packed_7, packed_8},          \
        .unpacked = {unpacked_1, unpacked_2, unpacked_3, unpacked_4, unpacked_5, unpacked_6, unpacked_7,     \
                     unpacked_8},                                                                            \
        __VA_ARGS__                                                                                          \
    };

#define CK_STRIP_PACKING_TILE(T)                                                                             \
    CK_AVX512 static void packing_##T(const ck_strip_job *job, ck_strip_next *next) {                        \
        strip_avx512(job, T, 0, 1, next);                                                                    \
    }

CK_AVX512 CK_INLINE __m512i ck_broadcast512(const void *p) {
    int32_t value;
    memcpy(&value, p, sizeof value);
    return _mm512_set1_epi32(value);
}

CK_AVX512 CK_INLINE __m512 ck_broadcast_float512(const void *p) { return _mm512_castsi512_ps(ck_broadcast512(p)); }

// x[i]: sixteen bytes of rows i, 4 + i, 8 + i, 12 + i, one row per lane. Afterwards x[i] holds dword i of all rows.
CK_AVX512 CK_INLINE void ck_transpose_rows(__m512i x[4]) {
    __m512i a = _mm512_unpacklo_epi32(x[0], x[1]), b = _mm512_unpackhi_epi32(x[0], x[1]);
    __m512i c = _mm512_unpacklo_epi32(x[2], x[3]), d = _mm512_unpackhi_epi32(x[2], x[3]);
    x[0] = _mm512_unpacklo_epi64(a, c);
    x[1] = _mm512_unpackhi_epi64(a, c);
    x[2] = _mm512_unpacklo_epi64(b, d);
    x[3] = _mm512_unpackhi_epi64(b, d);
}

// Sixteen bytes at `offset` of sixteen rows: four vectors.
CK_AVX512 CK_INLINE void ck_pack_dwords(const uint8_t *const row[16], size_t offset, uint8_t (*q)[64]) {
    __m512i x[4];
    for (int i = 0; i < 4; i++) {
        const uint8_t *const *p = row + i;
        x[i] = ck_load_lanes(p[0] + offset, p[4] + offset, p[8] + offset, p[12] + offset);
    }
    ck_transpose_rows(x);
    for (int i = 0; i < 4; i++) _mm512_store_si512(q[i], x[i]);
}

// `count` groups of four bytes at `offset` of sixteen rows, at most 16; 64 bytes are read.
CK_AVX512 CK_INLINE void ck_pack_bytes(const uint8_t *const row[16], size_t offset, int count, uint8_t (*q)[64]) {
    __m512i x[16];
    for (int r = 0; r < 16; r++) x[r] = _mm512_loadu_si512(row[r] + offset);
    ck_transpose16(x);
    for (int i = 0; i < count; i++) _mm512_store_si512(q[i], x[i]);
}

// ck_pack_bytes in eight steps, which other work may stand between. First four times: four rows × 64 bytes; lane l of
// vector j is dword 4 l + j of each row.
CK_AVX512 CK_INLINE void ck_pack_four_rows(const uint8_t *const row[4], size_t offset, uint8_t (*out)[64]) {
    __m512i x[4];
    for (int r = 0; r < 4; r++) x[r] = _mm512_loadu_si512(row[r] + offset);
    ck_transpose_rows(x);
    for (int j = 0; j < 4; j++) _mm512_store_si512(out[j], x[j]);
}

// Then four times, with j = 0…3: groups j and 4 + j, of 16 groups 8 + j and 12 + j too, of all rows.
CK_AVX512 CK_INLINE void ck_pack_quarter(uint8_t (*const rows)[4][64], int j, int count, uint8_t (*q)[64]) {
    __m512i x[4];
    for (int i = 0; i < 4; i++) x[i] = _mm512_load_si512(rows[i][j]);
    __m512i a = _mm512_shuffle_i32x4(x[0], x[1], 0x44), b = _mm512_shuffle_i32x4(x[2], x[3], 0x44);
    _mm512_store_si512(q[j], _mm512_shuffle_i32x4(a, b, 0x88));
    _mm512_store_si512(q[4 + j], _mm512_shuffle_i32x4(a, b, 0xdd));
    if (count > 8) {
        a = _mm512_shuffle_i32x4(x[0], x[1], 0xee), b = _mm512_shuffle_i32x4(x[2], x[3], 0xee);
        _mm512_store_si512(q[8 + j], _mm512_shuffle_i32x4(a, b, 0x88));
        _mm512_store_si512(q[12 + j], _mm512_shuffle_i32x4(a, b, 0xdd));
    }
}

// Sixteen bytes at `offset` of four blocks of sixteen rows: four vectors per block.
CK_AVX512 CK_INLINE void ck_pack_pieces(const uint8_t *const row[16], size_t offset, size_t block_bytes,
                                        uint8_t (*q)[64]) {
    __m512i x[16];
    for (int r = 0; r < 16; r++) {
        const uint8_t *p = row[r] + offset;
        x[r] = ck_load_lanes(p, p + block_bytes, p + 2 * block_bytes, p + 3 * block_bytes);
    }
    ck_transpose16(x);
    for (int i = 0; i < 16; i++) _mm512_store_si512(q[i], x[i]);
}

// Thirty-two bytes at `offset` of two blocks of sixteen rows: eight vectors per block.
CK_AVX512 CK_INLINE void ck_pack_halves(const uint8_t *const row[16], size_t offset, size_t block_bytes,
                                        uint8_t (*q)[64]) {
    __m512i x[16];
    for (int r = 0; r < 16; r++) {
        const uint8_t *p = row[r] + offset;
        x[r] = _mm512_inserti64x4(_mm512_castsi256_si512(ck_load256(p)), ck_load256(p + block_bytes), 1);
    }
    ck_transpose16(x);
    for (int i = 0; i < 16; i++) _mm512_store_si512(q[i], x[i]);
}

// Bits 4 k … 4 k + 3 of each dword as four bytes of 0 or 16.
CK_AVX512 CK_INLINE __m512i ck_four_fifth_bits(__m512i x, int k) {
    // Byte c takes the eight bits from 4 k + c - 4 on, the upper dwords' 32 further: the bit it wants is its bit 4.
    const __m512i offset = _mm512_set1_epi64(0x1f1e1d1cfffefdfc);
    __m512i bits = _mm512_multishift_epi64_epi8(_mm512_add_epi8(offset, ck_bytes512(4 * k)), x);
    return _mm512_and_si512(bits, ck_bytes512(16));
}

// Four bytes at `offset` of sixteen rows.
CK_AVX512 CK_INLINE __m512i ck_load_16_dwords(const uint8_t *const row[16], size_t offset) {
    int32_t x[16];
    for (int r = 0; r < 16; r++) memcpy(&x[r], row[r] + offset, 4);
    __m128i a = _mm_setr_epi32(x[0], x[1], x[2], x[3]), b = _mm_setr_epi32(x[4], x[5], x[6], x[7]);
    __m128i c = _mm_setr_epi32(x[8], x[9], x[10], x[11]), d = _mm_setr_epi32(x[12], x[13], x[14], x[15]);
    __m512i low = _mm512_inserti32x4(_mm512_castsi128_si512(a), b, 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(low, c, 2), d, 3);
}

// The binary16 in the lower half of each dword.
CK_AVX512 CK_INLINE __m512 ck_lower_halves(__m512i x) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)); }

CK_AVX512 CK_INLINE __m512i ck_strip_vector(const ck_strip *strip, int i) { return _mm512_load_si512(strip->q[i]); }

// Byte i of each dword, with its sign.
CK_AVX512 CK_INLINE __m512i ck_signed_byte(__m512i x, int i) {
    return _mm512_srai_epi32(_mm512_slli_epi32(x, (unsigned)(24 - 8 * i)), 24);
}

// Four minima, the bytes of each dword, as two pairs of words per row.
CK_AVX512 CK_INLINE void ck_store_minima(__m512i x, int16_t (*min)[32]) {
    const __m512i first = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1));
    _mm512_store_si512(min[0], _mm512_shuffle_epi8(x, first));
    _mm512_store_si512(min[1], _mm512_shuffle_epi8(_mm512_srli_epi32(x, 16), first));
}

// sum[t] += the products of columns 4 k … 4 k + 3, weights w, at `offset` of each token. Written out, because compilers
// load some of the activations long before and keep them on the stack.
CK_AVX512 CK_INLINE void ck_strip_multiply(__m512i *sum, __m512i w, const int8_t *const *q, size_t offset, int tokens) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        const int8_t(*x)[4] = (const int8_t(*)[4])(q[t] + offset);
        __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum[t]) : "v"(w), "m"(*x));
    }
}
#endif
#endif
