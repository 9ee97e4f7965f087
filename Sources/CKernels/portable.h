// Portable C for the integer formats. A format gives one function that unpacks a block to plain integers; the exact
// integer sums and the fixed float steps are written here once and define the bits of every other kernel.
#ifndef CK_PORTABLE_H
#define CK_PORTABLE_H

#include "activations.h"
#include "blocks.h"

// A block of 32 weights: weight i = d * q[i] + m.
typedef struct ck_unpacked32 {
    int8_t q[32];
    float d, m;
} ck_unpacked32;

typedef void (*ck_unpack32_fn)(const void *block, ck_unpacked32 *out);

// 32-value formats: per block acc = fma(d * d_act, sum, acc) and, where the format has a minimum,
// acc = fma(m, d_act * sum_act, acc).
void ck_portable_matmul32(const ck_job *job, size_t block_bytes, ck_unpack32_fn unpack, int has_min);
void ck_portable_dequantize32(const void *w, size_t cols, float *out, size_t block_bytes, ck_unpack32_fn unpack,
                              int has_min);

#endif
