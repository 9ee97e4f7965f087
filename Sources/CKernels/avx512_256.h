// Template: the AVX-512 VNNI kernels of one 256-value format. Before including it, a format's file defines
//   CK_BLOCK            its block type
//   CK_KIND             one of the kinds below
//   CK_TILE_KIND        the tile of its panels
//   CK_LANES            the 16-column group in lane l of decoded vector v, at [4 v + l]
//   CK_D, CK_DMIN       offsets of the binary16 fields in the block (CK_DMIN only with minima)
//   scales4             __m512i (const uint8_t *const block[4]): 16 scale bytes of each block, one block per lane
//   decode              void (const uint8_t *block, __m128i scales, __m512i q[4]): 256 unsigned bytes
#include "avx512.h"
#include "rows.h"

#ifndef CK_AVX512_256_KINDS
#define CK_AVX512_256_KINDS
// Weights 0…31; scale bytes 0…7 are the scales, 8…15 the minima of 32-groups.
#define CK_SCALED_MIN 0
// Weights w + 32 with w of 6 bits; 16 signed scales.
#define CK_SCALED_OFFSET 1
// Bytes scale * w; scale byte: 4-bit scale, 4-bit minimum.
#define CK_FLAT_MIN 2
// Bytes 128 - scale * w.
#define CK_FLAT_NEGATED 3
// Weights w + 128; scale bytes 0…7 are signed; vector pairs (0, 1) and (2, 3) hold one 32-group per lane.
#define CK_LANE_SCALED 4

// Lanes of vectors that follow the columns.
#define CK_LANES_LINEAR {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
// 32-column groups 0 2 | 1 3 | 4 6 | 5 7.
#define CK_LANES_NIBBLES {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15}
// Low and high halves of 16 bytes in the same lane of a vector pair.
#define CK_LANES_PAIRS {0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15}

// A token's 256 activations in the order of the decoded vectors.
typedef struct ck_row_act256 {
    int8_t q[4][64];
    union {
        int16_t sums[2][32];  // group sums, repeated as the kind needs them
        int32_t init[2][16];  // CK_LANE_SCALED: where the sums start
    };
    float d;
    int32_t nsum256;
    int32_t padding[14];
} ck_row_act256;
_Static_assert(sizeof(ck_row_act256) == 448, "rows.h reserves 512 bytes");
#endif

static const uint8_t lanes_avx512[16] = CK_LANES;

CK_AVX512 static void prepare_avx512(const void *act, size_t cols, void *out) {
    ck_act256_row row = ck_act256_view(act, cols);
    ck_row_act256 *to = out;
    for (size_t b = 0; b < cols / 256; b++, to++) {
        const ck_act256 *g = row.g + b;
        for (int i = 0; i < 16; i++) {
            memcpy(to->q[i / 4] + i % 4 * 16, row.q + 256 * b + 16 * lanes_avx512[i], 16);
        }
        if (CK_KIND == CK_LANE_SCALED) {
            memset(to->init, 0, sizeof to->init);
            for (int i = 0; i < 8; i++) to->init[i / 4][i % 4 * 4] = g->nsum32[i];
        } else if (CK_KIND == CK_SCALED_MIN) {
            for (int i = 0; i < 4; i++) memcpy(to->sums[0] + 8 * i, g->sum32, 16);
        } else if (CK_KIND == CK_FLAT_MIN) {
            for (int i = 0; i < 8; i++) memcpy(to->sums[i / 4] + i % 4 * 8, g->sum16 + i / 4 * 8, 16);
        } else if (CK_KIND == CK_SCALED_OFFSET) {
            // Twice -16 times the sum: -32 times it would not fit.
            for (int i = 0; i < 32; i++) to->sums[0][i] = (int16_t)(-16 * g->sum16[i % 16]);
        }
        to->d = g->d;
        to->nsum256 = g->nsum256;
    }
}

// Word indices of the scales for two packed vectors: words 0…3 of lane l belong to vector v, 4…7 to v + 1.
CK_AVX512 CK_INLINE __m512i scale_index(int v) {
    int16_t index[32];
    for (int i = 0; i < 32; i++) {
        int group = lanes_avx512[4 * (v + i % 8 / 4) + i / 8];
        index[i] = (int16_t)(CK_KIND == CK_SCALED_MIN ? group / 2 : group);
    }
    return _mm512_loadu_si512(index);
}

