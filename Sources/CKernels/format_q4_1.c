// Q4_1: 32 values of 4 bits, one scale, one minimum.
#include "portable.h"

static void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q4_1 *b = p;
    for (int i = 0; i < 16; i++) {
        out->q[i] = (int8_t)(b->qs[i] & 15);
        out->q[i + 16] = (int8_t)(b->qs[i] >> 4);
    }
    out->d = ck_f16(b->d);
    out->m = ck_f16(b->m);
}

CK_PORTABLE_KERNELS(32, ck_block_q4_1, 1)

const ck_format_impl ck_impl_q4_1 = {
    .format = {3, "Q4_1", 32, sizeof(ck_block_q4_1), CK_ACT_Q8_32},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
