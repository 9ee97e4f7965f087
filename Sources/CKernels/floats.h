// Template: products with F32, F16 and BF16 weights for one instruction set, written with vectors of sixteen floats so
// that the sixteen lanes of the definition (weights_float.c) are the lanes of the vector. Before including it define
//   CK_TARGET          the function attribute of the instruction set
//   CK_NAME(X)         X with the instruction set's suffix
//   CK_ROWS, CK_TOKENS the tile that fits its registers
#include "kernel.h"

#ifndef CK_FLOATS_TYPES
#define CK_FLOATS_TYPES
typedef float ck_float16 __attribute__((vector_size(64)));
typedef int32_t ck_int16 __attribute__((vector_size(64)));
typedef float ck_float8 __attribute__((vector_size(32)));
typedef float ck_float4 __attribute__((vector_size(16)));
typedef uint16_t ck_word16 __attribute__((vector_size(32)));
typedef uint32_t ck_uint16 __attribute__((vector_size(64)));
typedef _Float16 ck_half16 __attribute__((vector_size(32)));

enum { CK_F32, CK_F16, CK_BF16 };

// Rows and columns whose partial sums and activations stay in the first-level cache.
#define CK_FLOATS_ROWS 32
#define CK_FLOATS_COLUMNS 512
#endif

// Vectors go through pointers: how they are passed by value depends on the instruction set.
CK_TARGET CK_INLINE void CK_NAME(load_weights)(const uint8_t *p, int kind, ck_float16 *out) {
    if (kind == CK_F32) {
        memcpy(out, p, sizeof *out);
    } else if (kind == CK_F16) {
        ck_half16 w;
        memcpy(&w, p, sizeof w);
        *out = __builtin_convertvector(w, ck_float16);
    } else {
        ck_word16 w;
        memcpy(&w, p, sizeof w);
        *out = (ck_float16)(__builtin_convertvector(w, ck_uint16) << 16);
    }
}

CK_TARGET CK_INLINE float CK_NAME(reduce)(const ck_float16 *lanes) {
    ck_float16 v = *lanes;
    ck_float8 a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                  __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    ck_float4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
    return (b[0] + b[2]) + (b[1] + b[3]);
}

// lanes[row][CK_TOKENS] += weights × activations over `columns`; `tokens` is a constant of the caller.
CK_TARGET CK_INLINE void CK_NAME(tile)(const uint8_t *const *row, const float *const *x, size_t columns,
                                       ck_float16 *lanes, int tokens, int kind) {
    const size_t width = kind == CK_F32 ? 4 : 2;
    ck_float16 acc[CK_ROWS][CK_TOKENS];
#pragma clang loop unroll(full)
    for (int r = 0; r < CK_ROWS; r++) {
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) acc[r][t] = lanes[r * CK_TOKENS + t];
    }
    size_t k = 0;
    for (; k + 16 <= columns; k += 16) {
        ck_float16 w[CK_ROWS];
#pragma clang loop unroll(full)
        for (int r = 0; r < CK_ROWS; r++) {
            CK_NAME(load_weights)(row[r] + k * width, kind, &w[r]);
            if (tokens == 1) __builtin_prefetch(row[r] + k * width + 1024);
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            ck_float16 v;
            memcpy(&v, x[t] + k, sizeof v);
#pragma clang loop unroll(full)
            for (int r = 0; r < CK_ROWS; r++) acc[r][t] = __builtin_elementwise_fma(w[r], v, acc[r][t]);
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < CK_ROWS; r++) {
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) lanes[r * CK_TOKENS + t] = acc[r][t];
    }
    if (k < columns) {
        // A lane past the end keeps its sum: adding a product of zeros could change the sign of a zero.
        ck_int16 inside = {0};
        for (size_t i = 0; i < columns - k; i++) inside[i] = -1;
        for (int r = 0; r < CK_ROWS; r++) {
            uint8_t copy[64] = {0};
            memcpy(copy, row[r] + k * width, (columns - k) * width);
            ck_float16 w;
            CK_NAME(load_weights)(copy, kind, &w);
            for (int t = 0; t < tokens; t++) {
                ck_float16 v = {0}, old = lanes[r * CK_TOKENS + t];
                memcpy(&v, x[t] + k, (columns - k) * sizeof(float));
                ck_int16 sum = (ck_int16)__builtin_elementwise_fma(w, v, old);
                lanes[r * CK_TOKENS + t] = (ck_float16)((sum & inside) | ((ck_int16)old & ~inside));
            }
        }
    }
}

