// Q5_1: 32 values of 5 bits, one scale, one minimum.
#include "portable.h"

static void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q5_1 *b = p;
    for (int i = 0; i < 16; i++) {
        int low_fifth = b->qh[i / 8] >> (i % 8) & 1, high_fifth = b->qh[2 + i / 8] >> (i % 8) & 1;
        out->q[i] = (int8_t)((b->qs[i] & 15) + 16 * low_fifth);
        out->q[i + 16] = (int8_t)((b->qs[i] >> 4) + 16 * high_fifth);
    }
    out->d = ck_f16(b->d);
    out->m = ck_f16(b->m);
}

CK_PORTABLE_KERNELS(32, ck_block_q5_1, 1)

const ck_format_impl ck_impl_q5_1 = {
    .format = {7, "Q5_1", 32, sizeof(ck_block_q5_1), CK_ACT_Q8_32},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
