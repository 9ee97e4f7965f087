// IQ4_NL: 32 indices of 4 bits into a table of 16 int8 values and one scale.
#include "portable.h"
#include "strip_avx512.h"

#define CK_TABLE_BLOCK ck_block_iq4_nl
#define CK_TABLE_VALUES CK_IQ4_VALUES

CK_INLINE float scale(const ck_block_iq4_nl *b) { return ck_f16(b->d); }

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4]) { return ck_load_4_halves(block, 0); }

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset) {
    return ck_load_16_halves(block, offset);
}

CK_AVX512 CK_INLINE __m512 head_scales(__m512i heads) { return ck_lower_halves(heads); }
#endif

#include "table_32.h"

const ck_format_impl ck_impl_iq4_nl = {
    .format = {20, "IQ4_NL", 32, sizeof(ck_block_iq4_nl), CK_ACT_Q8_32},
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
