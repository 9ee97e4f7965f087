// Template: products with F32, F16 and BF16 weights for one instruction set, written with vectors of sixteen floats so
// that the sixteen lanes of the definition (weights_float.c) are the lanes of the vector. Before including it define
//   CK_TARGET          the function attribute of the instruction set
//   CK_NAME(X)         X with the instruction set's suffix
//   CK_ROWS, CK_TOKENS the tile that fits its registers
//   CK_BF16_DOT        if the instruction set has `vdpbf16ps`: only the product with BF16 weights is made then
//
// A tile keeps its sums in registers from a row's first column to its last. Its operands come from the second level of
// the cache (CK_FLOATS_ROWS rows of weights stay there for all tokens), asked for a group of tokens ahead.
#include "kernel.h"

#ifndef CK_FLOATS_TYPES
#define CK_FLOATS_TYPES
typedef float ck_float16 __attribute__((vector_size(64)));
typedef int32_t ck_int16 __attribute__((vector_size(64)));
typedef uint32_t ck_uint16 __attribute__((vector_size(64)));
typedef _Float16 ck_half16 __attribute__((vector_size(32)));

enum { CK_F32, CK_F16, CK_BF16 };

#define CK_FLOATS_ROWS 32
// How far ahead of a step its prefetches of weights reach, at least.
#define CK_FLOATS_AHEAD 8192

// Columns of a step, bytes of its weights in a row and of its activations in a token.
#define CK_STEP_COLUMNS(KIND) (KIND == CK_BF16 ? 32 : 16)
#define CK_STEP_WEIGHTS(KIND) (KIND == CK_F16 ? 32 : 64)
#define CK_STEP_ACTIVATIONS 64

// Between these two, float steps take subnormal operands and results as zeros. What lies at `memory` and beyond is
// written and read on the right side of them.
#if defined(CK_X86)
CK_INLINE uint64_t ck_flush_begin(const void *memory) {
    uint32_t old, flushing;
    __asm__ volatile("stmxcsr %0" : "=m"(old) : "r"(memory) : "memory");
    flushing = old | 0x8040;  // denormals are zeros, flush to zero
    __asm__ volatile("ldmxcsr %0" ::"m"(flushing), "r"(memory) : "memory");
    return old;
}
CK_INLINE void ck_flush_end(uint64_t mode, const void *memory) {
    uint32_t old = (uint32_t)mode;
    __asm__ volatile("ldmxcsr %0" ::"m"(old), "r"(memory) : "memory");
}
#elif defined(CK_ARM)
CK_INLINE uint64_t ck_flush_begin(const void *memory) {
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old) : "r"(memory) : "memory");
    __asm__ volatile("msr fpcr, %0" ::"r"(old | 1 << 24), "r"(memory) : "memory");
    return old;
}
CK_INLINE void ck_flush_end(uint64_t old, const void *memory) {
    __asm__ volatile("msr fpcr, %0" ::"r"(old), "r"(memory) : "memory");
}
#endif
#endif

// Products per step: two for BF16 without its own instruction, that of the odd columns first.
#if defined(CK_BF16_DOT)
#define CK_HALVES(KIND) (KIND == CK_BF16 ? 1 : 0)
#else
#define CK_HALVES(KIND) (KIND == CK_BF16 ? 2 : 1)
#endif

// 64 bytes as the products take them: floats; pairs of BF16 for the instruction that takes pairs, else their odd
// elements (half 0) or their even ones (half 1) as floats. Vectors go through pointers: how they are passed by value
// depends on the instruction set.
CK_TARGET CK_INLINE void CK_NAME(load)(const uint8_t *p, int kind, int half, ck_float16 *out) {
    ck_uint16 words;
    memcpy(&words, p, sizeof words);
    if (CK_HALVES(kind) == 2) words = half == 0 ? words & 0xffff0000u : words << 16;
    *out = (ck_float16)words;
}

CK_TARGET CK_INLINE void CK_NAME(load_weights)(const uint8_t *p, int kind, int half, ck_float16 *out) {
    if (kind == CK_F16) {
        ck_half16 w;
        memcpy(&w, p, sizeof w);
        *out = __builtin_convertvector(w, ck_float16);
    } else {
        CK_NAME(load)(p, kind, half, out);
    }
}

CK_TARGET CK_INLINE void CK_NAME(add_product)(const ck_float16 *w, const ck_float16 *x, ck_float16 *sum) {
#if defined(CK_BF16_DOT)
    *sum = (ck_float16)_mm512_dpbf16_ps((__m512)*sum, (__m512bh)*w, (__m512bh)*x);
#else
    *sum = __builtin_elementwise_fma(*w, *x, *sum);
#endif
}

