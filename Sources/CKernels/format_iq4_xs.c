// IQ4_XS: 256 indices of 4 bits into the table of IQ4_NL; 6-bit scale with offset 32 per 32 values.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

static const int8_t values[16] = {CK_IQ4_VALUES};

CK_INLINE void unpack_scales(const ck_block_iq4_xs *b, ck_unpacked256 *out) {
    for (int i = 0; i < 16; i++) {
        int low = b->scales_l[i / 4] >> (i / 2 % 2 * 4) & 15;
        int high = b->scales_h >> (i / 2 * 2) & 3;
        out->scale[i] = (int16_t)(low + 16 * high - 32);
        out->min[i] = 0;
    }
    out->d = ck_f16(b->d);
}

CK_INLINE void unpack(const void *p, ck_unpacked256 *out) {
    const ck_block_iq4_xs *b = p;
    for (int i = 0; i < 256; i++) {
        out->q[i] = values[b->qs[i / 32 * 16 + i % 16] >> (i / 16 % 2 * 4) & 15];
    }
    unpack_scales(b, out);
}

CK_PORTABLE_KERNELS_256(ck_block_iq4_xs, 0)

#if defined(CK_X86)
CK_AVX2 CK_INLINE void scales_avx2(const uint8_t *block, int16_t scale[16], int16_t min[16]) {
    (void)min;
    uint32_t low, high = (uint32_t)(block[2] | block[3] << 8);
    memcpy(&low, block + 4, 4);
    for (int g = 0; g < 8; g++) {
        int value = (int)((low >> (4 * g) & 15) | (high >> (2 * g) & 3) << 4) - 32;
        scale[2 * g] = scale[2 * g + 1] = (int16_t)value;
    }
}

CK_AVX2 CK_INLINE void decode_avx2(const uint8_t *block, __m256i q[8]) {
    const __m128i table = _mm_setr_epi8(CK_IQ4_VALUES);
    for (int i = 0; i < 8; i++) q[i] = ck_look_up256(ck_nibbles256(block + 8 + 16 * i), table);
}

#define CK2_BLOCK ck_block_iq4_xs
#define CK2_WIDTH 32
#define CK2_SIGNED 1
#define CK2_STEPS 1
#define CK2_D 0
#include "avx2_256.h"

CK_AVX512 CK_INLINE __m512i look_up(__m512i index) {
    const __m128i table = _mm_xor_si128(_mm_setr_epi8(CK_IQ4_VALUES), _mm_set1_epi8((char)128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), index);
}

CK_AVX512 CK_INLINE __m512i scales4(const uint8_t *const block[4]) {
    // The first eight bytes: d, the upper and the lower bits of the scales.
    __m512i x = _mm512_unpacklo_epi64(ck_load_lanes(block[0], block[1], block[2], block[3]), _mm512_setzero_si512());
    const __m512i low_bits = _mm512_set1_epi64(0x3c3834302c282420), high_bits = _mm512_set1_epi64(0x1e1c1a1816141210);
    __m512i low = _mm512_and_si512(_mm512_multishift_epi64_epi8(low_bits, x), ck_bytes512(15));
    __m512i high = _mm512_and_si512(_mm512_multishift_epi64_epi8(high_bits, x), ck_bytes512(3));
    return _mm512_sub_epi8(_mm512_or_si512(low, _mm512_slli_epi16(high, 4)), ck_bytes512(32));
}

CK_AVX512 CK_INLINE void decode(const uint8_t *block, __m512i q[4]) {
    for (int half = 0; half < 2; half++) {
        __m512i x = _mm512_loadu_si512(block + 8 + 64 * half);
        q[2 * half] = look_up(ck_low_nibbles(x));
        q[2 * half + 1] = look_up(ck_high_nibbles(x));
    }
}

#define CK_BLOCK ck_block_iq4_xs
#define CK_KIND CK_LANE_SCALED
#define CK_WIDTH 32
#define CK_OFFSET_SHIFT 7
#define CK_PIECES 0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15
#include "rows_avx512_256.h"

#define CK_STRIP_VECTORS 32
#define CK_STRIP_PIECE(I) ((I) == 0 ? 8 : 72)

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, int half, int group, int k) {
    __m512i x = ck_strip_vector(strip, 16 * half + 4 * group + k % 4);
    return look_up(k / 4 ? ck_high_nibbles(x) : ck_low_nibbles(x));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_256.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[16]) {
    const int8x16_t table = vld1q_s8(values);
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
        q[i] = vqtbl1q_s8(table, vreinterpretq_u8_s8(ck_nibble_neon(block + 8 + i / 2 * 16, i % 2)));
    }
}

#define CK_NEON_BLOCK ck_block_iq4_xs
#define CK_NEON_WIDTH 32
#define CK_NEON_HAS_MIN 0
#include "neon_256.h"
#endif

const ck_format_impl ck_impl_iq4_xs = {
    .format = {23, "IQ4_XS", 256, sizeof(ck_block_iq4_xs), CK_ACT_Q8_256},
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
