// Template: all kernels of a format of 256 values that come by eights or by fours from a codebook. Before including it,
// a format's file includes grid.h and defines
//   CK_GRID_BLOCK    its block type
//   CK_GRID_WIDTH    columns per scale, 16 or 32
//   CK_GRID_FACTOR   what the block's binary16 is multiplied with, a power of two
//   CK_GRID_CODES, CK_GRID_LEVELS, CK_GRID_COUNT   its codebook, of grids.h
//   CK_GRID_VALUES   values per code, 8 or 4
//   CK_GRID_NUMBERS  the levels of numbers 0…3 or 0…7, with commas between them; not used from 1024 codes on
//   CK_GRID_STEPS    CK2_STEPS of avx2_256.h
//   CK_GRID_SHIFTED  1: weights are a level plus one, or less one where the sign is set; 0: a level with its sign
//   half             uint16_t (const uint8_t *block): the binary16
//   scales           void (const uint8_t *block, int16_t scale[16]): per 16 columns
//   split            void (const uint8_t *block, uint16_t *index, uint8_t sign[32]): bit i of sign[j] belongs to value
//                    8 j + i
//   scales_avx2, split_avx2   the same two
//   scales4          __m512i (const uint8_t *const block[4]): scale bytes of each block, one block per lane
//   split_avx512     void (const uint8_t *block, __m512i *index, __m256i *sign): an index per word
//
// The codebooks of IQ2_S and IQ1 are too large to look codes up in registers; levels are loaded one by one.

enum { index_count = 256 / CK_GRID_VALUES };

CK_INLINE void unpack_scales(const CK_GRID_BLOCK *b, ck_unpacked256 *out) {
    scales((const uint8_t *)b, out->scale);
    memset(out->min, 0, sizeof out->min);
    out->d = ck_f16(half((const uint8_t *)b)) * CK_GRID_FACTOR;
}

CK_INLINE void unpack(const void *p, ck_unpacked256 *out) {
    uint16_t index[index_count];
    uint8_t sign[32];
    split(p, index, sign);
    for (int i = 0; i < index_count; i++) {
        memcpy(out->q + i * CK_GRID_VALUES, &CK_GRID_LEVELS[index[i]], CK_GRID_VALUES);
    }
    for (int i = 0; i < 256; i++) {
        const int negative = sign[i / 8] >> (i % 8) & 1;
        int q = out->q[i];
        if (CK_GRID_SHIFTED) q += negative ? -1 : 1;
        out->q[i] = (int8_t)(!CK_GRID_SHIFTED && negative ? -q : q);
    }
    unpack_scales(p, out);
}

CK_PORTABLE_KERNELS_256(CK_GRID_BLOCK, 0)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m128 load_d_avx2(const uint8_t *const block[4]) {
    __m128i x = _mm_cvtsi32_si128(half(block[0]));
    x = _mm_insert_epi16(_mm_insert_epi16(x, half(block[1]), 1), half(block[2]), 2);
    return _mm_mul_ps(_mm_cvtph_ps(_mm_insert_epi16(x, half(block[3]), 3)), _mm_set1_ps(CK_GRID_FACTOR));
}

// 32 columns.
CK_AVX2 CK_INLINE __m256i load_levels_avx2(const uint16_t *index) {
#if CK_GRID_VALUES == 8
    return _mm256_setr_epi64x((int64_t)CK_GRID_LEVELS[index[0]], (int64_t)CK_GRID_LEVELS[index[1]],
                              (int64_t)CK_GRID_LEVELS[index[2]], (int64_t)CK_GRID_LEVELS[index[3]]);
#else
    int32_t x[8];
    for (int i = 0; i < 8; i++) x[i] = (int32_t)CK_GRID_LEVELS[index[i]];
    return _mm256_setr_epi32(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]);
#endif
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    uint16_t index[index_count];
    uint32_t sign[8];
    split_avx2(block, index, (uint8_t *)sign);
    for (int i = 0; i < 8; i++) {
        __m256i negative = ck_bits256(sign[i]);
        q[i] = load_levels_avx2(index + i * (index_count / 8));
        if (CK_GRID_SHIFTED) {
            q[i] = _mm256_add_epi8(q[i], _mm256_or_si256(negative, ck_bytes256(1)));
        } else {
            q[i] = _mm256_sub_epi8(_mm256_xor_si256(q[i], negative), negative);
        }
    }
}

#define CK2_BLOCK CK_GRID_BLOCK
#define CK2_WIDTH CK_GRID_WIDTH
#define CK2_SIGNED 1
#define CK2_STEPS CK_GRID_STEPS
#include "avx2_256.h"

