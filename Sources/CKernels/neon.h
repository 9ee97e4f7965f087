// The NEON kernels with dot products, for one token or a few. A format's file defines decode_neon (its weights as int8
// in the order of the columns) and the number of columns per scale, and includes neon_32.h or neon_256.h; scales come
// from its portable code: from `unpack_scales` with 256 values, from `unpack` with 32, whose other work the compiler
// drops. Many tokens go by way of neon_tiles.h.
#ifndef CK_NEON_H
#define CK_NEON_H

#include "portable.h"

#if defined(CK_ARM)
#include <arm_neon.h>

// Tokens that share the weights of four rows while these are in registers.
#define CK_NEON_TOKENS 4

// Four rows × 1…CK_NEON_TOKENS tokens: out[token][4].
typedef void (*ck_neon_fn)(const uint8_t *const row[4], size_t cols, const uint8_t *const *act, float *out);

// Rows in fours, at most CK_NEON_TOKENS tokens; `kernel` is the one for their number.
static inline void ck_neon_matmul(const ck_job *job, ck_neon_fn kernel) {
    const uint8_t *act[CK_NEON_TOKENS];
    for (size_t t = 0; t < job->tokens; t++) act[t] = ck_job_act(job, t);
    for (size_t r = 0; r < job->rows; r += 4) {
        size_t rows = job->rows - r < 4 ? job->rows - r : 4;
        const uint8_t *row[4];
        for (size_t i = 0; i < 4; i++) row[i] = job->w + (r + (i < rows ? i : rows - 1)) * job->row_bytes;
        float out[CK_NEON_TOKENS][4];
        kernel(row, job->cols, act, out[0]);
        for (size_t t = 0; t < job->tokens; t++) memcpy(job->y + t * job->y_stride + r, out[t], rows * sizeof(float));
    }
}

// The sums of each vector's four lanes.
CK_NEON CK_INLINE int32x4_t ck_sums_neon(const int32x4_t x[4]) {
    return vpaddq_s32(vpaddq_s32(x[0], x[1]), vpaddq_s32(x[2], x[3]));
}

CK_NEON CK_INLINE int8x16_t ck_nibble_neon(const uint8_t *p, int high) {
    uint8x16_t x = vld1q_u8(p);
    return vreinterpretq_s8_u8(high ? vshrq_n_u8(x, 4) : vandq_u8(x, vdupq_n_u8(15)));
}

// Bits `shift` and `shift + 1` of each byte.
CK_NEON CK_INLINE uint8x16_t ck_bit_pairs_neon(const uint8_t *p, int shift) {
    return vandq_u8(vshlq_u8(vld1q_u8(p), vdupq_n_s8((int8_t)-shift)), vdupq_n_u8(3));
}

// Bit `from` of each byte as its bit `to`, all others 0.
CK_NEON CK_INLINE int8x16_t ck_bit_neon(uint8x16_t x, int from, int to) {
    x = vshlq_u8(x, vdupq_n_s8((int8_t)(to - from)));
    return vreinterpretq_s8_u8(vandq_u8(x, vdupq_n_u8((uint8_t)(1 << to))));
}

// Bits 16 half to 16 half + 15 of the four bytes at p as bytes of 0 or 16.
CK_NEON CK_INLINE int8x16_t ck_fifth_bits_neon(const uint8_t *p, int half) {
    static const int8_t shifts[16] = {4, 3, 2, 1, 0, -1, -2, -3, 4, 3, 2, 1, 0, -1, -2, -3};
    static const uint8_t bytes[2][16] = {{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1},
                                         {2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3}};
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
    uint8x16_t x = vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(bits)), vld1q_u8(bytes[half]));
    return vreinterpretq_s8_u8(vandq_u8(vshlq_u8(x, vld1q_s8(shifts)), vdupq_n_u8(16)));
}
#endif
#endif