// `tokens` of one tile × up to CK_FLOATS_ROWS rows from row `first` on.
CK_TARGET CK_INLINE void CK_NAME(block)(const ck_job *job, size_t first, size_t rows, const float *const *x,
                                        float *const *y, int tokens, int kind) {
    const size_t width = kind == CK_F32 ? 4 : 2;
    ck_float16 lanes[CK_FLOATS_ROWS * CK_TOKENS];
    memset(lanes, 0, sizeof lanes);
    // One token streams its rows from end to end; several share the activations in parts.
    size_t part = tokens == 1 ? job->cols : CK_FLOATS_COLUMNS;
    for (size_t k = 0; k < job->cols; k += part) {
        size_t columns = job->cols - k < part ? job->cols - k : part;
        const float *at[CK_TOKENS];
        for (int t = 0; t < tokens; t++) at[t] = x[t] + k;
        for (size_t r = 0; r < rows; r += CK_ROWS) {
            const uint8_t *row[CK_ROWS];
            for (size_t i = 0; i < CK_ROWS; i++) {
                size_t last = r + i < rows ? r + i : rows - 1;
                row[i] = job->w + (first + last) * job->row_bytes + k * width;
            }
            CK_NAME(tile)(row, at, columns, lanes + r * CK_TOKENS, tokens, kind);
        }
    }
    for (int t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) y[t][first + r] = CK_NAME(reduce)(&lanes[r * CK_TOKENS + (size_t)t]);
    }
}

#define CK_FLOATS_BLOCK(T, KIND)                                                                                    \
    case T: CK_NAME(block)(job, first, rows, x, y, T, KIND); break;
#if CK_TOKENS == 6
#define CK_FLOATS_BLOCKS(KIND) CK_FLOATS_BLOCK(4, KIND) CK_FLOATS_BLOCK(5, KIND) CK_FLOATS_BLOCK(6, KIND)
#else
#define CK_FLOATS_BLOCKS(KIND)
#endif

#define CK_FLOATS_MATMUL(FUNCTION, KIND)                                                                            \
    void FUNCTION(const ck_job *job);                                                                               \
    CK_TARGET void FUNCTION(const ck_job *job) {                                                             \
        for (size_t first = 0; first < job->rows; first += CK_FLOATS_ROWS) {                                        \
            size_t rows = job->rows - first < CK_FLOATS_ROWS ? job->rows - first : CK_FLOATS_ROWS;                  \
            for (size_t t = 0; t < job->tokens; t += CK_TOKENS) {                                                   \
                size_t count = job->tokens - t < CK_TOKENS ? job->tokens - t : CK_TOKENS;                           \
                const float *x[CK_TOKENS];                                                                          \
                float *y[CK_TOKENS];                                                                                \
                for (size_t i = 0; i < count; i++) {                                                                \
                    x[i] = (const float *)ck_job_act(job, t + i);                                                   \
                    y[i] = job->y + (t + i) * job->y_stride;                                                        \
                }                                                                                                   \
                switch (count) {                                                                                    \
                    CK_FLOATS_BLOCK(1, KIND)                                                                        \
                    CK_FLOATS_BLOCK(2, KIND)                                                                        \
                    CK_FLOATS_BLOCK(3, KIND)                                                                        \
                    CK_FLOATS_BLOCKS(KIND)                                                                          \
                default: break;                                                                                     \
                }                                                                                                   \
            }                                                                                                       \
        }                                                                                                           \
    }

CK_FLOATS_MATMUL(CK_NAME(ck_matmul_f32), CK_F32)
CK_FLOATS_MATMUL(CK_NAME(ck_matmul_f16), CK_F16)
CK_FLOATS_MATMUL(CK_NAME(ck_matmul_bf16), CK_BF16)