// 64 columns from the codes in words; piece: which of the block's four times 64.
#if CK_GRID_COUNT < 1024
CK_AVX512 CK_INLINE __m512i levels_avx512(const __m512i *codes, int piece) {
#if CK_GRID_VALUES == 8
    // Of an index in a table of 64 bytes the lower six bits count; the table holds each of four levels sixteen times.
    const __m512i levels = _mm512_add_epi8(_mm512_set1_epi32(ck_four_bytes(CK_GRID_NUMBERS)), ck_bytes512(64));
    const __m512i bits = _mm512_set1_epi64(0x0e0c0a0806040200);
    __m128i part = piece == 0   ? _mm512_castsi512_si128(*codes)
                   : piece == 1 ? _mm512_extracti32x4_epi32(*codes, 1)
                   : piece == 2 ? _mm512_extracti32x4_epi32(*codes, 2)
                                : _mm512_extracti32x4_epi32(*codes, 3);
    __m512i code = _mm512_cvtepu16_epi64(part);
#else
    const __m512i levels = _mm512_add_epi8(_mm512_set1_epi64(ck_eight_bytes(CK_GRID_NUMBERS)), ck_bytes512(64));
    const __m512i bits = _mm512_set1_epi64(0x2926232009060300);
    __m512i all = codes[piece / 2];
    __m512i code = _mm512_cvtepu16_epi32(piece % 2 ? _mm512_extracti64x4_epi64(all, 1) : _mm512_castsi512_si256(all));
#endif
    return _mm512_permutexvar_epi8(_mm512_multishift_epi64_epi8(bits, code), levels);
}
#endif

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    __m512i index[2];
    __m256i signs;
    uint64_t sign[4];
    split_avx512(block, index, &signs);
    ck_store256(sign, signs);
#if CK_GRID_COUNT < 1024
    index[0] = CK_GRID_LOOK_UP(CK_GRID_CODES, index[0]);
    if (CK_GRID_VALUES == 4) index[1] = CK_GRID_LOOK_UP(CK_GRID_CODES, index[1]);
#else
    uint16_t at[index_count];
    _mm512_storeu_si512(at, index[0]);
#endif
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
#if CK_GRID_COUNT < 1024
        q[i] = levels_avx512(index, i);
#else
        q[i] = _mm512_castsi256_si512(load_levels_avx2(at + 8 * i));
        q[i] = _mm512_inserti64x4(q[i], load_levels_avx2(at + 8 * i + 4), 1);
        q[i] = _mm512_add_epi8(q[i], ck_bytes512(CK_GRID_SHIFTED ? 65 : 64));
#endif
        // One shift to the other; or 64 + level to 64 - level.
        const __m512i other = CK_GRID_SHIFTED ? _mm512_sub_epi8(q[i], ck_bytes512(2))
                                              : _mm512_sub_epi8(ck_bytes512(-128), q[i]);
        q[i] = _mm512_mask_mov_epi8(q[i], sign[i], other);
    }
}

#define CK_BLOCK CK_GRID_BLOCK
#define CK_KIND CK_SCALED_OFFSET
#define CK_WIDTH CK_GRID_WIDTH
#define CK_OFFSET_SHIFT 6
#define CK_PIECES 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#include "rows_avx512_256.h"

#define CK_DECODED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint16_t index[index_count];
    uint8_t sign[32];
    split(block, index, sign);
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        const uint16_t *at = index + i * (index_count / 16);
#if CK_GRID_VALUES == 8
        uint64x2_t levels = vcombine_u64(vcreate_u64(CK_GRID_LEVELS[at[0]]), vcreate_u64(CK_GRID_LEVELS[at[1]]));
        int8x16_t x = vreinterpretq_s8_u64(levels);
#else
        uint32x4_t levels = {CK_GRID_LEVELS[at[0]], CK_GRID_LEVELS[at[1]], CK_GRID_LEVELS[at[2]],
                             CK_GRID_LEVELS[at[3]]};
        int8x16_t x = vreinterpretq_s8_u32(levels);
#endif
        uint8x16_t spread = vcombine_u8(vdup_n_u8(sign[2 * i]), vdup_n_u8(sign[2 * i + 1]));
        int8x16_t negative = vreinterpretq_s8_u8(vtstq_u8(spread, vld1q_u8(bits)));
        if (CK_GRID_SHIFTED) {
            q[i] = vaddq_s8(x, vorrq_s8(negative, vdupq_n_s8(1)));
        } else {
            q[i] = vsubq_s8(veorq_s8(x, negative), negative);
        }
    }
}

#define CK_NEON_BLOCK CK_GRID_BLOCK
#define CK_NEON_WIDTH CK_GRID_WIDTH
#define CK_NEON_HAS_MIN 0
#include "neon_256.h"
#endif
