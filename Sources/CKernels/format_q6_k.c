// Q6_K: 256 values of 6 bits with offset 32; int8 scale per 16 values.
#include "portable.h"

static void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q6_K *b = p;
    for (int i = 0; i < 256; i++) {
        int low = b->ql[i / 128 * 64 + i % 64] >> (i / 64 % 2 * 4) & 15;
        int high = b->qh[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
        out->q[i] = (int8_t)(low + 16 * high - 32);
    }
    for (int i = 0; i < 16; i++) {
        out->scale[i] = b->scales[i];
        out->min[i] = 0;
    }
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(256, ck_block_q6_K, 0)

const ck_format_impl ck_impl_q6_K = {
    .format = {14, "Q6_K", 256, sizeof(ck_block_q6_K), CK_ACT_Q8_256},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
