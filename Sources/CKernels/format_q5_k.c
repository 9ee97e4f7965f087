// Q5_K: 256 values of 5 bits; 6-bit scale and 6-bit minimum per 32 values.
#include "portable.h"

static void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q5_K *b = p;
    for (int i = 0; i < 256; i++) {
        int low = b->qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
        int fifth = b->qh[i % 32] >> (i / 32) & 1;
        out->q[i] = (int8_t)(low + 16 * fifth);
    }
    uint8_t scale[8], min[8];
    ck_unpack_scales_k4(b->scales, scale, min);
    for (int i = 0; i < 16; i++) {
        out->scale[i] = scale[i / 2];
        out->min[i] = min[i / 2];
    }
    out->d = ck_f16(b->d);
    out->dmin = ck_f16(b->dmin);
}

CK_PORTABLE_KERNELS(256, ck_block_q5_K, 1)

const ck_format_impl ck_impl_q5_K = {
    .format = {13, "Q5_K", 256, sizeof(ck_block_q5_K), CK_ACT_Q8_256},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
