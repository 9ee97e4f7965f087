// Template: the strips of one 256-value format with AVX-512 VNNI. Before including it, a format's file defines
//   CK_BLOCK         its block type
//   CK_D, CK_DMIN    with minima, offsets of the binary16 fields in the block; dmin stands right behind d
//   load_d_avx2      as avx2_256.h has it
//   CK_WIDTH         columns per scale, 16 or 32
//   scales4          __m512i (const uint8_t *const block[4]): 16 scale bytes of each block, one block per lane
//   CK_STRIP_VECTORS packed vectors, each of four bytes of every row: the block's bytes in pieces of 64, the last one of
//                    32 or 64
//   CK_STRIP_PIECE   where in the block piece I begins; 64 bytes are read
//   columns          __m512i (const ck_strip *, int half, int group, int k): columns 4 k … of 32-column group `group`
//                    (0…3) of a half as unsigned bytes; all but `half` are constants
//   CK_KIND          as rows_avx512_256.h says, with these bytes: CK_SCALED_MIN w, CK_SCALED_OFFSET w + 32,
//                    CK_LANE_SCALED w + 128, CK_FLAT_MIN scale * w, CK_FLAT_NEGATED 128 - scale * w,
//                    CK_UNSCALED w + 128
//   CK_PACKED_TOKENS CK_ALWAYS_PACKED or CK_SELDOM_PACKED
//
// Of a format of kind CK_SCALED_OFFSET or CK_UNSCALED whose columns are not easily told apart in packed bytes the file
// defines CK_DECODED instead of the four about packing: its strips are always unpacked, from what `decode` of
// rows_avx512_256.h returns in the order of the columns with an offset of 64.
#include "strip_avx512.h"

#if CK_KIND == CK_SCALED_MIN
// d, dmin and the 6-bit scales and minima, the first sixteen bytes of Q4_K and Q5_K.
CK_AVX512 CK_INLINE void pack_scales(const uint8_t *const row[16], ck_strip *strip) {
    const __m512i six = _mm512_set1_epi32(0x3f3f3f3f), four = _mm512_set1_epi32(0x0f0f0f0f);
    const __m512i upper = _mm512_set1_epi32(0x30303030), byte = _mm512_set1_epi32(255);
    __m512i x[4];
    for (int i = 0; i < 4; i++) x[i] = ck_load_lanes(row[i], row[4 + i], row[8 + i], row[12 + i]);
    ck_transpose_rows(x);
    _mm512_store_ps(strip->d[0], ck_lower_halves(x[0]));
    _mm512_store_ps(strip->m[0], ck_lower_halves(_mm512_srli_epi32(x[0], 16)));
    __m512i low = _mm512_and_si512(_mm512_srli_epi32(x[1], 2), upper);
    __m512i high = _mm512_and_si512(_mm512_srli_epi32(x[2], 2), upper);
    __m512i scale[2] = {_mm512_and_si512(x[1], six), _mm512_or_si512(low, _mm512_and_si512(x[3], four))};
    high = _mm512_or_si512(high, _mm512_and_si512(_mm512_srli_epi32(x[3], 4), four));
    for (int g = 0; g < 8; g++) {
        _mm512_store_si512(strip->scale[g], _mm512_and_si512(_mm512_srli_epi32(scale[g / 4], 8 * (g % 4)), byte));
    }
    ck_store_minima(_mm512_and_si512(x[2], six), strip->min);
    ck_store_minima(high, strip->min + 2);
}
#else
CK_AVX512 CK_INLINE void pack_scales(const uint8_t *const row[16], ck_strip *strip) {
#if CK_KIND != CK_UNSCALED
    __m512i x[4];
    for (int i = 0; i < 4; i++) {
        const uint8_t *block[4] = {row[i], row[4 + i], row[8 + i], row[12 + i]};
        x[i] = scales4(block);
    }
    ck_transpose_rows(x);
#endif
#if CK_KIND == CK_SCALED_OFFSET || CK_KIND == CK_LANE_SCALED
    for (int g = 0; g < 256 / CK_WIDTH; g++) {
        _mm512_store_si512(strip->scale[g], ck_signed_byte(x[g / 4], g % 4));
    }
#elif CK_KIND == CK_FLAT_MIN
    const __m512i nibble = _mm512_set1_epi32(15);
    for (int g = 0; g < 16; g++) {
        _mm512_store_si512(strip->scale[g], _mm512_and_si512(_mm512_srli_epi32(x[g / 4], 8 * (g % 4)), nibble));
    }
    for (int i = 0; i < 4; i++) ck_store_minima(ck_high_nibbles(x[i]), strip->min + 2 * i);
#elif CK_KIND == CK_FLAT_NEGATED
    // 128 - s w = 128 + 4 s - s (w + 4), where the bytes |s| (w + 4) come from one product of dwords. For s >= 0
    // they are subtracted by adding their complement and one.
    for (int g = 0; g < 16; g++) {
        __m512i s = ck_signed_byte(x[g / 4], g % 4);
        __mmask16 negative = _mm512_movepi32_mask(s);
        __m512i base = _mm512_add_epi32(_mm512_set1_epi32(129), _mm512_slli_epi32(s, 2));
        base = _mm512_mask_sub_epi32(base, negative, base, _mm512_set1_epi32(1));
        _mm512_store_si512(strip->scale[g], _mm512_abs_epi32(s));
        _mm512_store_si512(strip->extra[0][g], _mm512_mullo_epi32(base, _mm512_set1_epi32(0x01010101)));
        _mm512_store_si512(strip->extra[1][g], _mm512_maskz_set1_epi32((__mmask16)~negative, -1));
    }
#endif
#ifdef CK_DMIN
    __m512i d = ck_load_16_dwords(row, CK_D);
    _mm512_store_ps(strip->d[0], ck_lower_halves(d));
    _mm512_store_ps(strip->m[0], ck_lower_halves(_mm512_srli_epi32(d, 16)));
#else
    for (int i = 0; i < 16; i += 4) _mm_store_ps(strip->d[0] + i, load_d_avx2(row + i));
#endif
}
#endif

