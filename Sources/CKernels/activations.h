// The layout of a prepared activation row. Vectors come first and lie contiguous, so that kernels load them
// aligned and at full width; every array starts at a multiple of 64 bytes and is padded with zeros.
//
// Q8_32, groups of 32 values (n = groups, padded to a multiple of 8):
//   int8 q[32 n], float d[n], float s[n] = d * sum of q, int32 nsum[n] = -128 * sum of q, int32 nsum_first[n] = the same
//   of the first 16
// Q8_256, groups of 256 values (n = groups):
//   int8 q[256 n], then per group one ck_act256.
// F32 and BF16: the values.
//
// The row's size is an odd multiple of 64, so that the same column of many rows falls into different cache sets.
#ifndef CK_ACTIVATIONS_H
#define CK_ACTIVATIONS_H

#include "kernel.h"

// What a 256-group carries beside its int8 values.
typedef struct ck_act256 {
    int32_t nsum16[16];  // -32 * sum of q over 16 values
    int32_t nsum32[8];   // -128 * sum of q over 32 values
    int16_t sum16[16];   // sum of q over 16 values
    int16_t sum32[8];    // sum of q over 32 values
    int32_t nsum256;     // -128 * sum of all q
    float d;
    int32_t padding[2];
} ck_act256;
_Static_assert(sizeof(ck_act256) == 160, "the record is padded by hand");

typedef struct ck_act32_row {
    const int8_t *q;
    const float *d, *s;
    const int32_t *nsum, *nsum_first;
} ck_act32_row;

typedef struct ck_act256_row {
    const int8_t *q;
    const ck_act256 *g;
} ck_act256_row;

CK_INLINE size_t ck_round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Groups of a Q8_32 row with their padding; each array of 4-byte elements is rounded up to 64 bytes.
CK_INLINE size_t ck_act32_groups(size_t cols) { return ck_round_up((cols + 31) / 32, 16); }

CK_INLINE ck_act32_row ck_act32_view(const void *row, size_t cols) {
    size_t n = ck_act32_groups(cols);
    const uint8_t *p = row;
    return (ck_act32_row){(const int8_t *)p, (const float *)(p + 32 * n), (const float *)(p + 36 * n),
                          (const int32_t *)(p + 40 * n), (const int32_t *)(p + 44 * n)};
}

CK_INLINE ck_act256_row ck_act256_view(const void *row, size_t cols) {
    const uint8_t *p = row;
    return (ck_act256_row){(const int8_t *)p, (const ck_act256 *)(p + cols)};
}

#endif
