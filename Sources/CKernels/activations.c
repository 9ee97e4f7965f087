// Activations to int8 or to BF16. Per group: d = amax / 127, q = round to nearest even of x * (1 / d).
//
// The largest magnitude is found on the bit patterns, where NaN > infinity > any number, so that the order of the
// search does not matter. A group with an infinity or a NaN gets d = NaN and q = 0: its products are NaN.
//
// The code is written once in plain loops; for each instruction set the compiler makes vectors of them.
#include "activations.h"

#define CK_AMAX_NONFINITE 0x7f800000u
#define CK_AMAX_ZERO 0x0d800000u  // 2^-100: below it 1 / d could overflow

// One group of n values; returns its scale.
CK_INLINE float quantize_group(const float *x, int n, int8_t *q) {
    int32_t amax = 0;
    for (int i = 0; i < n; i++) {
        int32_t bits = (int32_t)(ck_float_bits(x[i]) & 0x7fffffffu);
        amax = bits > amax ? bits : amax;
    }
    if ((uint32_t)amax >= CK_AMAX_NONFINITE || (uint32_t)amax < CK_AMAX_ZERO) {
        memset(q, 0, (size_t)n);
        return (uint32_t)amax < CK_AMAX_ZERO ? 0.0f : ck_float_from_bits(0x7fc00000u);
    }
    float d = ck_float_from_bits((uint32_t)amax) / 127.0f, inverse = 1.0f / d;
    for (int i = 0; i < n; i++) {
        // Adding 1.5 * 2^23 rounds to an integer, ties to even, and leaves it in the low bits.
        float shifted = x[i] * inverse + 12582912.0f;
        q[i] = (int8_t)(ck_float_bits(shifted) - 0x4b400000u);
    }
    return d;
}

CK_INLINE int32_t sum_of(const int8_t *q, int n) {
    int32_t sum = 0;
    for (int i = 0; i < n; i++) sum += q[i];
    return sum;
}

CK_INLINE void quantize_32(const float *x, size_t cols, void *out) {
    ck_act32_row row = ck_act32_view(out, cols);
    for (size_t g = 0; g < cols / 32; g++) {
        int8_t *q = (int8_t *)row.q + 32 * g;
        float d = quantize_group(x + 32 * g, 32, q);
        int32_t sum = sum_of(q, 32);
        ((float *)row.d)[g] = d;
        ((float *)row.s)[g] = d * (float)sum;
        ((int32_t *)row.nsum)[g] = -128 * sum;
        ((int32_t *)row.nsum_first)[g] = -128 * sum_of(q, 16);
    }
}

CK_INLINE void quantize_256(const float *x, size_t cols, void *out) {
    ck_act256_row row = ck_act256_view(out, cols);
    for (size_t g = 0; g < cols / 256; g++) {
        int8_t *q = (int8_t *)row.q + 256 * g;
        ck_act256 *group = (ck_act256 *)row.g + g;
        memset(group, 0, sizeof *group);
        group->d = quantize_group(x + 256 * g, 256, q);
        for (int i = 0; i < 16; i++) {
            int32_t sum = sum_of(q + 16 * i, 16);
            group->sum16[i] = (int16_t)sum;
            group->sum32[i / 2] = (int16_t)(group->sum32[i / 2] + sum);
            group->nsum16[i] = -32 * sum;
            group->nsum32[i / 2] += -128 * sum;
            group->nsum256 += -128 * sum;
        }
    }
}

// Round to nearest even; a NaN stays one and becomes quiet. Zeros follow up to the end of the row.
CK_INLINE void round_bf16(const float *x, size_t cols, void *out) {
    uint16_t *row = out;
    for (size_t i = 0; i < cols; i++) {
        uint32_t bits = ck_float_bits(x[i]);
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
        row[i] = (uint16_t)((bits & 0x7fffffff) > CK_AMAX_NONFINITE ? quiet : rounded);
    }
    memset(row + cols, 0, ck_act_row_bytes(CK_ACT_BF16, cols) - 2 * cols);
}

typedef void (*quantize_fn)(const float *x, size_t cols, void *out);

#define QUANTIZERS(TARGET, ISA)                                                                                  \
    TARGET static void quantize_32_##ISA(const float *x, size_t cols, void *out) { quantize_32(x, cols, out); }   \
    TARGET static void quantize_256_##ISA(const float *x, size_t cols, void *out) { quantize_256(x, cols, out); } \
    TARGET static void round_bf16_##ISA(const float *x, size_t cols, void *out) { round_bf16(x, cols, out); }     \
    static quantize_fn quantizer_##ISA(ck_act act) {                                                              \
        if (act == CK_ACT_BF16) return round_bf16_##ISA;                                                          \
        return act == CK_ACT_Q8_32 ? quantize_32_##ISA : quantize_256_##ISA;                                      \
    }

QUANTIZERS(, scalar)
#if defined(CK_X86)
QUANTIZERS(CK_AVX2, avx2)
QUANTIZERS(CK_AVX512, avx512)
#endif

static quantize_fn quantizer(ck_isa isa, ck_act act) {
#if defined(CK_X86)
    if (isa == CK_ISA_AVX512) return quantizer_avx512(act);
    if (isa == CK_ISA_AVX2) return quantizer_avx2(act);
#endif
    (void)isa;
    return quantizer_scalar(act);
}

size_t ck_act_row_bytes(ck_act act, size_t cols) {
    size_t bytes = 0;
    switch (act) {
    case CK_ACT_F32: bytes = 4 * cols; break;
    case CK_ACT_Q8_32: bytes = 48 * ck_act32_groups(cols); break;
    case CK_ACT_BF16: bytes = 2 * cols; break;
    case CK_ACT_Q8_256: bytes = cols + cols / 256 * sizeof(ck_act256); break;
    }
    return ck_round_up(bytes, 64) | 64;
}

void ck_quantize_with(ck_isa isa, ck_act act, const float *x, size_t cols, void *out) {
    if (act == CK_ACT_F32) {
        memcpy(out, x, 4 * cols);
        memset((uint8_t *)out + 4 * cols, 0, ck_act_row_bytes(act, cols) - 4 * cols);
        return;
    }
    if (act == CK_ACT_Q8_32 && cols % 512 != 0) {
        // The padding of the last 16 groups, so that a kernel may load whole vectors.
        memset(out, 0, ck_act_row_bytes(act, cols));
    }
    quantizer(isa, act)(x, cols, out);
}

void ck_quantize(ck_act act, const float *x, size_t cols, void *out) {
    ck_quantize_with(ck_isa_selected(), act, x, cols, out);
}
