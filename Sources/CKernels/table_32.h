// Template: all kernels of a format of 32 values that are 4-bit indices into a table of 16 int8 values, behind the
// block's scale. Value i of the first 16 is the low half of byte i, value 16 + i the high half. Before including it, a
// format's file includes strip_avx512.h and defines
//   CK_TABLE_BLOCK     its block type, with the indices in `qs`
//   CK_TABLE_VALUES    the 16 values, with commas between them
//   scale              float (const CK_TABLE_BLOCK *): of the block's values
//   load_scales_avx2   __m128 (const uint8_t *const block[4]): of the same block of four rows
//   load_scales, head_scales   as rows_avx512_32.h wants them
#include "neon.h"
#include "parts.h"
#include "portable.h"

static const int8_t values[16] = {CK_TABLE_VALUES};

enum { indices_offset = offsetof(CK_TABLE_BLOCK, qs) };

CK_INLINE void unpack(const void *p, ck_unpacked32 *out) {
    const CK_TABLE_BLOCK *b = p;
    for (int i = 0; i < 16; i++) {
        out->q[i] = values[b->qs[i] & 15];
        out->q[i + 16] = values[b->qs[i] >> 4];
    }
    out->d = scale(b);
}

CK_PORTABLE_KERNELS_32(CK_TABLE_BLOCK, CK_ONE_SCALE)

#if defined(CK_X86)
CK_AVX2 CK_INLINE __m256i decode_avx2(const uint8_t *block) {
    return ck_look_up256(ck_nibbles256(block + indices_offset), _mm_setr_epi8(CK_TABLE_VALUES));
}

#define CK2_BLOCK CK_TABLE_BLOCK
#define CK2_SIGNED 1
#define CK2_STEPS 1
#include "avx2_32.h"

CK_AVX512 CK_INLINE __m512i look_up(__m512i index) {
    const __m128i table = _mm_xor_si128(_mm_setr_epi8(CK_TABLE_VALUES), _mm_set1_epi8((char)128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), index);
}

CK_AVX512 CK_INLINE void decode_nibbles(__m512i x, __m512i *low, __m512i *high) {
    *low = look_up(ck_low_nibbles(x));
    *high = look_up(ck_high_nibbles(x));
}

#define CK_HEAD indices_offset
#define CK_BLOCK CK_TABLE_BLOCK
#define CK_OFFSET_SHIFT 7
#include "rows_avx512_32.h"

CK_AVX512 CK_INLINE void pack_four(const uint8_t *const row[16], int at, ck_strip *strip) {
    ck_pack_pieces(row, indices_offset, sizeof(CK_BLOCK), strip->q + 4 * at);
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
        q[i] = vqtbl1q_s8(table, vreinterpretq_u8_s8(ck_nibble_neon(block + indices_offset, i)));
    }
}

#define CK_NEON_BLOCK CK_TABLE_BLOCK
#define CK_NEON_KIND CK_ONE_SCALE
#include "neon_32.h"
#endif
