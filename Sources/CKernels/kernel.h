// What the C files share: the table behind ck_format, the arguments of a product, helpers for all formats.
#ifndef CK_KERNEL_H
#define CK_KERNEL_H

#include <math.h>
#include <string.h>

#include "ckernels.h"

// No product and sum may be fused unless the source says fma: bits would differ between instruction sets.
#pragma STDC FP_CONTRACT OFF

#define CK_ISA_COUNT 5
#define CK_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define CK_X86 1
#define CK_AVX2 __attribute__((target("avx2,fma,f16c")))
#define CK_AVX512 \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx512vbmi")))
#define CK_AVX512_BF16 \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx512bf16")))
#endif

#if defined(__aarch64__)
#define CK_ARM 1
#define CK_NEON __attribute__((target("dotprod")))
#define CK_I8MM __attribute__((target("dotprod,i8mm")))
#endif

// The arguments of ck_matmul.
typedef struct ck_job {
    const uint8_t *w;   // [rows][row_bytes]
    size_t rows, cols;
    size_t row_bytes;
    const uint8_t *act;  // [..][act_stride]
    size_t act_stride;
    const int32_t *index;  // [tokens] or NULL
    size_t tokens;
    float *y;  // [tokens][y_stride]
    size_t y_stride;
    void *scratch;
} ck_job;

CK_INLINE const uint8_t *ck_job_act(const ck_job *j, size_t token) {
    return j->act + (j->index ? (size_t)j->index[token] : token) * j->act_stride;
}

typedef void (*ck_matmul_fn)(const ck_job *job);

// A format with its code; `matmul[isa]` is NULL where only a weaker instruction set's exists.
typedef struct ck_format_impl {
    ck_format format;
    void (*dequantize)(const void *w, size_t cols, float *out);
    ck_matmul_fn matmul[CK_ISA_COUNT];
} ck_format_impl;

extern const ck_format_impl ck_impl_f32, ck_impl_f16, ck_impl_bf16, ck_impl_q8_0, ck_impl_q4_0, ck_impl_q4_1,
    ck_impl_q5_0, ck_impl_q5_1, ck_impl_q2_K, ck_impl_q3_K, ck_impl_q4_K, ck_impl_q5_K, ck_impl_q6_K, ck_impl_iq4_nl,
    ck_impl_iq4_xs, ck_impl_mxfp4, ck_impl_iq1_s, ck_impl_iq1_m, ck_impl_iq2_xxs, ck_impl_iq2_xs, ck_impl_iq2_s,
    ck_impl_iq3_xxs, ck_impl_iq3_s, ck_impl_tq1_0, ck_impl_tq2_0, ck_impl_nvfp4, ck_impl_q1_0,
    ck_impl_q2_0;

CK_INLINE float ck_float_from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

CK_INLINE uint32_t ck_float_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

// IEEE 754 binary16 to binary32: exact; a signalling NaN becomes quiet, as the processor's conversion does.
CK_INLINE float ck_f16(uint16_t h) {
#if defined(CK_ARM)
    __fp16 half;
    memcpy(&half, &h, sizeof half);
    return half;
#else
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, magnitude = h & 0x7fffu;
    if (magnitude >= 0x7c00u) {
        uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0;
        return ck_float_from_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13 | quiet);
    }
    if (magnitude >= 0x400u) return ck_float_from_bits(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
    float subnormal = (float)magnitude * 0x1p-24f;
    return ck_float_from_bits(sign | ck_float_bits(subnormal));
#endif
}

// bfloat16 to binary32: the upper half of the bits.
CK_INLINE float ck_bf16(uint16_t h) { return ck_float_from_bits((uint32_t)h << 16); }

#endif
