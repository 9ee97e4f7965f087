// Q5_0: 32 values of 5 bits with offset 16 and one scale.
#include "portable.h"

static void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q5_0 *b = p;
    for (int i = 0; i < 16; i++) {
        int low_fifth = b->qh[i / 8] >> (i % 8) & 1, high_fifth = b->qh[2 + i / 8] >> (i % 8) & 1;
        out->q[i] = (int8_t)((b->qs[i] & 15) + 16 * low_fifth - 16);
        out->q[i + 16] = (int8_t)((b->qs[i] >> 4) + 16 * high_fifth - 16);
    }
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(32, ck_block_q5_0, 0)

const ck_format_impl ck_impl_q5_0 = {
    .format = {6, "Q5_0", 32, sizeof(ck_block_q5_0), CK_ACT_Q8_32},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
