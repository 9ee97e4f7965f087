// Portable C for the integer formats. A format gives one function that unpacks a block to plain integers; the exact
// integer sums and the fixed float steps are written here once and define the bits of every other kernel.
#ifndef CK_PORTABLE_H
#define CK_PORTABLE_H

#include "activations.h"
#include "blocks.h"

// 32 weights: weight i = d * q[i], plus m where the format has a minimum; with two scales m is that of the second half.
typedef struct ck_unpacked32 {
    int8_t q[32];
    float d, m;
} ck_unpacked32;

// A block of 256 weights in groups of 16: weight i = d * scale[i / 16] * q[i], minus dmin * min[i / 16] where the
// format has minima. Formats with groups of 32 repeat their scales.
typedef struct ck_unpacked256 {
    int8_t q[256];
    int16_t scale[16], min[16];
    float d, dmin;
} ck_unpacked256;

// What a 32-value format's m is.
enum { CK_ONE_SCALE = 0, CK_WITH_MINIMUM = 1, CK_TWO_SCALES = 2 };

// part: which 32 values of a block that has more of them.
typedef void (*ck_unpack32_fn)(const void *block, size_t part, ck_unpacked32 *out);
typedef void (*ck_unpack256_fn)(const void *block, ck_unpacked256 *out);

// Per 32 columns: acc = fma(d * d_act, Σ q q_act, acc), then with a minimum acc = fma(m, d_act * Σ q_act, acc). With two
// scales each half has its own step: acc = fma(d * d_act, Σ q q_act, acc), acc = fma(m * d_act, Σ q q_act, acc).
void ck_portable_matmul32(const ck_job *job, size_t block_bytes, size_t parts, ck_unpack32_fn unpack, int kind);
void ck_portable_dequantize32(const void *w, size_t cols, float *out, size_t block_bytes, size_t parts,
                              ck_unpack32_fn unpack, int kind);

// Per block of 256: acc = fma(d * d_act, Σ scale Σ q q_act, acc), then with minima
// acc = fma(-(dmin * d_act), Σ min Σ q_act, acc). The integer sums stay far below 2^31 for any block bytes.
void ck_portable_matmul256(const ck_job *job, size_t block_bytes, ck_unpack256_fn unpack, int has_min);
void ck_portable_dequantize256(const void *w, size_t cols, float *out, size_t block_bytes, ck_unpack256_fn unpack,
                               int has_min);

// The functions a format's table entry needs, around its `unpack`.
#define CK_PORTABLE_KERNELS_256(BLOCK, HAS_MIN)                                                  \
    static void dequantize(const void *w, size_t cols, float *out) {                             \
        ck_portable_dequantize256(w, cols, out, sizeof(BLOCK), unpack, HAS_MIN);                 \
    }                                                                                            \
    static void matmul_scalar(const ck_job *job) {                                               \
        ck_portable_matmul256(job, sizeof(BLOCK), unpack, HAS_MIN);                              \
    }

// The same of a format of 32 values, with parts.h.
#define CK_PORTABLE_KERNELS_32(BLOCK, KIND)                                                      \
    static void unpack_part(const void *block, size_t part, ck_unpacked32 *out) {                \
        (void)part;                                                                              \
        unpack(CK_WITH_PART(block, part), out);                                                  \
    }                                                                                            \
    static void dequantize(const void *w, size_t cols, float *out) {                             \
        ck_portable_dequantize32(w, cols, out, sizeof(BLOCK), CK_PARTS, unpack_part, KIND);      \
    }                                                                                            \
    static void matmul_scalar(const ck_job *job) {                                               \
        ck_portable_matmul32(job, sizeof(BLOCK), CK_PARTS, unpack_part, KIND);                   \
    }

// The eight 6-bit scales and minima of Q4_K and Q5_K.
CK_INLINE void ck_unpack_scales_k4(const uint8_t packed[12], uint8_t scale[8], uint8_t min[8]) {
    for (int i = 0; i < 4; i++) {
        scale[i] = packed[i] & 63;
        min[i] = packed[i + 4] & 63;
        scale[i + 4] = (packed[i + 8] & 15) | (packed[i] >> 6 << 4);
        min[i + 4] = (packed[i + 8] >> 4) | (packed[i + 4] >> 6 << 4);
    }
}

// Half of the scale 2^(e - 127), to go with the doubled values. e = 0 and 1 give subnormals, as ggml reads them; the
// Open Compute specification calls e = 255 a NaN, ggml counts on and so does this.
CK_INLINE float ck_e8m0_half(uint8_t e) {
    return ck_float_from_bits(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23);
}

#endif
