// Q4_1: 32 values of 4 bits, one scale, one minimum.
#include "neon.h"
#include "parts.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q4_1 *b = p;
    for (int i = 0; i < 16; i++) {
        out->q[i] = (int8_t)(b->qs[i] & 15);
        out->q[i + 16] = (int8_t)(b->qs[i] >> 4);
    }
    out->d = ck_f16(b->d);
    out->m = ck_f16(b->m);
}

CK_PORTABLE_KERNELS_32(ck_block_q4_1, CK_WITH_MINIMUM)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block) {
    return ck_nibbles256(block + 4);
}

CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4]) { return ck_load_4_halves(block, 0); }

#define CK2_BLOCK ck_block_q4_1
#define CK2_SIGNED 0
#define CK2_STEPS 8
#define CK2_HAS_MIN
#include "avx2_32.h"

CK_AVX512 CK_INLINE void decode(const uint8_t *p, __m512i *low, __m512i *high) {
    __m512i x = ck_load_lanes(p + 4, p + 24, p + 44, p + 64);
    *low = ck_low_nibbles(x);
    *high = ck_high_nibbles(x);
}

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset) {
    return ck_load_16_halves(block, offset);
}

#define CK_BLOCK ck_block_q4_1
#define CK_HAS_MIN
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    ck_pack_pieces(row, 4, sizeof(CK_BLOCK), strip->q + 4 * at);
}

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, size_t b, int k) {
    __m512i x = ck_strip_vector(strip, (int)(4 * b) + k % 4);
    return k / 4 ? ck_high_nibbles(x) : ck_low_nibbles(x);
}

#define CK_PACKED_TOKENS CK_ALWAYS_PACKED
#include "strip_avx512_32.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[2]) {
    for (int i = 0; i < 2; i++) q[i] = ck_nibble_neon(block + 4, i);
}

#define CK_NEON_BLOCK ck_block_q4_1
#define CK_NEON_KIND CK_WITH_MINIMUM
#include "neon_32.h"
#endif

const ck_format_impl ck_impl_q4_1 = {
    .format = {3, "Q4_1", 32, sizeof(ck_block_q4_1), CK_ACT_Q8_32},
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
