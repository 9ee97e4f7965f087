// IQ4_XS: 256 indices of 4 bits into the table of IQ4_NL; 6-bit scale with offset 32 per 32 values.
#include "portable.h"

static const int8_t values[16] = {CK_IQ4_VALUES};

static void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_iq4_xs *b = p;
    for (int i = 0; i < 256; i++) {
        out->q[i] = values[b->qs[i / 32 * 16 + i % 16] >> (i / 16 % 2 * 4) & 15];
    }
    for (int i = 0; i < 16; i++) {
        int low = b->scales_l[i / 4] >> (i / 2 % 2 * 4) & 15;
        int high = b->scales_h >> (i / 2 * 2) & 3;
        out->scale[i] = (int16_t)(low + 16 * high - 32);
        out->min[i] = 0;
    }
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(256, ck_block_iq4_xs, 0)

const ck_format_impl ck_impl_iq4_xs = {
    .format = {23, "IQ4_XS", 256, sizeof(ck_block_iq4_xs), CK_ACT_Q8_256},
    .dequantize = dequantize,
    .matmul = {[CK_ISA_SCALAR] = matmul_scalar},
};
