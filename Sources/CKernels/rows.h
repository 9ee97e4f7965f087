// The product for few tokens: four rows of weights at a time on the layout of the file, unpacked in registers and
// used for up to four tokens. What such a kernel wants from the activations is put in its own order once per call.
#ifndef CK_ROWS_H
#define CK_ROWS_H

#include "activations.h"
#include "blocks.h"

// Up to this many tokens a product goes row by row, above it by panels or strips.
#define CK_ROWS_TOKENS 4

// Bytes of one token's activations in a row kernel's order, an upper bound over formats and instruction sets: 256 bytes
// per 128 columns, or a copy of the activation row. (The 256-value formats with AVX-512 take 576 per 256 columns for at
// most half as many tokens.)
CK_INLINE size_t ck_rows_prepared_bytes(size_t cols) { return 2 * ck_round_up(cols, 512); }

// act: a prepared activation row; out: 64-byte aligned.
typedef void (*ck_rows_prepare_fn)(const void *act, size_t cols, void *out);
// Four rows × 1…4 tokens: out[token][4]. Token t's activations lie at prepared + t * stride.
typedef void (*ck_rows_fn)(const uint8_t *const row[4], size_t cols, const uint8_t *prepared, size_t stride,
                           float *out);

// At most CK_ROWS_TOKENS tokens; kernels: one function per count of them.
void ck_rows_matmul(const ck_job *job, ck_rows_prepare_fn prepare, const ck_rows_fn kernels[CK_ROWS_TOKENS]);

#endif
