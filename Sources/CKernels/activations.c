// Activations to int8, portable C. Per group: d = amax / 127, q = round to nearest even of x * (1 / d).
//
// The largest magnitude is found on the bit patterns, where NaN > infinity > any number, so that the order of the
// search does not matter. A group with an infinity or a NaN gets d = NaN and q = 0: its products are NaN.
#include "activations.h"

#include "quantize.h"

#define CK_AMAX_NONFINITE 0x7f800000u
#define CK_AMAX_ZERO 0x0d800000u  // 2^-100: below it 1 / d could overflow

ck_group_scale ck_group_scale_of(uint32_t amax_bits) {
    if (amax_bits >= CK_AMAX_NONFINITE) return (ck_group_scale){ck_float_from_bits(0x7fc00000u), 0.0f, 0};
    if (amax_bits < CK_AMAX_ZERO) return (ck_group_scale){0.0f, 0.0f, 0};
    float d = ck_float_from_bits(amax_bits) / 127.0f;
    return (ck_group_scale){d, 1.0f / d, 1};
}

// One group of n values; returns its scale.
static float quantize_group(const float *x, size_t n, int8_t *q) {
    uint32_t amax = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = ck_float_bits(x[i]) & 0x7fffffffu;
        if (bits > amax) amax = bits;
    }
    ck_group_scale scale = ck_group_scale_of(amax);
    if (!scale.usable) {
        memset(q, 0, n);
        return scale.d;
    }
    for (size_t i = 0; i < n; i++) {
        // Adding 1.5 * 2^23 rounds to an integer, ties to even, and leaves it in the low bits.
        float shifted = x[i] * scale.inverse + 12582912.0f;
        q[i] = (int8_t)(int32_t)(ck_float_bits(shifted) - 0x4b400000u);
    }
    return scale.d;
}

static int32_t sum_of(const int8_t *q, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += q[i];
    return sum;
}

void ck_quantize_32_scalar(const float *x, size_t cols, void *out) {
    ck_act32_row row = ck_act32_view(out, cols);
    size_t groups = cols / 32;
    for (size_t g = 0; g < groups; g++) {
        int8_t *q = (int8_t *)row.q + 32 * g;
        float d = quantize_group(x + 32 * g, 32, q);
        int32_t sum = sum_of(q, 32);
        ((float *)row.d)[g] = d;
        ((float *)row.s)[g] = d * (float)sum;
        ((int32_t *)row.nsum)[g] = -128 * sum;
    }
}

void ck_quantize_256_scalar(const float *x, size_t cols, void *out) {
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
            group->nsum16[i] = -128 * sum;
            group->nsum32[i / 2] += -128 * sum;
            group->nsum256 += -128 * sum;
        }
    }
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
    (void)isa;
    (act == CK_ACT_Q8_32 ? ck_quantize_32_scalar : ck_quantize_256_scalar)(x, cols, out);
}

void ck_quantize(ck_act act, const float *x, size_t cols, void *out) {
    ck_quantize_with(ck_isa_selected(), act, x, cols, out);
}