CK_AVX512 CK_INLINE void rows4_avx512(const uint8_t *const row[4], size_t cols, const uint8_t *prepared,
                                      size_t stride, float *out, int tokens) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i index0 = scale_index(0), index1 = scale_index(2);
    const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(4));
    __m128 acc[CK_ROWS_TOKENS];
    for (int t = 0; t < tokens; t++) acc[t] = _mm_setzero_ps();
    for (size_t b = 0; b < cols / 256; b++) {
        const uint8_t *block[4];
        for (int r = 0; r < 4; r++) {
            block[r] = row[r] + b * sizeof(CK_BLOCK);
            for (size_t line = 0; line < sizeof(CK_BLOCK); line += 64) {
                _mm_prefetch((const char *)block[r] + CK_PREFETCH + line, _MM_HINT_T0);
            }
        }
        __m512i scales = scales4(block), minima = scales;
        if (CK_KIND == CK_FLAT_MIN) {
            minima = ck_high_nibbles(scales);
            scales = ck_low_nibbles(scales);
        }
        __m128i scale_bytes[4] = {_mm512_castsi512_si128(scales), _mm512_extracti32x4_epi32(scales, 1),
                                  _mm512_extracti32x4_epi32(scales, 2), _mm512_extracti32x4_epi32(scales, 3)};
        __m512i sum[CK_ROWS_TOKENS][4];
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            __m512i q[4], wide = zero, scale0 = zero, scale1 = zero;
            decode(block[r], scale_bytes[r], q);
            if (CK_KIND == CK_SCALED_MIN || CK_KIND == CK_SCALED_OFFSET) {
                wide = _mm512_cvtepi8_epi16(_mm256_broadcastsi128_si256(scale_bytes[r]));
                scale0 = _mm512_permutexvar_epi16(index0, wide);
                scale1 = _mm512_permutexvar_epi16(index1, wide);
            } else if (CK_KIND == CK_LANE_SCALED) {
                wide = _mm512_cvtepi8_epi32(scale_bytes[r]);
                scale0 = _mm512_permutexvar_epi32(first, wide);
                scale1 = _mm512_permutexvar_epi32(second, wide);
            }
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                const ck_row_act256 *a = (const ck_row_act256 *)(prepared + (size_t)t * stride) + b;
                __m512i x0 = _mm512_load_si512(a->q[0]), x1 = _mm512_load_si512(a->q[1]);
                __m512i x2 = _mm512_load_si512(a->q[2]), x3 = _mm512_load_si512(a->q[3]);
                if (CK_KIND == CK_FLAT_MIN || CK_KIND == CK_FLAT_NEGATED) {
                    __m512i p0 = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, q[0], x0), q[1], x1);
                    __m512i p1 = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, q[2], x2), q[3], x3);
                    sum[t][r] = _mm512_add_epi32(p0, p1);
                } else if (CK_KIND == CK_LANE_SCALED) {
                    __m512i p0 = _mm512_dpbusd_epi32(_mm512_load_si512(a->init[0]), q[0], x0);
                    __m512i p1 = _mm512_dpbusd_epi32(_mm512_load_si512(a->init[1]), q[2], x2);
                    p0 = _mm512_mullo_epi32(_mm512_dpbusd_epi32(p0, q[1], x1), scale0);
                    p1 = _mm512_mullo_epi32(_mm512_dpbusd_epi32(p1, q[3], x3), scale1);
                    sum[t][r] = _mm512_add_epi32(p0, p1);
                } else {
                    // Four products of at most 63 * 127 each: the packing to 16 bits never saturates.
                    __m512i p01 = _mm512_packs_epi32(_mm512_dpbusd_epi32(zero, q[0], x0),
                                                     _mm512_dpbusd_epi32(zero, q[1], x1));
                    __m512i p23 = _mm512_packs_epi32(_mm512_dpbusd_epi32(zero, q[2], x2),
                                                     _mm512_dpbusd_epi32(zero, q[3], x3));
                    __m512i s = zero;
                    if (CK_KIND == CK_SCALED_OFFSET) s = _mm512_dpwssd_epi32(s, wide, _mm512_load_si512(a->sums[0]));
                    s = _mm512_dpwssd_epi32(s, p01, scale0);
                    sum[t][r] = _mm512_dpwssd_epi32(s, p23, scale1);
                }
            }
        }
        (void)minima;
        __m128 d = ck_load_4_halves(block, CK_D);
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            const ck_row_act256 *a = (const ck_row_act256 *)(prepared + (size_t)t * stride) + b;
            __m128i total = ck_sum_all4(sum[t][0], sum[t][1], sum[t][2], sum[t][3]);
            if (CK_KIND == CK_FLAT_NEGATED) {
                total = _mm_sub_epi32(_mm_setzero_si128(), _mm_add_epi32(total, _mm_set1_epi32(a->nsum256)));
            }
            __m128 act_d = _mm_set1_ps(a->d);
            acc[t] = _mm_fmadd_ps(_mm_mul_ps(d, act_d), _mm_cvtepi32_ps(total), acc[t]);
#ifdef CK_DMIN
            __m512i m = _mm512_unpackhi_epi8(minima, zero), sums = _mm512_load_si512(a->sums[0]);
            if (CK_KIND == CK_FLAT_MIN) {
                m = _mm512_dpwssd_epi32(zero, m, _mm512_load_si512(a->sums[1]));
                m = _mm512_dpwssd_epi32(m, _mm512_unpacklo_epi8(minima, zero), sums);
            } else {
                m = _mm512_dpwssd_epi32(zero, m, sums);
            }
            __m128 dmin = ck_load_4_halves(block, CK_DMIN);
            acc[t] = _mm_fnmadd_ps(_mm_mul_ps(dmin, act_d), _mm_cvtepi32_ps(ck_sum_each_lane(m)), acc[t]);