#ifdef CK_DECODED
// Bytes w + 128, which is the offset of nsum32 and four times that of nsum16.
CK_AVX512 static void pack_avx512(const uint8_t *const row[16], size_t blocks, ck_strip *strip) {
    (void)blocks;
    pack_scales(row, strip);
    __m512i q[4][16];
#pragma clang loop unroll(disable)
    for (int r = 0; r < 16; r++) {
        __m512i x[4];
        decode(row[r], x);
        for (int i = 0; i < 4; i++) q[i][r] = _mm512_add_epi8(x[i], ck_bytes512(64));
    }
#pragma clang loop unroll(disable)
    for (int i = 0; i < 4; i++) {
        ck_transpose16(q[i]);
        for (int k = 0; k < 16; k++) _mm512_store_si512(strip->bytes[16 * i + k], q[i][k]);
    }
}

static void unpack_avx512(ck_strip *strip) { (void)strip; }

#define CK_PACKED_TOKENS 0
#else
enum { piece_count = (CK_STRIP_VECTORS + 15) / 16 };

CK_INLINE int piece_vectors(int piece) {
    return CK_STRIP_VECTORS - 16 * piece < 16 ? CK_STRIP_VECTORS - 16 * piece : 16;
}

// Some eighths of packing the next strip.
CK_AVX512 CK_INLINE void pack_part_avx512(ck_strip_next *next, int part, int parts) {
    const size_t bytes = CK_STRIP_ROWS * sizeof(CK_BLOCK) / 8;
    const uint8_t *ahead = next->ahead + (size_t)part * bytes;
#pragma clang loop unroll(full)
    for (size_t at = 0; at < (size_t)parts * bytes; at += 64) __builtin_prefetch(ahead + at, 0, 2);
    // A piece takes eight steps.
#pragma clang loop unroll(full)
    for (int step = part * piece_count; step < (part + parts) * piece_count; step++) {
        const int piece = step / 8, i = step % 4;
        if (step / 4 % 2 == 0) {
            ck_pack_four_rows(next->row + 4 * i, CK_STRIP_PIECE(piece), next->rows_transposed[i]);
        } else {
            ck_pack_quarter(next->rows_transposed, i, piece_vectors(piece), next->strip->q + 16 * piece);
        }
    }
    if (part <= 3 && part + parts > 3) pack_scales(next->row, next->strip);
    // Keeps the compiler from moving loads to where it has no registers for them.
    __asm__ volatile("" ::: "memory");
}

