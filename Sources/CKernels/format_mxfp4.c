// MXFP4: 32 E2M1 values of 4 bits and one power-of-two scale (Open Compute MX specification 1.0).
#include "portable.h"

static const int8_t values[16] = {CK_E2M1_DOUBLED};

static void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_mxfp4 *b = p;
    for (int i = 0; i < 16; i++) {
        out->q[i] = values[b->qs[i] & 15];
        out->q[i + 16] = values[b->qs[i] >> 4];
    }
    out->d = ck_e8m0_half(b->e);
}

CK_PORTABLE_KERNELS(32, ck_block_mxfp4, 0)

const ck_format_impl ck_impl_mxfp4 = {
    .format = {39, "MXFP4", 32, sizeof(ck_block_mxfp4), CK_ACT_Q8_32},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
