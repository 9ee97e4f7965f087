// Q3_K: 256 values of 3 bits with offset 4; 6-bit scale with offset 32 per 16 values.
#include "portable.h"

static void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q3_K *b = p;
    for (int i = 0; i < 256; i++) {
        int low = b->qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
        int third = b->hmask[i % 32] >> (i / 32) & 1;
        out->q[i] = (int8_t)(low + 4 * third - 4);
    }
    for (int i = 0; i < 16; i++) {
        int low = b->scales[i % 8] >> (i / 8 * 4) & 15;
        int high = b->scales[8 + i % 4] >> (i / 4 * 2) & 3;
        out->scale[i] = (int16_t)(low + 16 * high - 32);
        out->min[i] = 0;
    }
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(256, ck_block_q3_K, 0)

const ck_format_impl ck_impl_q3_K = {
    .format = {11, "Q3_K", 256, sizeof(ck_block_q3_K), CK_ACT_Q8_256},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
