// TQ2_0: 256 values of 2 bits with offset 1 and one scale.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack_scales(const ck_block_tq2_0 *b, ck_unpacked256 *out) {
    for (int i = 0; i < 16; i++) out->scale[i] = 1;
    memset(out->min, 0, sizeof out->min);
    out->d = ck_f16(b->d);
}

CK_INLINE void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_tq2_0 *b = p;
    for (int i = 0; i < 256; i++) {
        out->q[i] = (int8_t)((b->qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3) - 1);
    }
    unpack_scales(b, out);
}

CK_PORTABLE_KERNELS_256(ck_block_tq2_0, 0)

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)block, (void)min;
    _mm256_storeu_si256((__m256i *)scale, _mm256_set1_epi16(1));
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    for (int i = 0; i < 8; i++) q[i] = ck_bit_pairs256(ck_load256(block + 32 * (i / 4)), i % 4 * 2);
}

#define CK2_BLOCK ck_block_tq2_0
#define CK2_WIDTH 32
#define CK2_SIGNED 0
#define CK2_STEPS 8
#define CK2_OFFSET_SHIFT 0
#define CK2_D 64
#include "avx2_256.h"

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    const __m512i x = _mm512_loadu_si512(block);
    for (int i = 0; i < 4; i++) q[i] = ck_shift_and(x, -2 * i, 3);
}

#define CK_BLOCK ck_block_tq2_0
#define CK_KIND CK_UNSCALED
#define CK_WIDTH 32
#define CK_OFFSET_SHIFT 0
#define CK_PIECES 0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15
#include "rows_avx512_256.h"

#define CK_STRIP_VECTORS 16
#define CK_STRIP_PIECE(I) (0)

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, int half, int group, int k) {
    return _mm512_add_epi8(ck_shift_and(ck_strip_vector(strip, 8 * half + k), -2 * group, 3), ck_bytes512(127));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        uint8x16_t x = ck_bit_pairs_neon(block + i / 8 * 32 + i % 2 * 16, i / 2 % 4 * 2);
        q[i] = vsubq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(1));
    }
}

#define CK_NEON_BLOCK ck_block_tq2_0
#define CK_NEON_WIDTH 32
#define CK_NEON_HAS_MIN 0
#include "neon_256.h"
#endif

const ck_format_impl ck_impl_tq2_0 = {
    .format = {35, "TQ2_0", 256, sizeof(ck_block_tq2_0), CK_ACT_Q8_256},
    .dequantize = dequantize,
    .matmul =
        {
            [CK_ISA_SCALAR] = matmul_scalar,
#if defined(CK_X86)
            [CK_ISA_AVX2] = matmul_avx2,
            [CK_ISA_AVX512] = matmul_avx512,
#endif
#if defined(CK_ARM)
            [CK_ISA_NEON] = matmul_neon,
            [CK_ISA_I8MM] = matmul_i8mm,
#endif
        },
};