// Halves of two vectors added, quarters, and so on: sixteen sums of sixteen lanes in one vector. `lanes` are `stride`
// vectors apart.
CK_TARGET CK_INLINE void CK_NAME(reduce)(const ck_float16 *lanes, size_t stride, ck_float16 *out) {
    ck_float16 v[8];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 8; i++) {
        ck_float16 a = lanes[2 * i * stride], b = lanes[(2 * i + 1) * stride];
        v[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
               __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 4; i++) {
        ck_float16 a = v[2 * i], b = v[2 * i + 1];
        v[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
               __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 2; i++) {
        ck_float16 a = v[2 * i], b = v[2 * i + 1];
        v[i] = __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
               __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
    }
    *out = __builtin_shufflevector(v[0], v[1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           __builtin_shufflevector(v[0], v[1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

// lanes[row][CK_TOKENS] = weights × activations over all whole steps. `tokens`, `kind` and `lines`, the cache lines
// from `ahead` on to ask for in each step, are constants of the caller.
CK_TARGET CK_INLINE void CK_NAME(tile)(const uint8_t *const *row, const uint8_t *const *x, size_t steps,
                                       const uint8_t *ahead, ck_float16 *lanes, int tokens, int kind, int lines) {
    ck_float16 acc[CK_ROWS][CK_TOKENS];
#pragma clang loop unroll(full)
    for (int r = 0; r < CK_ROWS; r++) {
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) acc[r][t] = (ck_float16){0};
    }
    for (size_t step = 0; step < steps; step++) {
#pragma clang loop unroll(full)
        for (int line = 0; line < lines; line++) __builtin_prefetch(ahead + 64 * line, 0, 2);
        ahead += 64 * lines;
#pragma clang loop unroll(full)
        for (int half = 0; half < CK_HALVES(kind); half++) {
            ck_float16 w[CK_ROWS];
#pragma clang loop unroll(full)
            for (int r = 0; r < CK_ROWS; r++) {
                CK_NAME(load_weights)(row[r] + step * CK_STEP_WEIGHTS(kind), kind, half, &w[r]);
            }
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                ck_float16 v;
                CK_NAME(load)(x[t] + step * CK_STEP_ACTIVATIONS, kind, half, &v);
#pragma clang loop unroll(full)
                for (int r = 0; r < CK_ROWS; r++) CK_NAME(add_product)(&w[r], &v, &acc[r][t]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < CK_ROWS; r++) {
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) lanes[r * CK_TOKENS + t] = acc[r][t];
    }
}

// The columns after the last whole step, fewer than its columns.
CK_TARGET __attribute__((noinline)) static void CK_NAME(rest)(const uint8_t *const *row, const uint8_t *const *x, size_t columns,
                                       ck_float16 *lanes, int tokens, int kind) {
    // A lane past the end keeps its sum: adding a product of zeros could change the sign of a zero. BF16 rows end with
    // a whole step by definition, padded with zeros.
    ck_int16 inside = {0};
    for (size_t i = 0; i < 16; i++) inside[i] = kind == CK_BF16 || i < columns ? -1 : 0;
    for (int r = 0; r < CK_ROWS; r++) {
        uint8_t copy[64] = {0};
        memcpy(copy, row[r], columns * (kind == CK_F32 ? 4 : 2));
        for (int half = 0; half < CK_HALVES(kind); half++) {
            ck_float16 w;
            CK_NAME(load_weights)(copy, kind, half, &w);
            for (int t = 0; t < tokens; t++) {
                uint8_t activations[64] = {0};
                memcpy(activations, x[t], columns * (kind == CK_BF16 ? 2 : 4));
                ck_float16 v, old = lanes[r * CK_TOKENS + t], sum = old;
                CK_NAME(load)(activations, kind, half, &v);
                CK_NAME(add_product)(&w, &v, &sum);
                lanes[r * CK_TOKENS + t] = (ck_float16)(((ck_int16)sum & inside) | ((ck_int16)old & ~inside));
            }
        }
    }
}

// `tokens` of one tile × up to CK_FLOATS_ROWS rows from row `first` on. The first tokens ask for the weights of the
// rows to come, as one stream; the others for the `next` tokens, one with each tile.
CK_TARGET CK_INLINE void CK_NAME(block)(const ck_job *job, size_t first, size_t rows, const uint8_t *const *x,
                                        const uint8_t *const *next, float *const *y, int tokens, int kind, int is_first) {
    const int lines = is_first ? CK_ROWS * CK_STEP_WEIGHTS(kind) / 64 : 1;
    const size_t steps = job->cols / CK_STEP_COLUMNS(kind), columns = job->cols % CK_STEP_COLUMNS(kind);
    const size_t ahead = CK_ROWS * job->row_bytes > CK_FLOATS_AHEAD ? CK_ROWS * job->row_bytes : CK_FLOATS_AHEAD;
    ck_float16 lanes[CK_FLOATS_ROWS * CK_TOKENS];
    if (rows % 16 != 0) memset(lanes, 0, sizeof lanes);
    const int flushes = CK_HALVES(kind) == 2;  // as the instruction for pairs does by itself
    uint64_t mode = flushes ? ck_flush_begin(lanes) : 0;
    for (size_t r = 0; r < rows; r += CK_ROWS) {
        const uint8_t *row[CK_ROWS], *rest[CK_ROWS], *x_rest[CK_TOKENS];
        for (size_t i = 0; i < CK_ROWS; i++) {
            size_t last = r + i < rows ? r + i : rows - 1;
            row[i] = job->w + (first + last) * job->row_bytes;
            rest[i] = row[i] + steps * CK_STEP_WEIGHTS(kind);
        }
        const uint8_t *wanted = is_first ? row[0] + ahead : next[r / CK_ROWS % CK_TOKENS];
        CK_NAME(tile)(row, x, steps, wanted, lanes + r * CK_TOKENS, tokens, kind, lines);
        if (columns == 0) continue;
        for (int t = 0; t < tokens; t++) x_rest[t] = x[t] + steps * CK_STEP_ACTIVATIONS;
        CK_NAME(rest)(rest, x_rest, columns, lanes + r * CK_TOKENS, tokens, kind);
    }
    if (flushes) ck_flush_end(mode, lanes);
    for (int t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r += 16) {
            ck_float16 sums;
            CK_NAME(reduce)(&lanes[r * CK_TOKENS + (size_t)t], CK_TOKENS, &sums);
            memcpy(y[t] + first + r, &sums, 4 * (rows - r < 16 ? rows - r : 16));
        }
    }
}

#define CK_FLOATS_BLOCK(T, KIND, FIRST)                                                                             \
    case T: CK_NAME(block)(job, first, rows, x, next, y, T, KIND, FIRST); break;
#if CK_TOKENS == 6
#define CK_FLOATS_BLOCKS(KIND, FIRST)                                                                               \
    CK_FLOATS_BLOCK(4, KIND, FIRST) CK_FLOATS_BLOCK(5, KIND, FIRST) CK_FLOATS_BLOCK(6, KIND, FIRST)
#else
#define CK_FLOATS_BLOCKS(KIND, FIRST)
#endif
#define CK_FLOATS_COUNTS(KIND, FIRST)                                                                               \
    switch (count) {                                                                                                \
        CK_FLOATS_BLOCK(1, KIND, FIRST)                                                                             \
        CK_FLOATS_BLOCK(2, KIND, FIRST)                                                                             \
        CK_FLOATS_BLOCK(3, KIND, FIRST)                                                                             \
        CK_FLOATS_BLOCKS(KIND, FIRST)                                                                               \
    default: break;                                                                                                 \
    }

#define CK_FLOATS_MATMUL(FUNCTION, KIND)                                                                            \
    void FUNCTION(const ck_job *job);                                                                               \
    CK_TARGET void FUNCTION(const ck_job *job) {                                                                    \
        for (size_t first = 0; first < job->rows; first += CK_FLOATS_ROWS) {                                        \
            size_t rows = job->rows - first < CK_FLOATS_ROWS ? job->rows - first : CK_FLOATS_ROWS;                  \
            for (size_t t = 0; t < job->tokens; t += CK_TOKENS) {                                                   \
                size_t count = job->tokens - t < CK_TOKENS ? job->tokens - t : CK_TOKENS;                           \
                const uint8_t *x[CK_TOKENS], *next[CK_TOKENS];                                                      \
                float *y[CK_TOKENS];                                                                                \
                for (size_t i = 0; i < count; i++) {                                                                \
                    x[i] = ck_job_act(job, t + i);                                                                  \
                    y[i] = job->y + (t + i) * job->y_stride;                                                        \
                }                                                                                                   \
                for (size_t i = 0; i < CK_TOKENS; i++) {                                                            \
                    next[i] = ck_job_act(job, (t + CK_TOKENS + i) % job->tokens);                                   \
                }                                                                                                   \
                if (t == 0) {                                                                                       \
                    CK_FLOATS_COUNTS(KIND, 1)                                                                       \
                } else {                                                                                            \
                    CK_FLOATS_COUNTS(KIND, 0)                                                                       \
                }                                                                                                   \
            }                                                                                                       \
        }                                                                                                           \
    }

#if !defined(CK_BF16_DOT)
CK_FLOATS_MATMUL(CK_NAME(ck_matmul_f32), CK_F32)
CK_FLOATS_MATMUL(CK_NAME(ck_matmul_f16), CK_F16)
#endif
CK_FLOATS_MATMUL(CK_NAME(ck_matmul_bf16), CK_BF16)
