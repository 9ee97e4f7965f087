// Products on arm64 with the matrix instruction smmla: eight columns of two tokens times eight columns of two rows give
// four int32 sums, twice the work of sdot.
//
// Weights of four rows are decoded once for up to CK_I8MM_TOKENS tokens and laid down so that one register holds eight
// columns of two rows; activations of two tokens lie likewise. A format gives only its decoded weights, by way of
// neon_256.h or neon_32.h. Integer sums are exact and the float steps are those of portable.h, so the bits are the same.
//
// Its speed has not been measured on hardware. What is known are the instructions that an emulator executed for four
// rows × four tokens × 256 columns, 64 rows of 2048 columns with 32 tokens: 478 of Q4_K (1538 with sdot), 544 of Q6_K
// (1671), 497 of Q4_0 (1031), 481 of Q8_0 (959), of which 128 to 136 are smmla; sdot needs 256.
#ifndef CK_I8MM_H
#define CK_I8MM_H

#include "portable.h"

#if defined(CK_ARM)
#include <arm_neon.h>

// Tokens that share weights once they are decoded; even.
#define CK_I8MM_TOKENS 32
// Blocks of four rows that take part in one step, for 32-value formats.
#define CK_I8MM_BLOCKS 8

// One block of four rows. q[k][p] is columns 8 k to 8 k + 7 of row 2 p, then of row 2 p + 1; min[k][p] likewise the
// minima of groups 8 k to 8 k + 7. Groups have the format's width.
typedef struct ck_i8mm_rows256 {
    int8_t q[32][2][16];
    int8_t min[2][2][16];
    int32_t scale[16][4];  // [group][row]
    float d[4], dmin[4];
} ck_i8mm_rows256;

// Up to CK_I8MM_BLOCKS blocks of four rows; q[block][k][p] as above.
typedef struct ck_i8mm_rows32 {
    int8_t q[CK_I8MM_BLOCKS][4][2][16];
    float d[CK_I8MM_BLOCKS][4], m[CK_I8MM_BLOCKS][4];
} ck_i8mm_rows32;

typedef void (*ck_i8mm_decode256_fn)(const uint8_t *const block[4], ck_i8mm_rows256 *out);
typedef void (*ck_i8mm_decode32_fn)(const uint8_t *const block[4], size_t blocks, ck_i8mm_rows32 *out);

// width: columns per scale, 16 or 32.
void ck_i8mm_matmul256(const ck_job *job, size_t block_bytes, ck_i8mm_decode256_fn decode, int width, int has_min);
void ck_i8mm_matmul32(const ck_job *job, size_t block_bytes, ck_i8mm_decode32_fn decode, int has_min);

// What either uses of a thread's scratch memory.
size_t ck_i8mm_scratch_bytes(size_t cols);

// Sixteen columns of two rows or tokens as two operands of smmla.
CK_NEON CK_INLINE void ck_i8mm_zip(int8x16_t first, int8x16_t second, int8_t *columns0, int8_t *columns8) {
    int64x2_t a = vreinterpretq_s64_s8(first), b = vreinterpretq_s64_s8(second);
    vst1q_s8(columns0, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
    vst1q_s8(columns8, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
}

// values[row][16] to the order [group][row]; with 32 columns per scale every second of the sixteen is a repetition.
CK_NEON CK_INLINE void ck_i8mm_store_scales(int16_t values[4][16], int width, int32_t out[16][4]) {
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

// Minima, at most 63, of rows 2 p and 2 p + 1 as operands of smmla.
CK_NEON CK_INLINE void ck_i8mm_store_minima(int16_t values[4][16], int width, int8_t out[2][2][16]) {
#pragma clang loop unroll(full)
    for (int p = 0; p < 2; p++) {
        int8x16_t row[2];
#pragma clang loop unroll(full)
        for (int i = 0; i < 2; i++) {
            int8x16_t low = vreinterpretq_s8_s16(vld1q_s16(values[2 * p + i]));
            row[i] = vuzp1q_s8(low, vreinterpretq_s8_s16(vld1q_s16(values[2 * p + i] + 8)));
        }
        if (width == 16) {
            ck_i8mm_zip(row[0], row[1], out[0][p], out[1][p]);
        } else {
            vst1q_s8(out[0][p], vuzp1q_s8(row[0], row[1]));
        }
    }
}
#endif
#endif
