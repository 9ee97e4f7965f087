// Q4_K: 256 values of 4 bits; 6-bit scale and 6-bit minimum per 32 values.
#include "portable.h"
#include "avx512.h"

static void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_q4_K *b = p;
    for (int i = 0; i < 256; i++) out->q[i] = (int8_t)(b->qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15);
    uint8_t scale[8], min[8];
    ck_unpack_scales_k4(b->scales, scale, min);
    for (int i = 0; i < 16; i++) {
        out->scale[i] = scale[i / 2];
        out->min[i] = min[i / 2];
    }
    out->d = ck_f16(b->d);
    out->dmin = ck_f16(b->dmin);
}

CK_PORTABLE_KERNELS(256, ck_block_q4_K, 1)

#if defined(CK_X86)
CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    return ck_scales_k4(ck_load_lanes(block[0] + 4, block[1] + 4, block[2] + 4, block[3] + 4));
}

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m128i scales, __m512i q[4]) {
    (void)scales;
    __m512i x0 = _mm512_loadu_si512(block + 16), x1 = _mm512_loadu_si512(block + 80);
    q[0] = ck_low_nibbles(x0);
    q[1] = ck_high_nibbles(x0);
    q[2] = ck_low_nibbles(x1);
    q[3] = ck_high_nibbles(x1);
}

#define CK_BLOCK ck_block_q4_K
#define CK_KIND CK_SCALED_MIN
#define CK_TILE_KIND CK_TILE_256_BY_32_MIN
#define CK_LANES CK_LANES_NIBBLES
#define CK_D 0
#define CK_DMIN 2
#include "avx512_256.h"
#endif

const ck_format_impl ck_impl_q4_K = {
    .format = {12, "Q4_K", 256, sizeof(ck_block_q4_K), CK_ACT_Q8_256},
    .dequantize = dequantize,
    .matmul =
        {
            [CK_ISA_SCALAR] = matmul_scalar,
#if defined(CK_X86)
            [CK_ISA_AVX512] = matmul_avx512,
#endif
        },
};
