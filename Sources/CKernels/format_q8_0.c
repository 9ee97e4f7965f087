// Q8_0: 32 int8 values and one scale.
#include "neon.h"
#include "parts.h"
#include "portable.h"
#include "strip_avx512.h"

CK_INLINE void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q8_0 *b = p;
    memcpy(out->q, b->qs, 32);
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS_32(ck_block_q8_0, CK_ONE_SCALE)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block) {
    return ck_load256(block + 2);
}

CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4]) { return ck_load_4_halves(block, 0); }

#define CK2_BLOCK ck_block_q8_0
#define CK2_SIGNED 1
#define CK2_STEPS 1
#include "avx2_32.h"

CK_AVX512 CK_INLINE void decode(const uint8_t *p, __m512i *low, __m512i *high) {
    const __m512i sign = ck_bytes512(128);
    *low = _mm512_xor_si512(ck_load_lanes(p + 2, p + 36, p + 70, p + 104), sign);
    *high = _mm512_xor_si512(ck_load_lanes(p + 18, p + 52, p + 86, p + 120), sign);
}

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset) {
    return ck_load_16_halves(block, offset);
}

#define CK_BLOCK ck_block_q8_0
#define CK_OFFSET_SHIFT 7
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    for (int b = 0; b < 4; b += 2) {
        ck_pack_halves(row, (size_t)b * sizeof(CK_BLOCK) + 2, sizeof(CK_BLOCK), strip->q + 8 * (at + b));
    }
}

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, size_t b, int k) {
    return _mm512_xor_si512(ck_strip_vector(strip, (int)(8 * b) + k), ck_bytes512(128));
}

#define CK_PACKED_TOKENS CK_ALWAYS_PACKED
#include "strip_avx512_32.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[2]) {
    q[0] = vld1q_s8((const int8_t *)block + 2);
    q[1] = vld1q_s8((const int8_t *)block + 18);
}

#define CK_NEON_BLOCK ck_block_q8_0
#define CK_NEON_KIND CK_ONE_SCALE
#include "neon_32.h"
#endif

const ck_format_impl ck_impl_q8_0 = {
    .format = {8, "Q8_0", 32, sizeof(ck_block_q8_0), CK_ACT_Q8_32},
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
