// Q8_0: 32 int8 values and one scale.
#include "portable.h"

static void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q8_0 *b = p;
    memcpy(out->q, b->qs, 32);
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(32, ck_block_q8_0, 0)

const ck_format_impl ck_impl_q8_0 = {
    .format = {8, "Q8_0", 32, sizeof(ck_block_q8_0), CK_ACT_Q8_32},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