#endif
        }
    }
    for (int t = 0; t < tokens; t++) _mm_storeu_ps(out + 4 * t, acc[t]);
}

CK_AVX512 static void rows_1(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx512(row, n, x, stride, out, 1);
}
CK_AVX512 static void rows_2(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx512(row, n, x, stride, out, 2);
}
CK_AVX512 static void rows_3(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx512(row, n, x, stride, out, 3);
}
CK_AVX512 static void rows_4(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx512(row, n, x, stride, out, 4);
}

// Sixteen rows into one half of a panel.
CK_AVX512 CK_INLINE void unpack16_avx512(const uint8_t *const block[16], int half, ck_panel *panel) {
    __m512i q[4][16], s[16], m[16];
    for (int r = 0; r < 16; r += 4) {
        __m512i scales = scales4(block + r), low = scales;
        if (CK_KIND == CK_FLAT_MIN) low = ck_low_nibbles(scales);
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) {
            // The lane number must be a constant.
            __m128i bytes = i == 0   ? _mm512_castsi512_si128(low)
                            : i == 1 ? _mm512_extracti32x4_epi32(low, 1)
                            : i == 2 ? _mm512_extracti32x4_epi32(low, 2)
                                     : _mm512_extracti32x4_epi32(low, 3);
            __m512i row[4];
            decode(block[r + i], bytes, row);
            for (int v = 0; v < 4; v++) {
                if (CK_KIND == CK_SCALED_OFFSET) row[v] = _mm512_add_epi8(row[v], ck_bytes512(96));
                q[v][r + i] = row[v];
            }
            s[r + i] = _mm512_cvtepi8_epi32(bytes);
        }
        if (CK_KIND == CK_FLAT_MIN) {
            __m512i minima = ck_high_nibbles(scales);
            m[r] = _mm512_cvtepi8_epi32(_mm512_castsi512_si128(minima));
            m[r + 1] = _mm512_cvtepi8_epi32(_mm512_extracti32x4_epi32(minima, 1));
            m[r + 2] = _mm512_cvtepi8_epi32(_mm512_extracti32x4_epi32(minima, 2));
            m[r + 3] = _mm512_cvtepi8_epi32(_mm512_extracti32x4_epi32(minima, 3));
        }
    }
    for (int v = 0; v < 4; v++) {
        ck_transpose16(q[v]);
        for (int i = 0; i < 16; i++) {
            _mm512_store_si512(panel->q[4 * lanes_avx512[4 * v + i / 4] + i % 4][half], q[v][i]);
        }
    }
    if (CK_KIND == CK_SCALED_MIN || CK_KIND == CK_SCALED_OFFSET || CK_KIND == CK_LANE_SCALED) {
        int groups = CK_KIND == CK_SCALED_OFFSET ? 16 : 8;
        ck_transpose16(s);
        for (int g = 0; g < groups; g++) _mm512_store_si512(panel->scale[g][half], s[g]);
        for (int g = 0; g < 4 && CK_KIND == CK_SCALED_MIN; g++) {
            __m512i pair = _mm512_or_si512(s[8 + 2 * g], _mm512_slli_epi32(s[9 + 2 * g], 16));
            _mm512_store_si512(panel->min[g][half], pair);
        }
    }
    if (CK_KIND == CK_FLAT_MIN) {
        ck_transpose16(m);
        for (int g = 0; g < 8; g++) {
            __m512i pair = _mm512_or_si512(m[2 * g], _mm512_slli_epi32(m[2 * g + 1], 16));
            _mm512_store_si512(panel->min[g][half], pair);
        }
    }
    _mm512_store_ps(panel->d[0][half], ck_load_16_halves(block, CK_D));
#ifdef CK_DMIN
    _mm512_store_ps(panel->m[0][half], ck_load_16_halves(block, CK_DMIN));
#endif
}

CK_AVX512 static void unpack_avx512(const uint8_t *w, size_t row_bytes, size_t rows, size_t blocks, ptrdiff_t ahead,
                                    ck_panel *panel) {
    (void)blocks;
    for (int half = 0; half < 2 && (size_t)(16 * half) < rows; half++) {
        const uint8_t *block[16];
        for (size_t r = 0; r < 16; r++) {
            size_t i = (size_t)(16 * half) + r;
            block[r] = w + (i < rows ? i : rows - 1) * row_bytes;
            for (ptrdiff_t line = 0; line < (ptrdiff_t)sizeof(CK_BLOCK); line += 64) {
                __builtin_prefetch(block[r] + ahead + line);
            }
        }
        unpack16_avx512(block, half, panel);
    }
}

static void matmul_avx512(const ck_job *job) {
    static const ck_rows_fn kernels[CK_ROWS_TOKENS] = {rows_1, rows_2, rows_3, rows_4};
    if (job->tokens <= CK_ROWS_LIMIT) {
        ck_rows_matmul(job, prepare_avx512, kernels);
    } else {
        ck_panel_matmul(job, 256, sizeof(CK_BLOCK), unpack_avx512, ck_tiles_avx512[CK_TILE_KIND]);
    }
}
