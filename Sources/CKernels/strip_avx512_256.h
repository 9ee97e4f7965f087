// Template: the strips of one 256-value format with AVX-512 VNNI. Before including it, a format's file defines
//   CK_BLOCK         its block type
//   CK_D, CK_DMIN    offsets of the binary16 fields in the block (CK_DMIN only with minima, right behind d)
//   CK_WIDTH         columns per scale, 16 or 32
//   scales4          __m512i (const uint8_t *const block[4]): 16 scale bytes of each block, one block per lane
//   pack_columns     void (const uint8_t *const block[16], ck_strip *): fills q
//   columns          __m512i (const ck_strip *, int half, int group, int k): columns 4 k … of 32-column group `group`
//                    (0…3) of a half as unsigned bytes; all but `half` are constants
//   CK_KIND          as rows_avx512_256.h says, with these bytes: CK_SCALED_MIN w, CK_SCALED_OFFSET w + 32,
//                    CK_LANE_SCALED w + 128, CK_FLAT_MIN scale * w, CK_FLAT_NEGATED 128 - scale * w
//   CK_PACKED_TOKENS CK_ALWAYS_PACKED or CK_SELDOM_PACKED
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
    __m512i x[4];
    for (int i = 0; i < 4; i++) {
        const uint8_t *block[4] = {row[i], row[4 + i], row[8 + i], row[12 + i]};
        x[i] = scales4(block);
    }
    ck_transpose_rows(x);
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
    _mm512_store_ps(strip->d[0], ck_load_16_halves(row, CK_D));
#endif
}
#endif

CK_AVX512 static void pack_avx512(const uint8_t *const row[16], size_t blocks, ck_strip *strip) {
    (void)blocks;
    pack_scales(row, strip);
    pack_columns(row, strip);
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

// Columns 4 k … of a 32-column group.
CK_AVX512 CK_INLINE __m512i columns_avx512(const ck_strip *strip, int half, int group, int k, int unpacked) {
    if (unpacked) return _mm512_load_si512(strip->bytes[32 * half + 8 * group + k]);
    return columns(strip, half, group, k);
}

// Groups of CK_WIDTH columns are summed, scaled and added as integers; one float step at the end.
CK_AVX512 CK_INLINE void strip_avx512(const ck_strip_job *job, int tokens, int unpacked) {
    const ck_strip *strip = job->strip;
    const int8_t *q[CK_STRIP_TOKENS];
    const ck_act256 *act[CK_STRIP_TOKENS];
    __m512i total[CK_STRIP_TOKENS];
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        q[t] = job->q[t] + job->q_offset;
        act[t] = (const ck_act256 *)(job->aux[t] + job->aux_offset);
#if CK_KIND == CK_FLAT_NEGATED
        total[t] = ck_broadcast512(&act[t]->nsum256);
#else
        total[t] = _mm512_setzero_si512();
#endif
    }
#pragma clang loop unroll(disable)
    for (int half = 0; half < 2; half++) {
#pragma clang loop unroll(full)
        for (int group = 0; group < 4; group++) {
            const size_t column = (size_t)(128 * half + 32 * group);
#if CK_KIND == CK_FLAT_MIN || CK_KIND == CK_FLAT_NEGATED
#pragma clang loop unroll(full)
            for (int k = 0; k < 8; k++) {
                __m512i w = columns_avx512(strip, half, group, k, unpacked);
                ck_strip_multiply(total, w, q, column + 4 * (size_t)k, tokens);
            }
#else
#pragma clang loop unroll(full)
            for (int first = 0; first < 8; first += CK_WIDTH / 4) {
                const int g = (128 * half + 32 * group + 4 * first) / CK_WIDTH;
                __m512i sum[CK_STRIP_TOKENS];
#pragma clang loop unroll(full)
                for (int t = 0; t < tokens; t++) {
#if CK_KIND == CK_SCALED_OFFSET || CK_KIND == CK_LANE_SCALED
                    sum[t] = ck_broadcast512((CK_WIDTH == 16 ? act[t]->nsum16 : act[t]->nsum32) + g);
#else
                    sum[t] = _mm512_setzero_si512();
#endif
                }
#pragma clang loop unroll(full)
                for (int k = first; k < first + CK_WIDTH / 4; k++) {
                    __m512i w = columns_avx512(strip, half, group, k, unpacked);
                    ck_strip_multiply(sum, w, q, column + 4 * (size_t)k, tokens);
                }
                __m512i scale = _mm512_load_si512(strip->scale[g]);
#pragma clang loop unroll(full)
                for (int t = 0; t < tokens; t++) {
                    total[t] = _mm512_add_epi32(total[t], _mm512_mullo_epi32(sum[t], scale));
                }
            }
#endif
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

CK_STRIP_CODE(256)

static void matmul_avx512(const ck_job *job) {
    if (job->tokens <= CK_ROWS_256_TOKENS) {
        matmul_rows_avx512(job);
    } else {
        ck_strip_matmul(job, &strips_avx512);
    }
}
