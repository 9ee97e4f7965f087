// IQ4_NL: 32 indices of 4 bits into a table of 16 int8 values and one scale.
#include "portable.h"

static const int8_t values[16] = {CK_IQ4_VALUES};

static void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_iq4_nl *b = p;
    for (int i = 0; i < 16; i++) {
        out->q[i] = values[b->qs[i] & 15];
        out->q[i + 16] = values[b->qs[i] >> 4];
    }
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(32, ck_block_iq4_nl, 0)

const ck_format_impl ck_impl_iq4_nl = {
    .format = {20, "IQ4_NL", 32, sizeof(ck_block_iq4_nl), CK_ACT_Q8_32},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
