// Which instruction sets this machine has, which one is in use, and the way from ck_matmul to a kernel.
#include <stdatomic.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include "neon_tiles.h"
#include "panel.h"
#include "rows.h"
#include "strip.h"

static const ck_format_impl *const formats[] = {
    &ck_impl_f32,  &ck_impl_f16,    &ck_impl_q4_0,   &ck_impl_q4_1, &ck_impl_q5_0, &ck_impl_q5_1,
    &ck_impl_q8_0, &ck_impl_q2_K,   &ck_impl_q3_K,   &ck_impl_q4_K, &ck_impl_q5_K, &ck_impl_q6_K,
    &ck_impl_iq2_xxs, &ck_impl_iq2_xs, &ck_impl_iq3_xxs, &ck_impl_iq1_s, &ck_impl_iq4_nl, &ck_impl_iq3_s,
    &ck_impl_iq2_s, &ck_impl_iq4_xs, &ck_impl_iq1_m, &ck_impl_bf16, &ck_impl_tq1_0, &ck_impl_tq2_0,
    &ck_impl_mxfp4, &ck_impl_nvfp4, &ck_impl_q1_0, &ck_impl_q2_0,
};

size_t ck_format_count(void) { return sizeof formats / sizeof formats[0]; }

const ck_format *ck_format_at(size_t i) { return &formats[i]->format; }

const ck_format *ck_format_find(uint32_t gguf_type) {
    for (size_t i = 0; i < ck_format_count(); i++) {
        if (formats[i]->format.gguf_type == gguf_type) return &formats[i]->format;
    }
    return NULL;
}

#if defined(CK_ARM)
#if defined(__linux__)
// ASIMDDP and I8MM among the kernel's capability bits.
static int has_dot_products(void) { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; }
static int has_matrix_products(void) { return (getauxval(AT_HWCAP2) >> 13 & 1) != 0; }
#elif defined(__APPLE__)
static int has(const char *feature) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(feature, &value, &size, NULL, 0) == 0 && value != 0;
}
static int has_dot_products(void) { return has("hw.optional.arm.FEAT_DotProd"); }
static int has_matrix_products(void) { return has("hw.optional.arm.FEAT_I8MM"); }
#else
static int has_dot_products(void) { return 0; }
static int has_matrix_products(void) { return 0; }
#endif
#endif

// The compiler's run-time check covers the operating system's support of the wide registers too.
int ck_isa_available(ck_isa isa) {
    switch (isa) {
    case CK_ISA_SCALAR: return 1;
#if defined(CK_X86)
    case CK_ISA_AVX2:
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case CK_ISA_AVX512:
        return ck_isa_available(CK_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
               __builtin_cpu_supports("avx512vbmi");
#endif
#if defined(CK_ARM)
    case CK_ISA_NEON: return has_dot_products();
    case CK_ISA_I8MM: return has_dot_products() && has_matrix_products();
#endif
    default: return 0;
    }
}

ck_isa ck_isa_best(void) {
    if (ck_isa_available(CK_ISA_AVX512)) return CK_ISA_AVX512;
    if (ck_isa_available(CK_ISA_AVX2)) return CK_ISA_AVX2;
    if (ck_isa_available(CK_ISA_I8MM)) return CK_ISA_I8MM;
    return ck_isa_available(CK_ISA_NEON) ? CK_ISA_NEON : CK_ISA_SCALAR;
}

// The chosen instruction set plus one; zero until the first use.
static _Atomic int selected;

int ck_isa_select(ck_isa isa) {
    if (!ck_isa_available(isa)) return 0;
    atomic_store_explicit(&selected, (int)isa + 1, memory_order_relaxed);
    return 1;
}

ck_isa ck_isa_selected(void) {
    int value = atomic_load_explicit(&selected, memory_order_relaxed);
    if (value == 0) {
        value = (int)ck_isa_best() + 1;
        atomic_store_explicit(&selected, value, memory_order_relaxed);
    }
    return (ck_isa)(value - 1);
}

// `format` is the first member of the implementation that holds it.
static const ck_format_impl *implementation(const ck_format *f) { return (const ck_format_impl *)f; }

// With so few tokens the weights' way from memory is what takes time.
#define CK_FEW_TOKENS 8
// Kernels ask for what lies ahead of them, so nobody has asked for the first weights of a product.
#define CK_BEGINNING 8192

static void prefetch_beginning(const ck_job *job) {
    size_t bytes = job->rows * job->row_bytes;
    if (bytes > CK_BEGINNING) bytes = CK_BEGINNING;
    for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(job->w + at, 0, 2);
}

void ck_matmul_with(ck_isa isa, const ck_format *f, const void *w, size_t rows, size_t cols, const void *act,
                    size_t act_stride, const int32_t *index, size_t tokens, float *y, size_t y_stride,
                    void *scratch) {
    if (rows == 0 || tokens == 0) return;
    const ck_format_impl *impl = implementation(f);
    ck_job job = {
        .w = w,
        .rows = rows,
        .cols = cols,
        .row_bytes = cols / f->block * f->block_bytes,
        .act = act,
        .act_stride = act_stride,
        .index = index,
        .tokens = tokens,
        .y = y,
        .y_stride = y_stride,
        .scratch = scratch,
    };
    if (tokens <= CK_FEW_TOKENS) prefetch_beginning(&job);
    ck_matmul_fn kernel = impl->matmul[isa];
    if (!kernel && isa == CK_ISA_I8MM) kernel = impl->matmul[CK_ISA_NEON];
    if (!kernel) kernel = impl->matmul[CK_ISA_SCALAR];
    kernel(&job);
}

void ck_matmul(const ck_format *f, const void *w, size_t rows, size_t cols, const void *act, size_t act_stride,
               const int32_t *index, size_t tokens, float *y, size_t y_stride, void *scratch) {
    ck_matmul_with(ck_isa_selected(), f, w, rows, cols, act, act_stride, index, tokens, y, y_stride, scratch);
}

void ck_dequantize(const ck_format *f, const void *w, size_t cols, float *out) {
    implementation(f)->dequantize(w, cols, out);
}

size_t ck_matmul_scratch_bytes(const ck_format *f, size_t cols) {
    if (f->act == CK_ACT_F32 || f->act == CK_ACT_BF16) return 64;
    size_t bytes = CK_ROWS_TOKENS * ck_rows_prepared_bytes(cols);
    if (ck_panel_scratch_bytes() > bytes) bytes = ck_panel_scratch_bytes();
    if (ck_strip_scratch_bytes(cols) > bytes) bytes = ck_strip_scratch_bytes(cols);
#if defined(CK_ARM)
    if (ck_tiles_scratch_bytes(cols) > bytes) bytes = ck_tiles_scratch_bytes(cols);
#endif
    return bytes;
}
