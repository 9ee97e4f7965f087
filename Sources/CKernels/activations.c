// Activations to int8. Per group: d = amax / 127, q = round to nearest even of x * (1 / d).
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

typedef void (*quantize_fn)(const float *x, size_t cols, void *out);

static void quantize_32_scalar(const float *x, size_t cols, void *out) { quantize_32(x, cols, out); }
static void quantize_256_scalar(const float *x, size_t cols, void *out) { quantize_256(x, cols, out); }
#if defined(CK_X86)
CK_AVX2 static void quantize_32_avx2(const float *x, size_t cols, void *out) { quantize_32(x, cols, out); }
CK_AVX2 static void quantize_256_avx2(const float *x, size_t cols, void *out) { quantize_256(x, cols, out); }
CK_AVX512 static void quantize_32_avx512(const float *x, size_t cols, void *out) { quantize_32(x, cols, out); }
CK_AVX512 static void quantize_256_avx512(const float *x, size_t cols, void *out) { quantize_256(x, cols, out); }
#endif

static quantize_fn quantizer(ck_isa isa, ck_act act) {
#if defined(CK_X86)
    if (isa == CK_ISA_AVX512) return act == CK_ACT_Q8_32 ? quantize_32_avx512 : quantize_256_avx512;
    if (isa == CK_ISA_AVX2) return act == CK_ACT_Q8_32 ? quantize_32_avx2 : quantize_256_avx2;
#endif
    (void)isa;
    return act == CK_ACT_Q8_32 ? quantize_32_scalar : quantize_256_scalar;
}

size_t ck_act_row_bytes(ck_act act, size_t cols) {
    size_t bytes = 0;
    switch (act) {
    case CK_ACT_F32: bytes = 4 * cols; break;
    case CK_ACT_Q8_32: bytes = 44 * ck_act32_groups(cols); break;
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
