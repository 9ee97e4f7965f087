// Products of many tokens on arm64: weights of four rows are decoded once for up to CK_TILES_TOKENS tokens and laid
// down for one of two instructions. A format gives only its decoded weights, by way of neon_256.h or neon_32.h. Integer
// sums are exact and the float steps are those of portable.h, so the bits are the same.
//
// smmla multiplies eight columns of two tokens by eight columns of two rows, which gives four int32 sums: twice the
// work of sdot, which multiplies four columns of one token by four columns of four rows.
//
// Speed has not been measured on hardware. What is known are the instructions that an emulator executed for four rows
// × four tokens × 256 columns, in a product of 64 rows, 2048 columns and 32 tokens, everything included:
//
//                        Q4_K  Q6_K  Q2_K  Q4_0  Q8_0   those that multiply
//   no tiles, sdot       1538  1671  1859  1031   959   256   (weights decoded again for every four tokens)
//   tiles, sdot           599   645   699   629   613   256
//   tiles, smmla          477   545   582   494   478   128
#ifndef CK_NEON_TILES_H
#define CK_NEON_TILES_H

#include "portable.h"

#if defined(CK_ARM)
#include <arm_neon.h>

// Tokens that share weights once they are decoded; even.
#define CK_TILES_TOKENS 32
// Times 32 columns of four rows that take part in one step, for 32-value formats.
#define CK_TILES_BLOCKS 8

// Sixteen columns of four rows, in the order of `matrix`:
//   smmla  columns 0 to 7 of rows 0 and 1, of rows 2 and 3, columns 8 to 15 of rows 0 and 1, of rows 2 and 3
//   sdot   columns 0 to 3 of all rows, columns 4 to 7, 8 to 11, 12 to 15
typedef int8_t ck_tiles_weights[4][16];

// One block of four rows. Minima are laid down as weights whose columns are the groups; these have the format's width.
typedef struct ck_tiles_rows256 {
    ck_tiles_weights q[16];
    ck_tiles_weights min;
    int32_t scale[16][4];  // [group][row]
    float d[4], dmin[4];
} ck_tiles_rows256;

// Up to CK_TILES_BLOCKS times 32 columns of four rows.
typedef struct ck_tiles_rows32 {
    ck_tiles_weights q[CK_TILES_BLOCKS][2];
    float d[CK_TILES_BLOCKS][4], m[CK_TILES_BLOCKS][4];
} ck_tiles_rows32;

typedef void (*ck_tiles_decode256_fn)(const uint8_t *const block[4], ck_tiles_rows256 *out);
typedef void (*ck_tiles_decode32_fn)(const uint8_t *const block[4], size_t blocks, ck_tiles_rows32 *out);

// width: columns per scale, 16 or 32.
void ck_tiles256_neon(const ck_job *job, size_t block_bytes, ck_tiles_decode256_fn decode, int width, int has_min);
void ck_tiles256_i8mm(const ck_job *job, size_t block_bytes, ck_tiles_decode256_fn decode, int width, int has_min);
// parts: how many times 32 columns a block has. kind: of portable.h.
void ck_tiles32_neon(const ck_job *job, size_t block_bytes, size_t parts, ck_tiles_decode32_fn decode, int kind);
void ck_tiles32_i8mm(const ck_job *job, size_t block_bytes, size_t parts, ck_tiles_decode32_fn decode, int kind);

// What they use of a thread's scratch memory.
size_t ck_tiles_scratch_bytes(size_t cols);

// The lower halves of two vectors, and their upper halves.
CK_NEON CK_INLINE void ck_tiles_zip(int8x16_t first, int8x16_t second, int8_t *low, int8_t *high) {
    int64x2_t a = vreinterpretq_s64_s8(first), b = vreinterpretq_s64_s8(second);
    vst1q_s8(low, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
    vst1q_s8(high, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
}

// row: sixteen columns of each.
CK_NEON CK_INLINE void ck_tiles_store(int8x16_t row0, int8x16_t row1, int8x16_t row2, int8x16_t row3, int matrix,
                                      ck_tiles_weights out) {
    if (matrix) {
        ck_tiles_zip(row0, row1, out[0], out[2]);
        ck_tiles_zip(row2, row3, out[1], out[3]);
    } else {
        int32x4x2_t even = vzipq_s32(vreinterpretq_s32_s8(row0), vreinterpretq_s32_s8(row2));
        int32x4x2_t odd = vzipq_s32(vreinterpretq_s32_s8(row1), vreinterpretq_s32_s8(row3));
#pragma clang loop unroll(full)
        for (int i = 0; i < 2; i++) {
            int32x4x2_t four = vzipq_s32(even.val[i], odd.val[i]);
            vst1q_s8(out[2 * i], vreinterpretq_s8_s32(four.val[0]));
            vst1q_s8(out[2 * i + 1], vreinterpretq_s8_s32(four.val[1]));
        }
    }
}

// values[row][16] to the order [group][row]; with 32 columns per scale every second of the sixteen is a repetition.
CK_NEON CK_INLINE void ck_tiles_store_scales(int16_t values[4][16], int width, int32_t out[16][4]) {
#pragma clang loop unroll(full)
    for (int half = 0; half < (width == 16 ? 2 : 1); half++) {
        int16x8_t row[4];
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            int16x8_t low = vld1q_s16(values[r]), high = vld1q_s16(values[r] + 8);
            row[r] = width == 32 ? vuzp1q_s16(low, high) : half ? high : low;
        }
        int16x8x2_t even = vzipq_s16(row[0], row[2]), odd = vzipq_s16(row[1], row[3]);
#pragma clang loop unroll(full)
        for (int i = 0; i < 2; i++) {
            int16x8x2_t four = vzipq_s16(even.val[i], odd.val[i]);
#pragma clang loop unroll(full)
            for (int k = 0; k < 2; k++) {
                vst1q_s32(out[8 * half + 4 * i + 2 * k], vmovl_s16(vget_low_s16(four.val[k])));
                vst1q_s32(out[8 * half + 4 * i + 2 * k + 1], vmovl_s16(vget_high_s16(four.val[k])));
            }
        }
    }
}

// Minima, at most 63, as weights; with 32 columns per scale the first eight groups count.
CK_NEON CK_INLINE void ck_tiles_store_minima(int16_t values[4][16], int width, int matrix, ck_tiles_weights out) {
    int8x16_t row[4];
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) {
        int8x16_t low = vreinterpretq_s8_s16(vld1q_s16(values[r]));
        row[r] = vuzp1q_s8(low, vreinterpretq_s8_s16(vld1q_s16(values[r] + 8)));
        if (width == 32) row[r] = vuzp1q_s8(row[r], row[r]);
    }
    ck_tiles_store(row[0], row[1], row[2], row[3], matrix, out);
}
#endif
#endif
