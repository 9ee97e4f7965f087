// F32, F16 and BF16 weights, portable C.
//
// Sixteen virtual lanes: lane l sums fma(w[k], x[k], lane) over k = l, l + 16, l + 32, … ; a lane whose next k lies
// past the end stops. Then lanes i and i + 8 are added, i and i + 4, i and i + 2, i and i + 1.
//
// BF16 weights take activations rounded to BF16 and the sums of Intel's `vdpbf16ps` (Software Developer's Manual,
// volume 2): lane l sums over pairs of columns, k = 2l, 2l + 32, 2l + 64, … , first the odd one, fma(w[k + 1], x[k + 1],
// lane), then fma(w[k], x[k], lane). Each fma rounds to nearest even, takes subnormal operands as zeros and gives a
// zero of the same sign for a result that is subnormal (below 2^-126 when rounded to 24 bits whatever its exponent).
// Zeros follow a row up to a multiple of 32 columns. The lanes are added as above, without such a flush.
#include "kernel.h"

static float reduce16(float *lane) {
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) lane[i] = lane[i] + lane[i + half];
    }
    return lane[0];
}

static void widen_f32(const void *w, size_t n, float *out) { memcpy(out, w, 4 * n); }

static void widen_f16(const void *w, size_t n, float *out) {
    const uint8_t *p = w;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        out[i] = ck_f16(h);
    }
}

static void widen_bf16(const void *w, size_t n, float *out) {
    const uint8_t *p = w;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        out[i] = ck_bf16(h);
    }
}

static float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x; }

// Where a subnormal result is rounded up to 2^-126, the exact one decides. 53 bits hold what is needed of it: the
// product has 16 bits, the sum is a float.
static float fma_flushed(float a, float b, float sum) {
    a = flushed(a);
    b = flushed(b);
    float result = fmaf(a, b, sum);
    if (fabsf(result) != 0x1p-126f) return flushed(result);
    double exact = fma((double)a, (double)b, (double)sum);
    return fabs(exact) < 0x1p-126 - 0x1p-151 ? copysignf(0.0f, result) : result;
}

static void matmul_bf16(const ck_job *job) {
    for (size_t r = 0; r < job->rows; r++) {
        for (size_t t = 0; t < job->tokens; t++) {
            const uint8_t *row = job->w + r * job->row_bytes, *act = ck_job_act(job, t);
            float lane[16] = {0};
            for (size_t k = 0; k < job->cols; k += 32) {
                size_t n = job->cols - k < 32 ? job->cols - k : 32;
                uint16_t w[32] = {0}, x[32] = {0};
                memcpy(w, row + 2 * k, 2 * n);
                memcpy(x, act + 2 * k, 2 * n);
                for (size_t l = 0; l < 16; l++) {
                    lane[l] = fma_flushed(ck_bf16(w[2 * l + 1]), ck_bf16(x[2 * l + 1]), lane[l]);
                    lane[l] = fma_flushed(ck_bf16(w[2 * l]), ck_bf16(x[2 * l]), lane[l]);
                }
            }
            job->y[t * job->y_stride + r] = reduce16(lane);
        }
    }
}

static void matmul(const ck_job *job, size_t width, void (*widen)(const void *, size_t, float *)) {
    for (size_t r = 0; r < job->rows; r++) {
        for (size_t t = 0; t < job->tokens; t++) {
            const float *x = (const float *)ck_job_act(job, t);
            float lane[16] = {0};
            for (size_t k = 0; k < job->cols; k += 16) {
                size_t n = job->cols - k < 16 ? job->cols - k : 16;
                float w[16];
                widen(job->w + r * job->row_bytes + k * width, n, w);
                for (size_t i = 0; i < n; i++) lane[i] = fmaf(w[i], x[k + i], lane[i]);
            }
            job->y[t * job->y_stride + r] = reduce16(lane);
        }
    }
}

// floats.h compiled for each instruction set.
#if defined(CK_X86)
void ck_matmul_f32_avx2(const ck_job *), ck_matmul_f16_avx2(const ck_job *), ck_matmul_bf16_avx2(const ck_job *);
void ck_matmul_f32_avx512(const ck_job *), ck_matmul_f16_avx512(const ck_job *), ck_matmul_bf16_avx512(const ck_job *);
#endif
#if defined(CK_ARM)
void ck_matmul_f32_neon(const ck_job *), ck_matmul_f16_neon(const ck_job *), ck_matmul_bf16_neon(const ck_job *);
#endif

static void matmul_f32(const ck_job *job) { matmul(job, 4, widen_f32); }
static void matmul_f16(const ck_job *job) { matmul(job, 2, widen_f16); }

#if defined(CK_X86)
void ck_matmul_bf16_avx512bf16(const ck_job *);

static void matmul_bf16_avx512(const ck_job *job) {
    __builtin_cpu_supports("avx512bf16") ? ck_matmul_bf16_avx512bf16(job) : ck_matmul_bf16_avx512(job);
}
#endif

#if defined(CK_ARM)
// This processor flushes what is below 2^-126 before rounding. It notes when it flushed anything, and then, which takes
// weights or activations of no use, portable C decides.
static void matmul_bf16_neon(const ck_job *job) {
    const uint64_t underflow = 1 << 3;
    uint64_t before, after;
    __asm__ volatile("mrs %0, fpsr" : "=r"(before) : : "memory");
    __asm__ volatile("msr fpsr, %0" : : "r"(before & ~underflow) : "memory");
    ck_matmul_bf16_neon(job);
    __asm__ volatile("mrs %0, fpsr" : "=r"(after) : : "memory");
    __asm__ volatile("msr fpsr, %0" : : "r"(before) : "memory");
    if (after & underflow) matmul_bf16(job);
}
#endif

const ck_format_impl ck_impl_f32 = {
    .format = {0, "F32", 1, 4, CK_ACT_F32},
    .dequantize = widen_f32,
    .matmul =
        {
            [CK_ISA_SCALAR] = matmul_f32,
#if defined(CK_X86)
            [CK_ISA_AVX2] = ck_matmul_f32_avx2,
            [CK_ISA_AVX512] = ck_matmul_f32_avx512,
#endif
#if defined(CK_ARM)
            [CK_ISA_NEON] = ck_matmul_f32_neon,
#endif
        },
};

const ck_format_impl ck_impl_f16 = {
    .format = {1, "F16", 1, 2, CK_ACT_F32},
    .dequantize = widen_f16,
    .matmul =
        {
            [CK_ISA_SCALAR] = matmul_f16,
#if defined(CK_X86)
            [CK_ISA_AVX2] = ck_matmul_f16_avx2,
            [CK_ISA_AVX512] = ck_matmul_f16_avx512,
#endif
#if defined(CK_ARM)
            [CK_ISA_NEON] = ck_matmul_f16_neon,
#endif
        },
};

const ck_format_impl ck_impl_bf16 = {
    .format = {30, "BF16", 1, 2, CK_ACT_BF16},
    .dequantize = widen_bf16,
    .matmul =
        {
            [CK_ISA_SCALAR] = matmul_bf16,
#if defined(CK_X86)
            [CK_ISA_AVX2] = ck_matmul_bf16_avx2,
            [CK_ISA_AVX512] = matmul_bf16_avx512,
#endif
#if defined(CK_ARM)
            [CK_ISA_NEON] = matmul_bf16_neon,
#endif
        },
};
