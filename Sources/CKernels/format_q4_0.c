// Q4_0: 32 values of 4 bits with offset 8 and one scale.
#include "portable.h"

static void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q4_0 *b = p;
    for (int i = 0; i < 16; i++) {
        out->q[i] = (int8_t)((b->qs[i] & 15) - 8);
        out->q[i + 16] = (int8_t)((b->qs[i] >> 4) - 8);
    }
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(32, ck_block_q4_0, 0)

const ck_format_impl ck_impl_q4_0 = {
    .format = {2, "Q4_0", 32, sizeof(ck_block_q4_0), CK_ACT_Q8_32},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
