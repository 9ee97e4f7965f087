// Q2_K: 256 values of 2 bits; 4-bit scale and 4-bit minimum per 16 values.
#include "portable.h"

static void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q2_K *b = p;
    for (int i = 0; i < 256; i++) {
        out->q[i] = (int8_t)(b->qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3);
    }
    for (int i = 0; i < 16; i++) {
        out->scale[i] = b->scales[i] & 15;
        out->min[i] = b->scales[i] >> 4;
    }
    out->d = ck_f16(b->d);
    out->dmin = ck_f16(b->dmin);
}

CK_PORTABLE_KERNELS(256, ck_block_q2_K, 1)

const ck_format_impl ck_impl_q2_K = {
    .format = {10, "Q2_K", 256, sizeof(ck_block_q2_K), CK_ACT_Q8_256},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