CK_AVX512 static void pack_avx512(const uint8_t *const row[16], size_t blocks, ck_strip *strip) {
    (void)blocks;
    pack_scales(row, strip);
    for (int i = 0; i < piece_count; i++) {
        ck_pack_bytes(row, CK_STRIP_PIECE(i), piece_vectors(i), strip->q + 16 * i);
    }
}

CK_AVX512 static void unpack_avx512(ck_strip *strip) {
#pragma clang loop unroll(disable)
    for (int half = 0; half < 2; half++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < 32; i++) {
            _mm512_store_si512(strip->bytes[32 * half + i], columns(strip, half, i / 8, i % 8));
        }
    }
}

#endif

// Columns 4 k … of a 32-column group.
CK_AVX512 CK_INLINE __m512i columns_avx512(const ck_strip *strip, int half, int group, int k, int unpacked) {
#ifndef CK_DECODED
    if (!unpacked) return columns(strip, half, group, k);
#endif
    (void)unpacked;
    return _mm512_load_si512(strip->bytes[32 * half + 8 * group + k]);
}

// total[t] += the products of `groups` groups of 32 columns; groups of CK_WIDTH columns are summed, scaled and added as
// integers.
CK_AVX512 CK_INLINE void multiply_avx512(const ck_strip *strip, int half, int group, int groups, const int8_t *const *q,
                                         const ck_act256 *const *act, __m512i *total, int tokens, int unpacked) {
#if CK_KIND == CK_FLAT_MIN || CK_KIND == CK_FLAT_NEGATED || CK_KIND == CK_UNSCALED
    (void)act;
#pragma clang loop unroll(full)
    for (int k = 0; k < 8 * groups; k++) {
        const size_t column = (size_t)(128 * half + 32 * group + 4 * k);
        __m512i w = columns_avx512(strip, half, group + k / 8, k % 8, unpacked);
        ck_strip_multiply(total, w, q, column, tokens);
    }
#else
#pragma clang loop unroll(full)
    for (int first = 0; first < 8; first += CK_WIDTH / 4) {
        __m512i sum[2][CK_STRIP_TOKENS];
#pragma clang loop unroll(full)
        for (int i = 0; i < groups; i++) {
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
#if CK_KIND == CK_SCALED_OFFSET || CK_KIND == CK_LANE_SCALED
                const int g = (128 * half + 32 * (group + i) + 4 * first) / CK_WIDTH;
                sum[i][t] = ck_broadcast512((CK_WIDTH == 16 ? act[t]->nsum16 : act[t]->nsum32) + g);
#ifdef CK_DECODED
                if (CK_WIDTH == 16) sum[i][t] = _mm512_slli_epi32(sum[i][t], 2);
#endif
#else
                (void)act;
                sum[i][t] = _mm512_setzero_si512();
#endif
            }
        }
#pragma clang loop unroll(full)
        for (int k = first; k < first + CK_WIDTH / 4; k++) {
#pragma clang loop unroll(full)
            for (int i = 0; i < groups; i++) {
                __m512i w = columns_avx512(strip, half, group + i, k, unpacked);
                ck_strip_multiply(sum[i], w, q, (size_t)(128 * half + 32 * (group + i) + 4 * k), tokens);
            }
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < groups; i++) {
            const int g = (128 * half + 32 * (group + i) + 4 * first) / CK_WIDTH;
            __m512i scale = _mm512_load_si512(strip->scale[g]);
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                total[t] = _mm512_add_epi32(total[t], _mm512_mullo_epi32(sum[i][t], scale));
                // Now: else compilers keep all sums in memory and scale them at the end.
                __asm__ volatile("" : "+v"(total[t]));
            }
        }
    }
#endif
}

#ifdef CK_DECODED
#define PACK_AND_MULTIPLY(I, GROUPS) (void)next;
#else
#define PACK_AND_MULTIPLY(I, GROUPS)                                                              \
    pack_part_avx512(next, I, GROUPS);                                                            \
    multiply_avx512(strip, I / 4, I % 4, GROUPS, q, act, total, tokens, unpacked);
#endif

