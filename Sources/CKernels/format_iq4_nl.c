// IQ4_NL: 32 indices of 4 bits into a table of 16 int8 values and one scale.
#include "neon.h"
#include "portable.h"
#include "strip_avx512.h"

static const int8_t values[16] = {CK_IQ4_VALUES};

CK_INLINE void unpack(const void *p, ck_unpacked32 *out) {
    const ck_block_iq4_nl *b = p;
    for (int i = 0; i < 16; i++) {
        out->q[i] = values[b->qs[i] & 15];
        out->q[i + 16] = values[b->qs[i] >> 4];
    }
    out->d = ck_f16(b->d);
}

CK_PORTABLE_KERNELS(32, ck_block_iq4_nl, 0)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block) {
    return ck_look_up256(ck_nibbles256(block + 2), _mm_setr_epi8(CK_IQ4_VALUES));
}

CK_AVX2 CK_INLINE __m128 load_scales_avx2(const uint8_t *const block[4]) { return ck_load_4_halves(block, 0); }

#define CK2_BLOCK ck_block_iq4_nl
#define CK2_SIGNED 1
#define CK2_STEPS 1
#include "avx2_32.h"

CK_AVX512 CK_INLINE __m512i look_up(__m512i index) {
    const __m128i table = _mm_xor_si128(_mm_setr_epi8(CK_IQ4_VALUES), _mm_set1_epi8((char)128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), index);
}

CK_AVX512 CK_INLINE void decode(const uint8_t *p, __m512i *low, __m512i *high) {
    __m512i x = ck_load_lanes(p + 2, p + 20, p + 38, p + 56);
    *low = look_up(ck_low_nibbles(x));
    *high = look_up(ck_high_nibbles(x));
}

CK_AVX512 CK_INLINE __m512 load_scales(const uint8_t *const block[16], size_t offset) {
    return ck_load_16_halves(block, offset);
}

#define CK_BLOCK ck_block_iq4_nl
#define CK_OFFSET_SHIFT 7
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    ck_pack_pieces(row, 2, sizeof(CK_BLOCK), strip->q + 4 * at);
}

CK_AVX512 CK_INLINE __m512i columns(const ck_strip *strip, size_t b, int k) {
    __m512i x = ck_strip_vector(strip, (int)(4 * b) + k % 4);
    return look_up(k / 4 ? ck_high_nibbles(x) : ck_low_nibbles(x));
}

#define CK_PACKED_TOKENS CK_SELDOM_PACKED
#include "strip_avx512_32.h"
#endif

#if defined(CK_ARM)
CK_NEON CK_INLINE void decode_neon(const uint8_t *block, int8x16_t q[2]) {
    const int8x16_t table = vld1q_s8(values);
    for (int i = 0; i < 2; i++) {
        q[i] = vqtbl1q_s8(table, vreinterpretq_u8_s8(ck_nibble_neon(block + 2, i)));
    }
}

#define CK_NEON_BLOCK ck_block_iq4_nl
#define CK_NEON_HAS_MIN 0
#include "neon_32.h"
#endif

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
#endif
        },
};
