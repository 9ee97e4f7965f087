// F32, F16 and BF16 weights, portable C.
//
// Sixteen virtual lanes: lane l sums fma(w[k], x[k], lane) over k = l, l + 16, l + 32, … ; a lane whose next k lies
// past the end stops. Then lanes i and i + 8 are added, i and i + 4, i and i + 2, i and i + 1.
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
static void matmul_bf16(const ck_job *job) { matmul(job, 2, widen_bf16); }

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
    .format = {30, "BF16", 1, 2, CK_ACT_F32},
    .dequantize = widen_bf16,
    .matmul =
        {
            [CK_ISA_SCALAR] = matmul_bf16,
#if defined(CK_X86)
            [CK_ISA_AVX2] = ck_matmul_bf16_avx2,
            [CK_ISA_AVX512] = ck_matmul_bf16_avx512,
#endif
#if defined(CK_ARM)
            [CK_ISA_NEON] = ck_matmul_bf16_neon,
#endif
        },
};
