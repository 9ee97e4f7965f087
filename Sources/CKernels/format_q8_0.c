// Q8_0: 32 int8 values and one scale.
#include "portable.h"
#include "avx512.h"

static void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_q8_0 *b = p;
    memcpy(out->q, b->qs, 32);
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(32, ck_block_q8_0, 0)

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

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16]) { return ck_load_16_halves(block, 0); }

#define CK_BLOCK ck_block_q8_0
#define CK_OFFSET_SHIFT 7
#include "avx512_32.h"
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
        },
};