// One strip, while the next one is packed where `packs`; one float step at the end.
CK_AVX512 CK_INLINE void strip_avx512(const ck_strip_job *job, int tokens, int unpacked, int packs,
                                     ck_strip_next *next) {
    const ck_strip *strip = job->strip;
    const int8_t *q[CK_STRIP_TOKENS];
    const ck_act256 *act[CK_STRIP_TOKENS];
    __m512i total[CK_STRIP_TOKENS];
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        const ck_strip_act256 *near = packs ? (const ck_strip_act256 *)next->act + t : NULL;
        q[t] = packs ? near->q : job->q[t] + job->q_offset;
        act[t] = packs ? &near->g : (const ck_act256 *)(job->aux[t] + job->aux_offset);
#if CK_KIND == CK_FLAT_NEGATED || CK_KIND == CK_UNSCALED
        total[t] = ck_broadcast512(&act[t]->nsum256);
#else
        total[t] = _mm512_setzero_si512();
#endif
    }
    if (packs) {
        // The multiplying instructions leave half of the processor's vector units idle; packing fills them.
        // Two groups at once keep enough sums going where tokens are few.
        if (tokens <= 4) {
            PACK_AND_MULTIPLY(0, 2) PACK_AND_MULTIPLY(2, 2) PACK_AND_MULTIPLY(4, 2) PACK_AND_MULTIPLY(6, 2)
        } else {
            PACK_AND_MULTIPLY(0, 1) PACK_AND_MULTIPLY(1, 1) PACK_AND_MULTIPLY(2, 1) PACK_AND_MULTIPLY(3, 1)
            PACK_AND_MULTIPLY(4, 1) PACK_AND_MULTIPLY(5, 1) PACK_AND_MULTIPLY(6, 1) PACK_AND_MULTIPLY(7, 1)
        }
    } else {
#pragma clang loop unroll(disable)
        for (int half = 0; half < 2; half++) {
#pragma clang loop unroll(full)
            for (int group = 0; group < 4; group++) {
                multiply_avx512(strip, half, group, 1, q, act, total, tokens, unpacked);
            }
        }
    }
    __m512 d = _mm512_load_ps(strip->d[0]);
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        float *out = job->acc + CK_STRIP_ROWS * t;
        __m512 act_d = ck_broadcast_float512(&act[t]->d), acc = _mm512_load_ps(out);
#if CK_KIND == CK_FLAT_NEGATED
        total[t] = _mm512_sub_epi32(_mm512_setzero_si512(), total[t]);
#endif
        acc = _mm512_fmadd_ps(_mm512_mul_ps(d, act_d), _mm512_cvtepi32_ps(total[t]), acc);
#ifdef CK_DMIN
        const int16_t *sums = CK_WIDTH == 32 ? act[t]->sum32 : act[t]->sum16;
        __m512i min_sum = _mm512_setzero_si512();
#pragma clang loop unroll(full)
        for (int g = 0; g < 128 / CK_WIDTH; g++) {
            __m512i min = _mm512_load_si512(strip->min[g]);
            min_sum = _mm512_dpwssd_epi32(min_sum, min, ck_broadcast512(sums + 2 * g));
        }
        __m512 dmin = _mm512_load_ps(strip->m[0]);
        acc = _mm512_fnmadd_ps(_mm512_mul_ps(dmin, act_d), _mm512_cvtepi32_ps(min_sum), acc);
#endif
        _mm512_store_ps(out, acc);
    }
}

#ifdef CK_DECODED
CK_STRIP_CODE(256)
#else
// Fewer tokens go by rows.
CK_STRIP_PACKING_TILE(3) CK_STRIP_PACKING_TILE(4) CK_STRIP_PACKING_TILE(5)
CK_STRIP_PACKING_TILE(6) CK_STRIP_PACKING_TILE(7) CK_STRIP_PACKING_TILE(8)
CK_STRIP_CODE(256, .packing = {NULL, NULL, packing_3, packing_4, packing_5, packing_6, packing_7, packing_8})
#endif

static void matmul_avx512(const ck_job *job) {
    if (job->tokens <= CK_ROWS_256_TOKENS) {
        matmul_rows_avx512(job);
    } else {
        ck_strip_matmul(job, &strips_avx512);
    }
}
